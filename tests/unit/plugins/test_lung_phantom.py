"""Lung phantoms: the same seed gives the same case, and the options do what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lung_nodule.phantom import TEXTURES, PhantomOptions, make_case, render, sample_cases
from whycad.errors import DatasetError


@given(st.integers(0, 2**32 - 1), st.floats(4, 40), st.sampled_from(TEXTURES), st.floats(0, 1))
@settings(max_examples=12, deadline=None)
def test_any_seed_gives_a_valid_slice(seed, diameter, texture, spiculation):
    case = make_case(seed, PhantomOptions("malignant", diameter, spiculation, 0.3, texture))
    study = case.study
    assert study.simulated
    assert (study.modality, study.unit, study.spacing_mm) == ("CT", "HU", (0.7, 0.7))
    assert study.pixels.dtype == np.float32
    assert np.array_equal(study.pixels, np.rint(study.pixels))
    assert -1024 <= study.pixels.min() < -800
    assert case.mask.any()
    assert not case.mask.all()


def test_the_same_seed_gives_the_same_voxels_and_another_others():
    options = PhantomOptions("malignant", 14, 0.5)
    first, again, other = (make_case(seed, options).study for seed in (1, 1, 2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


@pytest.mark.parametrize("diameter", [6.0, 12.0, 24.0])
def test_the_diameter_is_as_asked(diameter):
    masks = [make_case(seed, PhantomOptions(diameter_mm=diameter, lobulation=0.0)).mask for seed in range(4)]
    across = np.mean([2 * np.sqrt(mask.sum() * 0.49 / np.pi) for mask in masks])
    assert across == pytest.approx(diameter, rel=0.12)


def test_spicules_add_strands_outside_the_body():
    def strands(spiculation):
        found = []
        for seed in range(4):
            image, mask, _ = render(seed, PhantomOptions("malignant", 20, spiculation, 0.0, wall_mm=None))
            rows, columns = np.ogrid[:128, :128]
            away = 0.7 * np.hypot(rows - 63.5, columns - 63.5)
            ring = (away > 11.5) & (away < 15) & ~mask[0]
            found.append((image[0][ring] > -600).mean())
        return np.mean(found)

    assert strands(1.0) > strands(0.0) + 0.04


def test_textures_differ_in_density():
    means = {}
    for texture in TEXTURES:
        case = make_case(5, PhantomOptions(diameter_mm=12, texture=texture))
        means[texture] = case.study.pixels[case.mask].mean()
    assert means["ground_glass"] < means["part_solid"] < means["solid"] < means["calcified"]
    assert means["ground_glass"] == pytest.approx(-580, abs=80)


def test_the_chest_wall_lies_as_far_as_asked_or_is_left_out():
    near = make_case(2, PhantomOptions(wall_mm=15.0)).study.pixels
    none = make_case(2, PhantomOptions(wall_mm=None)).study.pixels
    assert (near > -200).mean() > 0.2
    assert (none > -200).mean() < 0.08


def test_a_volume_is_round_in_all_directions():
    case = make_case(4, PhantomOptions(diameter_mm=12, lobulation=0.0, volume=True))
    assert case.study.pixels.shape == case.mask.shape == (41, 112, 112)
    assert case.study.spacing_mm == (1.25, 0.7, 0.7)
    extents = [np.ptp(np.nonzero(case.mask)[axis]) * s for axis, s in enumerate((1.25, 0.7, 0.7))]
    assert extents == pytest.approx([12, 12, 12], abs=3)


def test_samples_are_named_marked_and_of_both_labels():
    cases = sample_cases()
    assert len(cases) >= 8
    assert len({case.name for case in cases}) == len(cases)
    assert {case.label for case in cases} == {"benign", "malignant"}
    assert sum(case.study.pixels.ndim == 3 for case in cases) >= 2
    assert all(case.study.simulated and case.description for case in cases)
    assert cases[0].study is sample_cases()[0].study


@pytest.mark.parametrize(
    "options",
    [
        {"label": "unsure"},
        {"diameter_mm": 1.0},
        {"spiculation": 1.5},
        {"lobulation": -0.1},
        {"texture": "fluffy"},
        {"edge_mm": 0.0},
        {"wall_mm": -1.0},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(DatasetError, match="phantom"):
        PhantomOptions(**options)
