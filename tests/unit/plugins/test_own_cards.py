"""The tables that lung and OCT put into their cards say what the stored figures say, and fit their places."""

import json

import pytest

from plugins.lung_nodule import card as lung
from plugins.retinal_oct import card as oct_card
from plugins.skin_lesion import card as skin_card
from whycad.card_blocks import with_blocks
from whycad.plugin import load_plugin
from whycad.registry import builtin_folder


def figure(value):
    return {"value": value, "interval": [value - 0.01, value + 0.01]}


def sized(**more):
    parts = {name: figure(value) for name, value in (("model", 0.93), ("diameter", 0.91), ("difference", 0.02))}
    return {"n_benign": 100, "n_malignant": 40, "n_patients": 90, **parts, **more}


@pytest.fixture
def figures():
    labels = {
        name: {**{m: figure(0.3) for m in ("log_loss", "brier", "auroc")}, "ece_beyond_chance": 0.01}
        for name in ("soft", "median")
    }
    return {
        "size": {
            "overall": sized(),
            "bands": [
                sized(from_mm=0.0, to_mm=6.0, established=False),
                sized(from_mm=20.0, to_mm=None, established=True),
            ],
        },
        "concepts": {"n": 7, **{scale.name: figure(0.4) for scale in lung.SCALES}},
        "labels": {"n": 228, **labels, "log_loss_soft_less_median": figure(-0.01)},
        "ambiguity": {"ambiguity": {n: figure(0.5) for n in ("indeterminate", "labelled", "difference")}},
        "outline": {
            "dice_median": 0.86,
            "dice_quartiles": [0.8, 0.9],
            "share_without_outline": 0.01,
            "diameter_absolute_error_median_mm": 1.2,
        },
        "seed_moved_3_mm": {"median": 0.05, "percentile_90": 0.2},
    }


def outlined():
    parts = {name: figure(0.8) for name in ("dice_mean", "dice_mean_benign", "dice_above_85", "without_outline")}
    return {"n": 12, "n_groups": 9, "counts": {"benign": 5}, "dice_quartiles": [0.7, 0.8, 0.9], **parts}


def test_skin_blocks_come_from_stored_files(tmp_path):
    (tmp_path / skin_card.OUTLINE_FIGURES).write_text(json.dumps({"whole": outlined(), "cropped": outlined()}))
    labels = {"mel": {"n": 40, "quantiles": list(range(101))}, "df": {"n": 6, "quantiles": []}}
    source = {"dataset": "X", "selection": "fold 0", "n": 46}
    measurements = {"colours": {"name": "Colours", "unit": "of 6", "labels": labels}}
    (tmp_path / skin_card.REFERENCE).write_text(json.dumps({"source": source, "measurements": measurements}))
    parts = {"mass_ratio": figure(1.9), "peak_inside": figure(0.92)}
    focus = {**parts, "method": "gradcam", "n_images": 200, "n_groups": 191, "mean_area": 0.287}
    controls = {name: {"mass_ratio": figure(1.2), "peak_inside": figure(0.4)} for name in ("swapped", "gaussian")}
    (tmp_path / skin_card.FOCUS_FIGURES).write_text(json.dumps({**focus, "controls": controls}))
    found = skin_card.blocks(tmp_path)
    assert "| The map | 1.90 (1.89 to 1.91) | 0.92 (0.91 to 0.93) |" in found["focus"]
    assert "| Another image's map | 1.20 (1.19 to 1.21) | 0.40 (0.39 to 0.41) |" in found["focus"]
    assert "Grad-CAM of the predicted label; 200 images of 191 lesions, which take 29 % of a crop" in found["focus"]
    assert "| Dice with the masks, mean | 0.800 (0.790 to 0.810) | 0.800 (0.790 to 0.810) |" in found["outline"]
    assert "| Colours, of 6 | 50 (5 to 95) | not established (n 6) |" in found["measurements"]
    assert "X, fold 0: 46 images" in found["measurements"]


def test_a_band_that_carries_nothing_shows_no_number(figures):
    text = lung.size_table(figures["size"])
    assert "| all | 100 | 40 | 90 | 0.930 (0.920 to 0.940) | 0.910 (0.900 to 0.920) | 0.020 (0.010 to 0.030) |" in text
    assert "| 0 to 6 mm | 100 | 40 | 90 | not established | not established | not established |" in text
    assert "| 20 mm and more |" in text


def test_lung_blocks_come_from_stored_files(tmp_path, figures):
    stored = tmp_path / "crossvalidation.json"
    stored.write_text(json.dumps(figures))
    (tmp_path / lung.OUTLINE_FIGURES).write_text(json.dumps({"centre": outlined(), "moved_3_mm": outlined()}))
    found = lung.blocks(stored)
    assert "| Nodules (patients) | 12 (9) | 12 (9) |" in found["outline"]
    assert "| Dice, mean, benign (n 5) | 0.800 (0.790 to 0.810) |" in found["outline"]
    assert "n = 7." in found["descriptors"]
    assert "| spiculation | 0.400 (0.390 to 0.410) |" in found["descriptors"]
    assert "soft less median labels: -0.010" in found["labels"]
    assert "0.860 (0.800 to 0.900)" in found["others"]


def test_oct_blocks_come_from_stored_figures(tmp_path):
    probe = {"name": "white fill", "n": 12, "before": 0.9, "after": 0.51}
    (tmp_path / oct_card.PROBES).write_text(json.dumps({"probes": [probe]}))
    (tmp_path / oct_card.FLUID).write_text(json.dumps({"fluid_left_out": {"dice_lowest_patient": 0.4}}))
    found = oct_card.blocks(tmp_path)
    assert "| white fill | 12 | 0.900 | 0.510 |" in found["shortcuts"]
    assert "| Dice lowest patient | 0.400 |" in found["fluid"]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("lung_nodule", ("size", "descriptors", "labels", "others", "outline")),
        ("retinal_oct", ("shortcuts", "fluid")),
        ("skin_lesion", ("outline", "measurements", "focus")),
        ("liver_fibrosis", ("oracle", "gate")),
    ],
)
def test_every_card_has_one_place_for_each_of_its_tables(task, names):
    path = load_plugin(builtin_folder() / task).card_path()
    assert path is not None
    text = path.read_text(encoding="utf-8")
    assert with_blocks(text, dict.fromkeys(names, "fresh")).count("fresh") >= len(names)
