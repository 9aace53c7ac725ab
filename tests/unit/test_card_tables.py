"""The card's tables say what the stored figures say, and where nothing is established."""

from pathlib import Path

import pytest

from whycad.card_tables import BEGIN, END, with_tables
from whycad.manifest import load_manifest

FIGURES = {
    "dataset": "Made",
    "split": "val",
    "command": "whycad predict",
    "n": 1200,
    "n_groups": 900,
    "metrics": {"macro_auroc": {"value": 0.9512, "interval": [0.94, 0.96]}, "aurc": {"value": None, "interval": None}},
    "per_class": {
        "mel": {"n": 50, "auroc": 0.9, "auroc_interval": [0.85, 0.95], "sensitivity": 0.7, "interval": [0.6, 0.8]},
        "df": {"n": 3, "auroc": 0.99, "auroc_interval": None, "sensitivity": 1.0, "interval": None},
        "vasc": {"n": 0},
    },
    "training_counts": {"mel": 767},
    "operating_points": {
        "malignant": {"threshold": 0.1, "sensitivity": 0.95, "interval": [0.9, 0.98], "specificity": 0.6}
    },
    "subgroups": [
        {
            "field": "age_years",
            "value": "30-50",
            "n": 77,
            "metrics": {n: {"value": 0.8} for n in ("macro_auroc", "balanced_accuracy", "accuracy")},
        }
    ],
}


@pytest.fixture(scope="module")
def manifest(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def card(manifest):
    return with_tables(f"before\n{BEGIN}\nstale words\n{END}\nafter\n", manifest, [FIGURES])


def test_prose_stays_and_old_figures_go(card):
    assert card.startswith("before\n")
    assert card.endswith("after\n")
    assert "stale words" not in card


def test_figures_are_given_with_their_intervals(card):
    assert "| Macro AUROC | 0.951 (0.940 to 0.960) |" in card
    assert "| Melanoma | 767 | 50 | 0.900 (0.850 to 0.950) | 0.700 (0.600 to 0.800) |" in card
    assert "| age years: 30-50 | 77 | 0.800 | 0.800 | 0.800 |" in card


def test_what_has_no_interval_is_not_established(card):
    line = next(line for line in card.splitlines() if line.startswith("| Dermatofibroma"))
    assert line.count("not established") == 2
    assert "| malignant | 0.100 | not established | 0.950 (0.900 to 0.980) | not established |" in card
    assert "| Area under the risk-coverage curve | not established |" in card


def test_classes_that_were_not_tested_are_left_out(card):
    assert "Vascular" not in card


def test_writing_again_changes_nothing(card, manifest):
    assert with_tables(card, manifest, [FIGURES]) == card


def test_a_card_without_marks_is_left_alone(manifest):
    assert with_tables("prose only", manifest, [FIGURES]) == "prose only"
