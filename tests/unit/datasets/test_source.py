"""Packs, folders and files behind one interface."""

import hashlib

import numpy as np
import pytest

from whycad.datasets.source import open_source
from whycad.errors import DatasetError, ImageError
from whycad.manifest import load_manifest


@pytest.fixture(scope="module")
def manifest(repo):
    return load_manifest(repo / "plugins" / "skin_lesion")


def test_a_pack_speaks_the_tasks_codes(write_pack, jpeg_arrays, manifest):
    columns = {
        "y": np.array([1, 0]),
        "class_names": np.array(["nevus", "melanoma"]),
        "group_id": np.array(["g", "h"]),
        "image_id": np.array(["ISIC_1", "ISIC_2"]),
        "sex": np.array(["male", ""]),
    }
    source = open_source(write_pack(**jpeg_arrays(2, **columns)), manifest)
    first, second = source.info(0), source.info(1)
    assert (first.id, first.group, first.label, first.metadata) == ("ISIC_1", "g", "mel", {"sex": "male"})
    assert (second.label, second.metadata) == ("nv", {})
    assert source.study(0).is_colour


def test_rows_without_an_id_are_known_by_their_hash(write_pack, jpeg_arrays, manifest):
    arrays = jpeg_arrays(1)
    info = open_source(write_pack(**arrays), manifest).info(0)
    assert info.id == hashlib.sha256(arrays["jpeg"].tobytes()).hexdigest()
    assert (info.group, info.label) == ("row-0", "")


def test_what_is_known_of_a_row_survives_a_broken_image(write_pack, jpeg_arrays, manifest):
    arrays = jpeg_arrays(1)
    arrays["jpeg_offsets"] = np.array([0, 10**9])
    info = open_source(write_pack(**arrays), manifest).info(0)
    assert (info.id, info.group) == ("", "row-0")


def test_folders_label_by_the_nearest_parent_that_is_a_label(tmp_path, manifest):
    for name in ("mel/x/1.png", "nevus/2.png", "other/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no image")
    source = open_source(tmp_path, manifest)
    assert [source.info(row).label for row in source.rows()] == ["mel", "nv", ""]
    assert source.info(0).id == hashlib.sha256(b"no image").hexdigest()
    with pytest.raises(ImageError):
        source.study(0)


def test_nothing_there_is_an_error(tmp_path, manifest):
    with pytest.raises(DatasetError, match="there is no file or folder"):
        open_source(tmp_path / "nowhere", manifest)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "ndim"),
    [
        ("skin/isic2017", 3),
        ("oct/kermany_named", 2),
        ("oct/duke_dme_fluid", 2),
        ("lung/lidc_key_slices", 2),
        ("lung/lidc_stacks_1mm", 3),
        ("lung/ct_lidc0001_48slices", 3),
    ],
)
def test_every_pack_that_there_is_can_be_read(data_dir, manifest, name, ndim):
    path = data_dir / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{name}.npz is not in the data folder")
    source = open_source(path, manifest)
    last = source.rows()[-1]
    assert source.study(last).pixels.ndim == ndim
    assert source.info(last).group
