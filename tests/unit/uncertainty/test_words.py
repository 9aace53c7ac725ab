"""Sentences for the reader say what the numbers mean, for every kind of task."""

from pathlib import Path

import pytest

from whycad.manifest import Label, load_manifest
from whycad.types import TaskKind
from whycad.uncertainty.ood import SCORES
from whycad.uncertainty.words import GATE_SENTENCES, doubt_words, gate_sentence, set_sentence, stranger_than


@pytest.fixture(scope="module")
def manifest(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


def test_every_score_of_the_gate_has_its_sentence():
    assert set(GATE_SENTENCES) == set(SCORES)
    assert all(gate_sentence(title) == GATE_SENTENCES[name] for name, title in SCORES.items())
    assert gate_sentence("something else") == ""


@pytest.mark.parametrize(
    ("percentile", "words"), [(50.0, "50 % of"), (98.4, "98 % of"), (99.4, "99 % of"), (99.6, "all"), (100.0, "all")]
)
def test_percentiles_in_words(percentile, words):
    assert stranger_than(percentile) == f"stranger than {words} the calibration images"


@pytest.mark.parametrize(
    ("share", "percentile", "words"),
    [
        (0.5, 50, "the image itself is ambiguous"),
        (0.1, 95, "the members disagree"),
        (0.5, 95, "the image itself is ambiguous, and the members disagree"),
        (0.1, 50, "clear to every member"),
    ],
)
def test_where_the_doubt_comes_from(share, percentile, words):
    assert doubt_words(share, percentile) == words


def test_sets_in_words(manifest):
    assert set_sentence(("nv",), manifest, 0.9) == "Melanocytic nevus alone: everything else is ruled out at 90 %."
    assert "none of these can be ruled out at 95 %" in set_sentence(("nv", "mel"), manifest, 0.95)
    assert "was not scored" in set_sentence((), manifest, 0.9)


def test_both_and_neither_are_explained(manifest):
    labels = (Label(code="a", name="A"), Label(code="b", name="B"))
    binary = manifest.model_copy(update={"kind": TaskKind.BINARY, "labels": labels})
    assert set_sentence(("a", "b"), binary, 0.9).startswith("Both: neither answer can be ruled out at 90 %.")
    assert set_sentence((), binary, 0.9).startswith("Neither: the image fits neither answer")
    assert set_sentence(("a",), binary, 0.9) == "A alone: everything else is ruled out at 90 %."


def test_stages_are_a_run(manifest):
    ordinal = manifest.model_copy(update={"kind": TaskKind.ORDINAL})
    assert set_sentence(("akiec", "bcc", "bkl"), ordinal, 0.8).startswith("Actinic keratosis to Benign keratosis:")
