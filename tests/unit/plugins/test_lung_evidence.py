"""Evidence: outlines at the seed, sizes in millimetres, descriptors as distributions."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.lung_nodule.concepts import SCALES
from plugins.lung_nodule.evidence import evidence, longest_diameter_mm, nodule_mask
from plugins.lung_nodule.grid import CENTRE, MIDDLE, SHAPE, SPACING_MM
from plugins.lung_nodule.preprocess import preprocess
from whycad.types import Region, Study

SEED = (30.0, 60.0, 66.0)


def ball_of(radius_mm, centre=(0.0, 0.0, 0.0), shape=SHAPE, spacing=SPACING_MM, middle=CENTRE):
    axes = np.meshgrid(*((np.arange(n) - m) * s for n, m, s in zip(shape, middle, spacing, strict=True)), indexing="ij")
    squared = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))
    return np.clip((radius_mm - np.sqrt(squared)) / 0.6 + 0.5, 0, 1).astype(np.float32)


def outputs(mask):
    shares = {scale.name: np.full(len(scale.levels), 1 / len(scale.levels), np.float32) for scale in SCALES}
    return {**shares, "mask": mask}


def volume_study():
    return Study(np.full((60, 130, 130), -850, np.float32), "CT", "0" * 64, "HU", (1.25, 0.7, 0.65))


def slice_study():
    return Study(np.full((130, 130), -850, np.float32), "CT", "0" * 64, "HU", (0.7, 0.65))


def values(found):
    return {m.name: m.value for m in found.measurements}


def test_a_ball_in_a_volume_has_its_diameter_and_volume():
    study = volume_study()
    inputs = preprocess(study, Region(SEED))
    found = evidence(study, inputs, outputs(ball_of(5.0)))
    assert values(found)["Longest diameter"] == pytest.approx(10, abs=0.9)
    assert values(found)["Volume"] == pytest.approx(4 / 3 * np.pi * 125, rel=0.06)
    assert values(found)["Mean density"] == pytest.approx(-850, abs=1)
    (outline,) = found.segmentations
    assert outline.mask.shape == study.spatial_shape
    assert outline.mask.sum() * 1.25 * 0.7 * 0.65 == pytest.approx(4 / 3 * np.pi * 125, rel=0.1)
    assert np.argwhere(outline.mask).mean(axis=0) == pytest.approx(SEED, abs=0.6)


def test_a_slice_has_a_diameter_and_no_volume():
    study = slice_study()
    mask = np.zeros(SHAPE, np.float32)
    mask[MIDDLE] = ball_of(6.0)[MIDDLE]
    found = evidence(study, preprocess(study, Region(SEED[1:])), outputs(mask))
    assert set(values(found)) == {"Longest diameter", "Mean density"}
    assert values(found)["Longest diameter"] == pytest.approx(12, abs=0.9)
    assert found.segmentations[0].mask.shape == (130, 130)


def test_a_nodule_that_leaves_the_patch_has_no_volume():
    study = volume_study()
    found = evidence(study, preprocess(study, Region(SEED)), outputs(ball_of(22.0)))
    assert "Volume" not in values(found)


def test_an_outline_elsewhere_is_not_the_nodule():
    study = slice_study()
    mask = np.zeros(SHAPE, np.float32)
    mask[MIDDLE] = ball_of(4.0, centre=(0.0, 14.0, 0.0))[MIDDLE]
    found = evidence(study, preprocess(study, Region(SEED[1:])), outputs(mask))
    assert found.measurements == ()
    assert found.segmentations == ()
    assert len(found.concepts) == len(SCALES)


def test_only_what_hangs_together_with_the_seed_is_kept():
    mask = ball_of(4.0)
    mask[:, 5:12, 5:12] = 1
    mask[2] = np.maximum(mask[2], ball_of(3.0, shape=(1, *SHAPE[1:]), middle=(0, *CENTRE[1:]))[0])
    kept = nodule_mask(mask)
    assert kept[MIDDLE].any()
    assert not kept[:, 5:12, 5:12].any()
    assert not kept[2].any(), "a part beyond an empty slice is not the same nodule"


def test_holes_in_the_middle_plane_are_filled():
    mask = ball_of(6.0)
    mask[MIDDLE, 46:49, 46:49] = 0
    assert nodule_mask(mask)[MIDDLE, 47, 47]


@pytest.mark.parametrize("radius", [3.0, 7.5, 15.0])
def test_the_diameter_is_the_longest_distance_across(radius):
    plane = ball_of(radius)[MIDDLE] > 0.5
    assert longest_diameter_mm(plane) == pytest.approx(2 * radius, abs=0.9)


def test_a_line_has_its_length():
    plane = np.zeros(SHAPE[1:], bool)
    plane[40, 20:40] = True
    assert longest_diameter_mm(plane) == pytest.approx(np.hypot(20, 1) * 0.6)


def test_an_unknown_scale_is_said_beside_the_diameter():
    study = Study(np.full((130, 130), 0.4, np.float32), "OT", "0" * 64, "normalised")
    mask = np.zeros(SHAPE, np.float32)
    mask[MIDDLE] = ball_of(6.0)[MIDDLE]
    found = evidence(study, preprocess(study, None), outputs(mask))
    assert [m.name for m in found.measurements] == ["Longest diameter"]
    assert "taken for 0.7 mm" in found.measurements[0].method


def test_concepts_carry_the_words_of_the_readers():
    study = slice_study()
    given = outputs(np.zeros(SHAPE, np.float32))
    given["texture"] = np.array([0, 0, 0, 0.25, 0.75], np.float32)
    found = {c.name: c for c in evidence(study, preprocess(study, None), given).concepts}
    assert found["texture"].levels[-1] == "Solid"
    assert found["texture"].expected == pytest.approx(4.75)
    assert found["calcification"].levels[-1] == "Absent"
    assert sum(found["margin"].probabilities) == pytest.approx(1)
