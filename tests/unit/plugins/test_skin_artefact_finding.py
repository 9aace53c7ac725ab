"""Artefact detectors of dermoscopy: found where they were painted, rarely where they were not."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.skin_lesion.artefact_check import HALVES, figures, half_of
from plugins.skin_lesion.artefact_finding import DETECTORS, artefacts, find
from plugins.skin_lesion.artefacts import insert
from plugins.skin_lesion.phantom import sample_cases
from whycad.types import FloatArray, Study

KINDS = ("dark_corner", "hair", "ink", "patches", "ruler")
SEEDS = range(3)
# How much of what was painted lies in the mask; hair's paint includes faint shadows, corners' a soft rim.
COVERED = {"dark_corner": 0.5, "hair": 0.5, "ink": 0.85, "patches": 0.7, "ruler": 0.5}


@cache
def lesion() -> FloatArray:
    """Return a simulated nevus without artefacts, at half size."""
    case = next(case for case in sample_cases() if not case.artefacts)
    return np.ascontiguousarray(case.study.pixels[::2, ::2])


def painted(kind: str, seed: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    image, mask = insert(lesion(), kind, seed, 0.7)
    return np.asarray(image, np.float32), mask


@pytest.mark.parametrize("kind", KINDS)
def test_a_painted_artefact_is_found_where_it_is(kind: str) -> None:
    covers = []
    for seed in SEEDS:
        image, mask = painted(kind, seed)
        found = {item.name: item for item in find(image)}
        if kind in found:
            assert found[kind].mask.shape == mask.shape
            covers.append(float(found[kind].mask[mask].mean()))
    assert len(covers) >= len(SEEDS) - 1
    assert np.mean(covers) > COVERED[kind]


def test_nothing_is_found_in_a_clean_image() -> None:
    assert find(lesion()) == ()


def test_a_tiny_and_a_grey_image_are_not_looked_at() -> None:
    assert find(lesion()[:40, :40]) == ()
    grey = Study(lesion()[..., 0], "OT", "0" * 64)
    assert artefacts(grey) == ()


def test_an_even_and_a_black_image_hold_no_error() -> None:
    for value in (0.0, 0.5, 1.0):
        for item in find(np.full((90, 120, 3), value, np.float32)):
            assert 0 <= item.confidence <= 1


def test_halves_never_change_and_figures_count() -> None:
    assert [half_of(f"ISIC_{i}") for i in range(6)] == [half_of(f"ISIC_{i}") for i in range(6)]
    assert {half_of(f"ISIC_{i}") for i in range(50)} == set(HALVES)
    marked, found = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    counted = figures(marked, found)
    assert counted == {"n_with": 2, "n_without": 3, "sensitivity": 0.5, "false_alarms": 0.333}


def test_every_detector_that_is_offered_works_on_real_images(repo) -> None:  # type: ignore[no-untyped-def]
    stored = json.loads((repo / "plugins" / "skin_lesion" / "artefact-figures.json").read_text())["check"]
    assert set(stored) == {detector.__name__ for detector in DETECTORS}
    for name, counted in stored.items():
        assert counted["sensitivity"] >= 0.25, name
        assert counted["false_alarms"] <= 0.08, name
        assert counted["sensitivity"] >= 4 * counted["false_alarms"], name


def test_the_training_notes_say_what_was_measured(repo) -> None:  # type: ignore[no-untyped-def]
    folder = repo / "plugins" / "skin_lesion"
    stored = json.loads((folder / "artefact-figures.json").read_text())["check"]
    notes = (folder / "TRAINING.md").read_text()
    for counted in stored.values():
        for share, n in (("sensitivity", "n_with"), ("false_alarms", "n_without")):
            assert f"{100 * counted[share]:.1f} % of {counted[n]}" in notes
