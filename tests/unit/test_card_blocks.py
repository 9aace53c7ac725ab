"""A task's own tables go to their places in the card and nowhere else."""

import pytest

from whycad.card_blocks import number, stored_text, table, with_blocks
from whycad.errors import ManifestError

MARKS = "<!-- gate: generated, do not edit -->\nold\n<!-- end of gate -->"


def test_only_what_is_between_the_marks_changes():
    card = with_blocks(f"before\n{MARKS}\nafter\n", {"gate": "new \\1"})
    assert card.startswith("before\n")
    assert card.endswith("after\n")
    assert "new \\1" in card
    assert "old" not in card
    assert with_blocks(card, {"gate": "new \\1"}) == card


@pytest.mark.parametrize("card", ["no marks", MARKS + MARKS])
def test_a_card_without_one_place_is_refused(card):
    with pytest.raises(ManifestError, match="gate table"):
        with_blocks(card, {"gate": "new"})


def test_numbers_have_their_interval():
    assert number({"value": 0.5, "interval": None}) == "0.500"
    assert number({"value": 0.5, "interval": [0.4, 0.61]}, digits=2) == "0.50 (0.40 to 0.61)"
    assert number({"value": None, "interval": None}) == "–"


def test_a_table_has_a_line_per_row():
    assert table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_broken_figures_are_a_plain_error(tmp_path, content):
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(ManifestError, match="cannot be read"):
        stored_text(path, lambda figures: figures["a"])
