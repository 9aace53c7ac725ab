"""What is not a nodule in lung on a CT is not scored, and the reason says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugins.lung_nodule import gate as words
from plugins.lung_nodule.gate import gate
from plugins.lung_nodule.phantom import PhantomOptions, make_case, sample_cases
from whycad.types import Region, Study


@pytest.fixture(scope="module")
def case():
    return make_case(3, PhantomOptions("malignant", 16, spiculation=0.5))


def centre(study):
    return Region(tuple((n - 1) / 2 for n in study.spatial_shape))


def picture(study):
    return replace(study, pixels=np.clip((study.pixels + 1350) / 1500, 0, 1), unit="normalised", spacing_mm=None)


@pytest.mark.parametrize("index", range(len(sample_cases())))
def test_the_samples_pass(index):
    sample = sample_cases()[index]
    assert gate(sample.study, centre(sample.study)) == ()


def test_a_picture_in_the_lung_window_passes(case):
    assert gate(picture(case.study), centre(case.study)) == ()


def test_an_inverted_grey_scale_is_named(case):
    bright = picture(case.study)
    (reason,) = gate(replace(bright, pixels=1 - bright.pixels), centre(case.study))
    assert "inverted" in reason
    assert gate(replace(case.study, pixels=-case.study.pixels), centre(case.study)) == (words.INVERTED,)


def test_other_anatomy_has_no_lung(case):
    rng = np.random.default_rng(0)
    belly = replace(case.study, pixels=rng.normal(50, 20, (128, 128)).astype(np.float32))
    belly.pixels[:40] = -100
    assert gate(belly, centre(belly)) == (words.NO_LUNG,)


def test_a_click_on_empty_lung_finds_no_nodule(case):
    rng = np.random.default_rng(0)
    empty = replace(case.study, pixels=rng.normal(-900, 15, (128, 128)).astype(np.float32))
    empty.pixels[:20] = 40
    assert gate(empty, centre(empty)) == (words.NO_NODULE,)


def test_a_seed_off_the_image_is_said(case):
    (reason,) = gate(case.study, Region((500.0, 5.0)))
    assert "outside the image" in reason
    volume = sample_cases()[-1].study
    (reason,) = gate(volume, None)
    assert "seed" in reason


def test_a_crop_that_is_too_small_is_refused(case):
    small = replace(case.study, pixels=case.study.pixels[44:84, 44:84])
    assert gate(small, centre(small)) == (words.CROPPED,)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((128, 128), -800.0, np.float32),
        np.linspace(0, 1, 128 * 128, dtype=np.float32).reshape(128, 128),
        np.linspace(-1e6, 1e6, 128 * 128, dtype=np.float32).reshape(128, 128),
    ],
)
def test_numbers_that_no_ct_has_are_refused(case, pixels):
    strange = replace(case.study, pixels=pixels)
    assert gate(strange, centre(strange)) == (words.NOT_CT,)


def test_stored_values_are_not_hounsfield_units(case):
    assert gate(replace(case.study, unit="stored"), centre(case.study)) == (words.NOT_CT,)


def test_values_that_are_no_numbers_are_refused(case):
    broken = replace(case.study, pixels=case.study.pixels.copy())
    broken.pixels[3, 3] = np.nan
    assert gate(broken, centre(broken)) == (words.NOT_FINITE,)


def test_colour_is_refused():
    assert gate(Study(np.zeros((64, 64, 3), np.float32), "OT", "0" * 64, "rgb"), None) == (words.COLOUR,)


@pytest.mark.data
def test_training_nodules_pass(data_dir):
    from plugins.lung_nodule.rows import read_row
    from whycad.datasets.pack import read_pack

    source = read_pack(data_dir / "lung" / "lidc_key_slices.npz")
    rows = source.rows("train")[::12]
    reasons = [gate(*read_row(source, int(row))) for row in rows]
    assert sum(bool(r) for r in reasons) <= 0.02 * len(rows), [r for r in reasons if r]
