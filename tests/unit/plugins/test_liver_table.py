"""A table of a user's own images becomes a plugin of its own; the images here stand in for real ones."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from plugins.liver_fibrosis.simulator import simulate
from plugins.liver_fibrosis.table import read_images, read_table
from plugins.liver_fibrosis.train_table import CALIBRATION_FOLD, n_folds, prepare, recipe_for
from whycad.cli import main
from whycad.datasets.splits import grouped_folds
from whycad.errors import DatasetError, TrainingError
from whycad.inference import choose_device, load_members
from whycad.pipeline import analyse
from whycad.plugin import load_plugin
from whycad.testing.dicom import make_grey_dicom
from whycad.types import AnalysisRequest, EvidenceLevel, Study

PATIENTS_PER_STAGE = 10


def as_nifti(volume, path):
    """Write slices ``(Z, H, W)``, right on the left and back below, feet first, as RAS NIfTI."""
    nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0)[::-1, ::-1], np.diag([2.0, 2.5, 5, 1])), path)


def write_images(folder):
    """Write one image per patient, of every kind that is read; return the rows."""
    rows = []
    for number in range(5 * PATIENTS_PER_STAGE):
        stage = number % 5
        image = simulate((70, number), stage, "A").image
        if number == 1:
            name = "one.dcm"
            (folder / name).write_bytes(make_grey_dicom(image.astype(np.uint16) * 7))
        elif number == 2:
            name = "two.png"
            Image.fromarray(image).save(folder / name)
        else:
            name = f"{number}.nii.gz"
            as_nifti(np.stack([image * 0, image, image * 0]).astype(np.int16), folder / name)
        rows.append({"image": name, "patient": f"patient {number}", "stage": f"F{stage}", "site": "one"})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    pd.DataFrame(write_images(place)).to_csv(place / "table.csv", index=False)
    return place


def test_a_nifti_slice_looks_as_it_did(folder):
    image = simulate((70, 0), 0, "A").image
    pd.read_csv(folder / "table.csv").head(1).to_csv(folder / "first.csv", index=False)
    study = read_images(read_table(folder / "first.csv"))[0]
    assert study.modality == "MR"
    assert not study.simulated
    assert study.spacing_mm == pytest.approx((2.5, 2.0))
    np.testing.assert_array_equal(study.pixels, image)


def test_the_table_names_slices(folder, tmp_path):
    volume = np.arange(4)[:, None, None] + np.zeros((4, 70, 80), np.float32)
    as_nifti(volume, tmp_path / "v.nii")
    frame = pd.DataFrame(
        {"image": ["v.nii"] * 3, "patient": ["a", "a", "b"], "stage": [0, 1, 4], "slice": [0, 3, None]}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert list(table.stages) == [0, 1, 4]
    assert [float(study.pixels[0, 0]) for study in read_images(table)] == [0, 3, 2]
    frame.assign(slice=9).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DatasetError, match=r"row 1 .* has 4 slices, not 10"):
        read_images(read_table(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,stage\na.png,1\n", "lacks column 'patient'"),
        ("image,patient,stage\na.png,p,5\n", "row 1: the stage is none of"),
        ("image,patient,stage\na.png,p,\n", "empty cell in column 'stage'"),
        ("image,patient,stage\n", "has 0 rows"),
        ("image,patient,stage,slice\na.png,p,1,0.5\n", "whole numbers"),
        ('image,patient,stage\n"a', "cannot be read"),
    ],
)
def test_broken_tables_are_plain_errors(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_table(tmp_path / "t.csv")


def test_broken_images_are_named_by_row_and_not_by_patient(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    (tmp_path / "t.csv").write_text("image,patient,stage\na.nii.gz,Zzcanary,1\n")
    with pytest.raises(DatasetError, match="row 1 of the table: the NIfTI file cannot be read") as error:
        read_images(read_table(tmp_path / "t.csv"))
    assert "Zzcanary" not in str(error.value)
    (tmp_path / "t.csv").write_text("image,patient,stage\nmissing.png,Zzcanary,1\n")
    with pytest.raises(DatasetError, match="row 1 of the table: the image"):
        read_images(read_table(tmp_path / "t.csv"))


def test_too_few_patients_of_a_stage_are_refused(folder, tmp_path):
    frame = pd.read_csv(folder / "table.csv")
    frame[frame.stage != "F3"].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TrainingError, match="0 patients of stage F3"):
        n_folds(read_table(tmp_path / "t.csv"))


def test_images_that_are_no_whole_slice_are_refused(folder, tmp_path):
    frame = pd.read_csv(folder / "table.csv")
    frame["image"] = [str(folder / name) for name in frame["image"]]
    Image.fromarray(np.random.default_rng(0).integers(90, 160, (90, 90), dtype=np.uint8)).save(tmp_path / "n.png")
    frame.loc[4, "image"] = str(tmp_path / "n.png")
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DatasetError, match="row 5 of the table cannot be trained on: No body outline"):
        prepare(tmp_path / "t.csv")


def test_patients_are_never_parted(folder):
    table = read_table(folder / "table.csv")
    held = grouped_folds(table.stages, table.patients, n_folds(table)) == CALIBRATION_FOLD
    assert not set(table.patients[held]) & set(table.patients[~held])
    assert np.bincount(table.stages[held], minlength=5).min() >= 5


def test_few_images_get_a_short_run():
    assert sum(sum(plan.cycles) for plan in recipe_for(25).runs) < sum(sum(p.cycles) for p in recipe_for(500).runs)
    assert sum(plan.keep for plan in recipe_for(25).runs) == sum(plan.keep for plan in recipe_for(500).runs) == 5


def test_training_on_a_table_gives_a_plugin_of_real_images(folder, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "--task", "liver_fibrosis", "--data", str(folder / "table.csv"), "--out", str(out)]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert "is trained" in capsys.readouterr().out
    plugin = load_plugin(out / "plugin")
    assert plugin.manifest.evidence_level is EvidenceLevel.REAL
    assert plugin.id == "liver_fibrosis_real"
    assert len(plugin.manifest.weights.files) == 5
    for name in ("plugin.toml", "model_card.md", "calibration.json"):
        assert "simulat" not in (out / "plugin" / name).read_text().lower()
    calibration = json.loads((out / "plugin" / "calibration.json").read_text())
    assert calibration["source"]["n"] == calibration["source"]["n_groups"] == 25
    study = Study(simulate((71, 0), 2, "B").image / np.float32(255), "MR", "0" * 64)
    result = analyse(study, plugin, AnalysisRequest(), ensemble=load_members(plugin, choose_device("cpu")))
    assert not result.simulated
    assert result.prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert set(result.prediction.operating_points) == {"at_least_f2", "at_least_f3", "f4"}


def test_a_model_of_real_images_is_not_installed_over_the_simulated_one(folder, tmp_path, capsys):
    arguments = ["train", "--task", "liver_fibrosis", "--data", str(folder / "table.csv"), "--out", str(tmp_path)]
    assert main([*arguments, "--install"]) == 1
    assert "not installed over" in capsys.readouterr().err
