"""Fragility: the flip of a linear task is where algebra says, and it is placed in a distribution."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.errors import JobCancelledError, ManifestError
from whycad.hooks import Hooks
from whycad.inference import Ensemble, load_members
from whycad.plugin import load_plugin
from whycad.testing.planted import SHAPE, grey_study, write_linear
from whycad.types import AnalysisRequest, Study
from whycad.whatif.fragility import LARGEST, FragilityTable, fragility, smallest_flip, table_of
from whycad.whatif.fragility_table import choose, flips, table_from
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.scene import Scene, open_scene
from whycad.whatif.search import open_search


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.35, 0.65, SHAPE).astype(np.float32)


@pytest.mark.parametrize("wanted", [0.004, 0.02, 0.07])
def test_a_linear_task_flips_where_algebra_says(
    tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene], wanted: float
) -> None:
    weights = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    pixels = picture(3)
    # The input moves by 2 for the whole range of the image, so epsilon is margin / (2 * sum |w|).
    bias = float(wanted * 2 * np.abs(weights).sum() - (weights * (2 * pixels - 1)).sum())
    ensemble = load_members(write_linear(tmp_path, weights, bias), torch.device("cpu"))
    scene = open_case(grey_study(pixels), ensemble)
    search = open_search(scene)
    flip = smallest_flip(search)
    assert flip.epsilon == pytest.approx(wanted, rel=0.1)
    assert flip.epsilon is not None
    assert flip.epsilon >= wanted * 0.99
    assert flip.after.predicted == "below"
    assert float(flip.share.abs().max()) <= flip.epsilon * 1.001
    found = fragility(scene)
    assert found.label_moved
    assert found.parameters["epsilon"] == pytest.approx(wanted, rel=0.1)
    assert np.abs(found.picture - pixels).max() == pytest.approx(flip.epsilon, rel=0.02)


def test_none_within_the_bound_is_a_result(tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    weights = np.full(SHAPE, 1e-3, np.float32)
    ensemble = load_members(write_linear(tmp_path, weights, 5.0), torch.device("cpu"))
    found = fragility(open_case(grey_study(picture(0)), ensemble))
    assert found.parameters["found"] is False
    assert not found.label_moved
    assert found.title.startswith("No change of up to")


def test_members_are_left_as_they_were_and_cancelling_stops(tmp_path: Path) -> None:
    ensemble = load_members(write_linear(tmp_path, np.ones(SHAPE, np.float32), 1.0), torch.device("cpu"))
    before = [parameter.requires_grad for parameter in ensemble.members[0].parameters()]
    hooks = Hooks(cancelled=iter([False] * 3 + [True] * 99).__next__)
    with pytest.raises(JobCancelledError):
        fragility(
            open_scene(grey_study(picture(0)), ensemble, AnalysisRequest(), WhatIfRequest(WhatIfKind.FRAGILITY), hooks)
        )
    member = ensemble.members[0]
    assert [parameter.requires_grad for parameter in member.parameters()] == before
    assert all(parameter.grad is None for parameter in member.parameters())
    assert not member._forward_hooks


def test_a_percentile_is_the_share_of_cases_that_take_less() -> None:
    table = FragilityTable(weights_sha256="0", dataset="made", epsilons=(0.01, 0.02, 0.03), n=4, largest=LARGEST)
    assert table.percentile(0.005) == 0
    assert table.percentile(0.025) == 50
    assert table.percentile(None) == 75
    assert table.median == pytest.approx(0.025)


def test_a_table_is_made_case_by_case_goes_on_after_a_stop_and_is_refused_with_other_weights(
    tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    from whycad.reference_cases import ReferenceCase

    weights = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    plugin = write_linear(tmp_path, weights, 0.0)
    ensemble = load_members(plugin, torch.device("cpu"))
    cases = choose([ReferenceCase(grey_study(picture(i)), None, "below", str(i)) for i in range(14)], 12, seed=1)
    kept = tmp_path / "kept.json"
    first = flips(cases, ensemble, kept)
    started = [next(first) for _ in range(3)]
    assert json.loads(kept.read_text()) == started
    kept.write_text(json.dumps([0.123, *started[1:]]))
    found = list(flips(cases, ensemble, kept))
    assert found[0] == 0.123  # what was found before the stop is not searched again
    assert len(found) == 12
    table = table_from(found, ensemble, "made", 1)
    assert list(table.epsilons) == sorted(table.epsilons)
    (plugin.folder / "fragility.json").write_text(table.model_dump_json())
    manifest = plugin.folder / "plugin.toml"
    manifest.write_text(manifest.read_text() + '\n[fragility]\nfile = "fragility.json"\n')
    named = load_plugin(plugin.folder)
    assert table_of(named) == table
    scene = open_case(grey_study(picture(50)), load_members(named, torch.device("cpu")))
    assert 0 <= float(fragility(scene).parameters["percentile"]) <= 100
    (plugin.folder / "fragility.json").write_text(table.model_copy(update={"weights_sha256": "1"}).model_dump_json())
    with pytest.raises(ManifestError, match="other weights"):
        table_of(named)
    (plugin.folder / "fragility.json").write_text("{}")
    with pytest.raises(ManifestError, match="missing or broken"):
        table_of(named)
