"""The tasks' own reference sets, artefacts and what-ifs, on their simulated samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plugins.liver_fibrosis.references import N_CASES
from plugins.skin_lesion.artefacts import insert
from whycad.pipeline import analyse
from whycad.reference_index import FOLDER_VARIABLE, reference_of, stand_in
from whycad.registry import discover
from whycad.types import AnalysisRequest
from whycad.whatif.fragility import table_of
from whycad.whatif.request import WhatIfKind, WhatIfRequest, runs_of
from whycad.whatif.run import what_if

TASKS = ("skin_lesion", "lung_nodule", "retinal_oct", "liver_fibrosis")
REGISTRY = discover()


@pytest.fixture(autouse=True)
def one_thread_and_no_own_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_set_has_every_label_and_only_numbers(task: str, repo: Path) -> None:
    plugin = REGISTRY.get(task)
    reference = reference_of(plugin)
    assert reference is not None
    counts = np.bincount(reference.label_of, minlength=len(reference.labels))
    assert counts.min() >= 10
    assert plugin.manifest.similar is not None
    with np.load(plugin.folder / plugin.manifest.similar.file, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fi" for name in arrays.files if name != "about")
        size = sum(arrays[name].nbytes for name in arrays.files)
    assert size < 2e6


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_distribution_is_of_these_weights(task: str) -> None:
    table = table_of(REGISTRY.get(task))
    assert table is not None
    assert table.n >= 20
    assert 0 < table.median < table.largest


@pytest.mark.parametrize("task", TASKS)
def test_the_document_says_what_the_stored_distribution_holds(task: str, repo: Path) -> None:
    table = table_of(REGISTRY.get(task))
    assert table is not None
    found = [100 * float(value) for value in np.percentile(table.epsilons, [10, 50, 90])]
    figures = " | ".join(f"{value:.2g} %" for value in found)
    row = f"| `{task}` | {table.n} | {figures} | {table.n - len(table.epsilons)} |"
    assert row in (repo / "docs" / "similar-and-what-if.md").read_text()


def test_the_shipped_liver_set_holds_every_reference_case() -> None:
    reference = reference_of(REGISTRY.get("liver_fibrosis"))
    assert reference is not None
    assert len(reference.label_of) == N_CASES


@pytest.mark.parametrize("task", ["skin_lesion", "retinal_oct"])
def test_a_sample_has_similar_cases_and_a_stand_in_for_each(task: str) -> None:
    plugin = REGISTRY.get(task)
    case = next(case for case in plugin.phantom() if len(case.study.spatial_shape) == 2)
    result = analyse(case.study, plugin, AnalysisRequest())
    assert [item.role for item in result.similar[:2]] == ["leading", "leading"]
    assert all(0 <= item.percentile <= 100 for item in result.similar)
    picture = stand_in(plugin, result.prediction.predicted)
    assert picture is not None
    assert picture.simulated


def test_the_lesion_matters_and_a_painted_ruler_does_not_decide() -> None:
    plugin = REGISTRY.get("skin_lesion")
    from whycad.inference import load_members

    ensemble = load_members(plugin, torch.device("cpu"))
    case = next(case for case in plugin.phantom() if not case.artefacts)
    pixels, _ = insert(case.study.pixels, "ruler", 1, 0.7)
    study = replace(case.study, pixels=np.asarray(pixels, np.float32))
    region = WhatIfRequest(WhatIfKind.REGION, runs=runs_of(case.mask))
    (without_lesion,) = what_if(study, ensemble, AnalysisRequest(), region)
    found = {
        item.name: item for item in what_if(study, ensemble, AnalysisRequest(), WhatIfRequest(WhatIfKind.ARTEFACT))
    }
    assert without_lesion.change() < -0.1
    assert "ruler" in found
    assert abs(found["ruler"].change()) < abs(without_lesion.change())
