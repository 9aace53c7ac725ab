"""The card's tables of oracle and gate say what the stored figures say."""

from __future__ import annotations

import json
import re

import pytest

from plugins.liver_fibrosis.card import GATE_FILE, blocks, gate_text, oracle_text
from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from whycad.errors import ManifestError
from whycad.model_card import card_text
from whycad.plugin import load_plugin

POINTS = ("at_least_f1", "at_least_f2", "at_least_f3", "f4")


def figure(value):
    return {"value": value, "interval": [value - 0.01, value + 0.01]}


@pytest.fixture
def oracle():
    parts = {"model": figure(0.95), "oracle": figure(0.98), "share": figure(0.969)}
    return {
        "data": "simulated data, 10 slices, scanner C",
        "oracle": "logistic regression",
        "liver_to_spleen_alone": {name: dict.fromkeys(POINTS, 0.8) for name in ("drawn", "measured in the image")},
        "model": {
            "quadratic_weighted_kappa": figure(0.87),
            "auroc": dict.fromkeys(POINTS, parts),
            "ece_excess": 0.004,
            "mean_set_size": 1.9,
            "share_contiguous": 1.0,
        },
    }


def test_the_oracle_table_gives_values_with_intervals(oracle):
    text = oracle_text(oracle)
    assert "**simulated data, 10 slices, scanner C.**" in text
    assert "| at least F2 | 0.950 (0.940 to 0.960) | 0.980 (0.970 to 0.990) | 0.969 (0.959 to 0.979) | 0.800 |" in text
    assert "| Quadratic-weighted kappa of the label | 0.870 (0.860 to 0.880) |" in text


def test_the_gate_table_counts():
    text = gate_text({"skin": {"n": 200, "refused": 0.995, "interval": [0.97, 0.999]}})
    assert "| skin | 200 | 99.5% (97.0% to 99.9%) |" in text


def test_broken_figures_are_a_plain_error(tmp_path, oracle):
    (tmp_path / "oracle-figures.json").write_text(json.dumps(oracle))
    with pytest.raises(ManifestError, match="cannot be read"):
        blocks(tmp_path)
    (tmp_path / GATE_FILE).write_text("{}")
    assert set(blocks(tmp_path)) == {"oracle", "gate"}


def test_the_card_is_up_to_date_and_has_no_gap():
    plugin = load_plugin(PLUGIN_FOLDER)
    path = plugin.card_path()
    assert path is not None
    stored = path.read_text(encoding="utf-8")
    assert card_text(plugin, stored) == stored
    assert not re.search(r"@@\w+@@", stored)
