"""The generated header: its figures, its order, and that the registry accepts it."""

import json

import yaml

from whycad.model_card import card_header, card_text
from whycad.registry import read_card_header
from whycad.testing.plugins import write_plugin


def figures(dataset, auroc):
    metrics = {
        "macro_auroc": {"value": auroc, "interval": [auroc - 0.011111, auroc + 0.01]},
        "ece_excess": {"value": 0.0123456, "interval": None},
        "brier": {"value": None, "interval": None},
        "not_in_cards": {"value": 1, "interval": None},
    }
    return json.dumps({"dataset": dataset, "split": "val", "metrics": metrics})


def test_every_set_of_figures_is_in_the_header_the_main_one_first(tmp_path):
    plugin = write_plugin(tmp_path)
    (plugin.folder / "performance-a.json").write_text(figures("Other set", 0.8))
    (plugin.folder / "performance.json").write_text(figures("Main set", 0.9))
    header = yaml.safe_load(card_header(plugin))
    results = header["model-index"][0]["results"]
    assert [result["dataset"]["name"] for result in results] == ["Main set", "Other set"]
    assert results[0]["dataset"]["type"] == "main-set"
    metrics = {metric["type"]: metric for metric in results[0]["metrics"]}
    assert metrics["roc_auc"]["value"] == 0.9
    assert metrics["roc_auc"]["args"] == {"interval_95": [0.8889, 0.91]}
    assert metrics["calibration_error"]["value"] == 0.0123
    assert set(metrics) == {"roc_auc", "calibration_error"}


def test_a_card_from_nothing_is_one_that_the_registry_reads(tmp_path):
    plugin = write_plugin(tmp_path)
    text = card_text(plugin, "")
    header = read_card_header(text)
    assert (header["id"], header["version"], header["labels"]) == (
        "tiny",
        "0.1.0",
        {"a": "Label a", "b": "Label b", "c": "Label c"},
    )
    assert "# Tiny test task" in text


def test_a_card_without_a_header_keeps_all_of_its_text(tmp_path):
    plugin = write_plugin(tmp_path)
    text = card_text(plugin, "# Title\n\n---\n\nA rule, not a header.\n")
    assert text.endswith("---\n# Title\n\n---\n\nA rule, not a header.\n")


def test_windows_line_ends_do_not_double_the_header(tmp_path):
    plugin = write_plugin(tmp_path)
    once = card_text(plugin, "")
    assert card_text(plugin, once.replace("\n", "\r\n")) == once
