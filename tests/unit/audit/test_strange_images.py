"""Strange images are as announced, and a disguise leaves only what an image shows to tell it by."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from whycad.audit.strange_images import (
    CROPS_OF_A_PICTURE,
    PICTURES,
    RUINS,
    StrangeImage,
    in_disguise,
    natural_images,
    noise_images,
    plain_study,
    ruined,
)
from whycad.manifest import load_manifest
from whycad.scoring import input_problems
from whycad.testing.plugins import make_study
from whycad.types import Study


@pytest.fixture(scope="module")
def skin(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def ct(skin):
    changes = {
        "modalities": ("CT",), "colour": False, "channels": 1, "value_range": (-1000.0, 400.0), "needs_region": True,
        "spacing_mm": (1.0, 0.7, 0.7),
    }  # fmt: skip
    return skin.model_copy(update={"input": skin.input.model_copy(update=changes)})


def test_pictures_come_with_the_package_and_are_the_same_each_time():
    first, again = (list(islice(natural_images(), 2 * CROPS_OF_A_PICTURE)) for _ in range(2))
    assert [image.group for image in first] == [name for name in PICTURES[:2] for _ in range(CROPS_OF_A_PICTURE)]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    assert all(max(image.pixels.shape[:2]) == 256 for image in first)
    assert all(0 <= image.pixels.min() <= image.pixels.max() <= 1 for image in first)


def test_every_picture_is_there_without_a_download():
    assert all(getattr(data, name)().ndim in {2, 3} for name in PICTURES)


def test_noise_is_of_three_kinds():
    images = list(islice(noise_images(), 6))
    assert {image.group for image in images} == {"white noise", "grey noise", "smoothed noise"}
    assert all(image.pixels.dtype == np.float32 for image in images)
    assert all(0 <= image.pixels.min() <= image.pixels.max() <= 1 for image in images)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (20, 30)])
def test_a_disguised_image_passes_the_shared_checks(shape, skin, ct):
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    study = plain_study(StrangeImage(pixels, "x"))
    for manifest in (skin, ct):
        changed, region = in_disguise(study, manifest)
        assert input_problems(changed, manifest) == ()
        assert changed.is_colour == manifest.input.colour
        low, high = manifest.input.value_range
        assert changed.pixels.min() == pytest.approx(low)
        assert changed.pixels.max() == pytest.approx(high)
        assert (region is not None) == manifest.input.needs_region
        assert len(changed.spacing_mm) == 2


def test_the_region_is_the_middle(ct):
    changed, region = in_disguise(make_study((101, 121)), ct)
    assert region.start == (50.0, 60.0)
    assert changed.unit == "HU"


def test_a_volume_gives_its_middle_slice(skin):
    volume = Study(np.random.default_rng(0).random((5, 70, 80), dtype=np.float32), "CT", "0" * 64, unit="HU")
    changed, region = in_disguise(volume, skin)
    assert changed.spatial_shape == (70, 80)
    assert region is None


@pytest.mark.parametrize("how", RUINS)
@pytest.mark.parametrize("shape", [(48, 60), (48, 60, 3), (6, 48, 60)])
def test_a_ruined_image_keeps_its_format_but_not_its_content(how, shape):
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    unit = "rgb" if shape[-1] == 3 else "normalised"
    study = Study(pixels, "OT", "0" * 64, unit=unit)
    broken = ruined(study, how)
    assert broken.pixels.shape == shape
    assert broken.pixels.dtype == np.float32
    assert broken.unit == unit
    assert broken.sha256 != study.sha256
    assert np.abs(broken.pixels - pixels).mean() > 0.05
    assert np.array_equal(ruined(study, how).pixels, broken.pixels)
    assert pixels.min() - 1e-6 <= broken.pixels.min() <= broken.pixels.max() <= pixels.max() + 1e-6


def test_shuffled_tiles_lose_no_grey_level():
    pixels = np.arange(36 * 36, dtype=np.float32).reshape(36, 36)
    changed = ruined(Study(pixels, "OT", "0" * 64), "shuffled").pixels
    np.testing.assert_array_equal(np.sort(changed.ravel()), pixels.ravel())
