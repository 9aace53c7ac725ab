"""Packs, folders and files behind one interface."""

import hashlib

import numpy as np
import pytest

from whycad.datasets.source import open_source
from whycad.errors import DatasetError, ImageError
from whycad.manifest import load_manifest
from whycad.types import Region, Study


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


def test_runs_of_neighbours_are_groups_where_there_are_no_patients(write_pack, jpeg_arrays, manifest):
    columns = {"block50": np.array(["run0", "run1"]), "label": np.array(["NV", "MEL"])}
    source = open_source(write_pack(**jpeg_arrays(2, **columns)), manifest)
    assert [(source.info(row).group, source.info(row).label) for row in (0, 1)] == [("run0", "nv"), ("run1", "mel")]
    both = open_source(write_pack(**jpeg_arrays(2, patient=np.array(["p", "q"]), **columns)), manifest)
    assert both.info(0).group == "p"


@pytest.fixture(scope="module")
def lung(manifest):
    """The skin manifest with the codes of a task whose packs hold numbers."""
    labels = tuple(
        manifest.labels[0].model_copy(update={"code": code, "name": code}) for code in ("benign", "malignant")
    )
    audit = manifest.audit.model_copy(update={"label_map": {"0": "benign", "1": "malignant"}})
    return manifest.model_copy(update={"labels": labels, "audit": audit})


def test_numbers_mean_what_the_tasks_label_map_says_and_others_nothing(write_pack, jpeg_arrays, lung):
    arrays = jpeg_arrays(3, label=np.array([0, 1, -1], np.int8), patient=np.array(["p", "p", "q"]))
    source = open_source(write_pack(**arrays), lung)
    assert [source.info(row).label for row in range(3)] == ["benign", "malignant", ""]
    assert [source.info(row).group for row in range(3)] == ["p", "p", "q"]


def test_a_tasks_own_reader_gives_study_and_point(write_pack, jpeg_arrays, manifest):
    study = Study(np.zeros((4, 4), np.float32), "CT", "0" * 64, unit="HU")
    seen = []

    def read_row(pack, row):
        seen.append((pack.path.name, row))
        return study, Region((1.0, 2.0))

    source = open_source(write_pack(**jpeg_arrays(2)), manifest, read_row=read_row)
    assert source.case(1) == (study, Region((1.0, 2.0)))
    assert source.study(0) is study
    assert seen == [("pack.npz", 1), ("pack.npz", 0)]


def test_a_row_of_another_kind_is_a_picture_to_decline_and_a_faulty_one_an_error(write_pack, manifest):
    def read_row(pack, row):
        raise DatasetError("no such thing as spacing")

    images = np.random.default_rng(0).integers(0, 255, (1, 80, 90, 3), dtype=np.uint8)
    colour = open_source(write_pack("colour.npz", images=images), manifest, read_row=read_row)
    grey = open_source(write_pack("grey.npz", images=images[..., 0]), manifest, read_row=read_row)
    study, region = grey.case(0)
    assert (study.is_colour, region) == (False, None)
    with pytest.raises(DatasetError, match="spacing"):
        colour.case(0)


def test_cells_are_text_and_missing_columns_an_error(write_pack, jpeg_arrays, manifest):
    arrays = jpeg_arrays(2, near=np.array([True, False]), fold=np.array([3, 4], np.int8), wide=np.zeros((2, 3)))
    source = open_source(write_pack(**arrays), manifest)
    assert [source.cell("near", 0), source.cell("fold", 1)] == ["True", "4"]
    for name in ("wide", "nothing", "jpeg"):
        with pytest.raises(DatasetError, match="has no column"):
            source.cell(name, 0)
