"""Rows of packs as studies: values, units, hashes, and only the metadata that is asked for."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_metadata, row_study
from whycad.errors import DatasetError
from whycad.imaging import read_study
from whycad.manifest import load_manifest


@pytest.fixture(scope="module")
def manifest(repo):
    return load_manifest(repo / "plugins" / "skin_lesion")


def study_of(path, manifest, row=0):
    return row_study(read_pack(path), row, manifest)


def jpeg_file(orientation, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(("orientation", "mode"), [(1, "RGB"), (6, "RGB"), (7, "RGB"), (1, "L")])
def test_the_same_jpeg_gives_the_same_study_through_the_pack_and_as_a_file(
    write_pack, jpeg_arrays, manifest, orientation, mode
):
    file = jpeg_file(orientation, mode)
    ours, theirs = study_of(write_pack(**jpeg_arrays([file])), manifest), read_study(file)
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)
    assert (ours.sha256, ours.unit, ours.modality) == (theirs.sha256, theirs.unit, theirs.modality)
    assert ours.sha256 == hashlib.sha256(file).hexdigest()


@pytest.mark.data
def test_real_images_give_the_same_study_both_ways(data_dir, manifest):
    pack = read_pack(data_dir / "skin" / "ham10000.npz")
    ours, theirs = row_study(pack, 17, manifest), read_study(pack.jpeg_bytes(17))
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)
    assert (ours.sha256, ours.modality) == (theirs.sha256, theirs.modality)


@pytest.mark.parametrize(
    ("image", "unit", "largest"),
    [
        (np.full((4, 5, 3), 255, np.uint8), "rgb", 1.0),
        (np.full((4, 5), 51, np.uint8), "normalised", 0.2),
        (np.full((4, 5), 65535, np.uint16), "normalised", 1.0),
        (np.full((4, 5), 65535, ">u2"), "normalised", 1.0),
        (np.full((4, 5), 0.25, np.float64), "normalised", 0.25),
        (np.full((4, 5), 0.5, np.float32), "normalised", 0.5),
        (np.full((4, 5, 3), 0.5, np.float32), "rgb", 0.5),
        (np.full((4, 5), 300, np.int16), "stored", 300.0),
        (np.full((4, 5), 1, np.int16), "stored", 1.0),
        (np.full((4, 5), 7.5), "stored", 7.5),
    ],
)
def test_values_and_units(write_pack, manifest, image, unit, largest):
    study = study_of(write_pack(images=image[None]), manifest)
    assert (study.pixels.dtype, study.unit) == (np.float32, unit)
    assert study.pixels.max() == pytest.approx(largest)
    assert study.sha256 == hashlib.sha256(image.tobytes()).hexdigest()


@pytest.mark.parametrize("bad", [np.full((1, 4, 5), np.nan), np.full((1, 4, 5), np.inf), np.full((1, 4, 5, 3), 2.0)])
def test_numbers_that_are_no_image_are_refused(write_pack, manifest, bad):
    with pytest.raises(DatasetError, match=r"not finite|must be uint8"):
        study_of(write_pack(images=bad), manifest)


def test_metadata_holds_known_values_of_the_allowed_fields_only(write_pack, manifest):
    path = write_pack(
        images=np.zeros((3, 4, 5), np.uint8),
        age=np.array([45.0, np.nan, 60.0], np.float32),
        sex=np.array(["male", "", "female"]),
        site=np.array(["back", "unknown", "ear"]),
        patient_name=np.array(["A", "B", "C"]),
    )
    pack, fields = read_pack(path), manifest.audit.metadata_fields
    assert row_metadata(pack, 0, fields) == {"age_years": 45.0, "sex": "male", "site": "back"}
    assert row_metadata(pack, 1, fields) == {}
    assert study_of(path, manifest, 2).metadata == {"age_years": 60.0, "sex": "female", "site": "ear"}
