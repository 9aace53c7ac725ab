"""Removal: taking the blob away flips a task that looks for it; the control does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from whycad.errors import GeometryError
from whycad.inference import Ensemble
from whycad.testing.planted import SHAPE, blob_mask, dim_picture, with_blob
from whycad.types import Study
from whycad.whatif.artefacts import FoundArtefact
from whycad.whatif.removal import ALIKE, NO_ROOM, remove_artefacts, remove_region
from whycad.whatif.scene import Scene
from whycad.whatif.sham import sham_mask


def test_removing_the_blob_flips_the_answer_and_the_control_does_not(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    found = remove_region(open_case(with_blob(), blob_task), blob_mask())
    assert found.before.predicted == "above"
    assert found.after.predicted == "below"
    assert found.label_moved
    assert found.change("above") < -0.9
    assert found.sham is not None
    assert found.sham.predicted == "above"
    assert abs(found.sham_change("above") or 0) < 0.01
    assert found.sham_mask is not None
    assert not (found.sham_mask & found.mask).any()
    assert found.sham_mask.sum() == found.mask.sum()
    assert found.accepted
    assert ALIKE not in found.remarks
    assert "is predicted instead" in found.title


def test_removing_something_else_changes_nothing(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    mask = np.roll(blob_mask(), 14, axis=(0, 1))
    found = remove_region(open_case(with_blob(), blob_task), mask)
    assert abs(found.change()) < 0.01
    assert "stays at" in found.title


def test_the_picture_differs_inside_the_mask_alone(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    study = with_blob()
    found = remove_region(open_case(study, blob_task), blob_mask())
    assert np.array_equal(found.picture[~found.mask], study.pixels[~found.mask])
    assert np.abs(found.picture[found.mask] - 0.3).max() < 0.1


def test_a_control_that_changes_as_much_is_said(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = np.zeros((2, *SHAPE), bool)
    halves[0, 8:16, 8:12], halves[1, 8:16, 12:16] = True, True
    monkeypatch.setattr("whycad.whatif.removal.sham_mask", lambda *_: halves[1])
    found = remove_region(open_case(with_blob(), blob_task), halves[0])
    assert found.sham_change() == pytest.approx(found.change(), abs=0.05)
    assert ALIKE in found.remarks


def test_a_region_without_room_for_a_control_says_so(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4:28, 6:28] = True
    found = remove_region(open_case(with_blob(), blob_task), mask)
    assert found.sham is None
    assert found.sham_change() is None
    assert NO_ROOM in found.remarks


def test_an_empty_or_huge_mask_is_refused(blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    scene = open_case(with_blob(), blob_task)
    with pytest.raises(GeometryError, match="no pixel"):
        remove_region(scene, np.zeros(SHAPE, bool))
    with pytest.raises(GeometryError, match="too much"):
        remove_region(scene, np.ones(SHAPE, bool))


def test_artefacts_are_removed_one_by_one(blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    scene = open_case(with_blob(), blob_task)
    found = [
        FoundArtefact("ink", blob_mask(), 0.9),
        FoundArtefact("hair", np.roll(blob_mask(), 14, axis=1), 0.6),
        FoundArtefact("patches", np.ones(SHAPE, bool), 0.5),
    ]
    results = remove_artefacts(scene, found)
    assert [item.name for item in results] == ["ink", "hair"]  # what covers everything cannot be filled
    assert results[0].change("above") < -0.9
    assert abs(results[1].change("above")) < 0.01
    assert results[0].title.startswith("Without the ink")


def test_the_control_avoids_what_is_outlined_and_looks_like_the_background() -> None:
    image = dim_picture()
    image[:, 20:] += 0.3
    avoid = np.zeros(SHAPE, bool)
    avoid[20:, :20] = True
    mask = np.zeros(SHAPE, bool)
    mask[2:7, 2:7] = True
    found = sham_mask(image, mask, (slice(0, 32), slice(0, 32)), avoid)
    assert found is not None
    assert not (found & avoid).any()
    assert image[found].max() < 0.4
    assert sham_mask(image, mask, (slice(0, 8), slice(0, 8)), None) is None
