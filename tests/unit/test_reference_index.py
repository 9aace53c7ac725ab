"""Reference files: made, read, refused with other weights, and used by the pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.errors import DatasetError, ManifestError
from whycad.inference import Ensemble, load_members
from whycad.neighbours import SAME_IMAGE_REMARK
from whycad.phantom import PhantomCase
from whycad.pipeline import analyse
from whycad.plugin import Plugin
from whycad.reference_cases import ReferenceCase
from whycad.reference_index import (
    FOLDER_VARIABLE,
    INDEX_NAME,
    build,
    choose_stand_in,
    gather,
    own_folder,
    picture_path,
    read_index,
    reference_of,
    shuffled,
    write_index,
)
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest

CODES = ("a", "b", "c")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    return write_plugin(tmp_path_factory.mktemp("plugins"), TinyPlugin(must_not_miss=("b",)))


@pytest.fixture(scope="module")
def ensemble(plugin: Plugin) -> Ensemble:
    return load_members(plugin, torch.device("cpu"))


def cases(n: int = 24) -> list[ReferenceCase]:
    return [ReferenceCase(make_study(seed=i), None, CODES[i % 3], f"Patient {i // 2}") for i in range(n)]


@pytest.fixture
def own(plugin: Plugin, ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    gathered = gather(cases(), ensemble, pictures=True)
    order = shuffled(24, 0)
    path = own_folder(plugin.id) / INDEX_NAME
    pictures = {f"{gathered.labels[i]}-{row:05d}": gathered.pictures[i] for row, i in enumerate(order)}
    write_index(build(gathered, plugin, "made", order), path, pictures)
    return path


def test_what_is_written_is_read_back(plugin: Plugin, own: Path) -> None:
    reference = read_index(own, plugin)
    assert (reference.task, reference.dataset, reference.simulated) == (plugin.id, "made", True)
    assert reference.must_not_miss == ("b",)
    assert np.bincount(reference.label_of).tolist() == [8, 8, 8]
    assert len(np.unique(reference.groups)) == 12
    np.testing.assert_allclose(np.linalg.norm(reference.vectors, axis=1), 1, atol=2e-3)


def test_nothing_of_a_patient_is_in_the_file(own: Path) -> None:
    body = own.read_bytes()
    with np.load(own, allow_pickle=False) as arrays:
        assert "Patient" not in str(arrays["about"])
        assert set(arrays.files) == {"vectors", "label_of", "groups", "mean", "basis", "about"}
    assert b"Patient" not in body


def test_other_weights_and_broken_files_are_refused(plugin: Plugin, own: Path, tmp_path: Path) -> None:
    other = write_plugin(tmp_path / "other", TinyPlugin(n_members=1))
    with pytest.raises(ManifestError, match="other weights"):
        read_index(own, other)
    with pytest.raises(ManifestError, match="another task"):
        read_index(own, write_plugin(tmp_path / "third", TinyPlugin(id="third")))
    own.write_bytes(own.read_bytes()[:-40])
    with pytest.raises(ManifestError, match="missing or broken"):
        read_index(own, plugin)


def test_labels_outside_the_task_break_the_file(plugin: Plugin, own: Path) -> None:
    with np.load(own, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    write_index({**arrays, "label_of": arrays["label_of"] + 5}, own)
    with pytest.raises(ManifestError, match="broken"):
        read_index(own, plugin)


def test_the_pipeline_shows_similar_cases_and_says_where_the_image_is_one_of_them(
    plugin: Plugin, ensemble: Ensemble, own: Path
) -> None:
    seen = analyse(make_study(seed=3), plugin, AnalysisRequest(), ensemble=ensemble)
    assert {case.role for case in seen.similar} >= {"leading", "runner_up"}
    assert seen.similar[0].label == seen.prediction.predicted
    known = {i: CODES[i % 3] for i in range(24)}
    mine = next(i for i in known if analysis(plugin, ensemble, i).prediction.predicted == known[i])
    assert SAME_IMAGE_REMARK in analysis(plugin, ensemble, mine).warnings
    assert SAME_IMAGE_REMARK not in analysis(plugin, ensemble, 99).warnings


def analysis(plugin: Plugin, ensemble: Ensemble, seed: int):  # type: ignore[no-untyped-def]
    return analyse(make_study(seed=seed), plugin, AnalysisRequest(), ensemble=ensemble)


def test_a_reference_set_of_other_weights_is_a_remark_and_no_failure(
    plugin: Plugin, ensemble: Ensemble, own: Path, tmp_path: Path
) -> None:
    fewer = write_plugin(tmp_path / "other", TinyPlugin(n_members=1))
    result = analyse(make_study(), fewer, AnalysisRequest(), ensemble=load_members(fewer, torch.device("cpu")))
    assert result.similar == ()
    assert any("Similar cases are not shown" in warning for warning in result.warnings)
    assert result.prediction.predicted


def test_a_task_without_a_reference_set_shows_nothing(
    plugin: Plugin, ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    assert reference_of(plugin) is None
    assert analyse(make_study(), plugin, AnalysisRequest(), ensemble=ensemble).similar == ()


def test_the_users_own_pictures_are_found_by_their_id_and_nothing_else_is(plugin: Plugin, own: Path) -> None:
    name = read_index(own, plugin).name(0)
    path = picture_path(plugin.id, name)
    assert path is not None
    assert path.read_bytes().startswith(b"\x89PNG")
    assert picture_path(plugin.id, "a-99999") is None
    assert picture_path(plugin.id, f"../{INDEX_NAME}") is None
    assert picture_path(plugin.id, f"../pictures/{name}") == path


def test_too_few_cases_are_refused(ensemble: Ensemble) -> None:
    with pytest.raises(DatasetError, match="too few"):
        gather(cases(4), ensemble)


def test_a_case_without_artefacts_stands_in() -> None:
    study, mask = make_study(), np.zeros((48, 60), bool)
    with_ink = PhantomCase(study, mask, "a", "One", "", ("ink",))
    clean = PhantomCase(study, mask, "a", "Two", "")
    assert choose_stand_in([with_ink, clean], "a") is clean
    assert choose_stand_in([replace(with_ink, label="b")], "a") is None
