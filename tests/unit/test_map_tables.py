"""Stored figures as Markdown: every number with its interval, small samples without numbers, simulated data named."""

import importlib.util
from pathlib import Path

import pytest

from whycad.map_tables import card_block, document
from whycad.model_card import card_text
from whycad.testing.plugins import write_plugin
from whycad.wording import METHOD_NAMES


def _helpers():
    path = Path(__file__).with_name("test_map_grades.py")
    spec = importlib.util.spec_from_file_location("map_grades_helpers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HELPERS = _helpers()


@pytest.fixture
def plugin(tmp_path):
    return write_plugin(tmp_path)


def test_the_document_holds_every_figure_and_how_it_was_made(plugin):
    kept = HELPERS.stored("", gradcam=HELPERS.method(), ig=HELPERS.method(passes=False))
    text = document([(plugin.manifest, kept)], METHOD_NAMES)
    assert "**Simulated data**" in text
    assert "`whycad explanations`" in text
    assert "| Grad-CAM | 30 | +0.20, +0.10 to +0.30 |" in text
    assert "| 10 / 10 / 7 / 3 |" in text
    assert "0.40 → 0.10, passes" in text
    assert "**fails**" in text
    assert "2.00, 1.90 to 2.10 (1.00)" in text
    assert "83 %, 73 % to 93 % (30 %)" in text
    assert "0.200 for an A" in text


def test_few_cases_give_no_numbers(plugin):
    text = card_block(HELPERS.stored("", gradcam=HELPERS.method(5, n_inside=5)), METHOD_NAMES)
    assert "+0.20" not in text
    assert text.count("not established") >= 6


def test_a_task_that_was_not_measured_is_named(plugin):
    from whycad.map_grades import MapGrades

    assert "Not measured" in document([(plugin.manifest, MapGrades())], METHOD_NAMES)
    assert "not established" in card_block(MapGrades(), METHOD_NAMES)


def test_a_card_gets_the_block_where_it_has_a_place_for_it(plugin):
    marks = "<!-- explanations: generated, do not edit -->\n\nold\n\n<!-- end of explanations -->\n"
    text = card_text(plugin, f"\n# Title\n\n{marks}")
    assert "old" not in text
    assert "Maps: not established" in text
    assert card_text(plugin, text) == text
    assert "Maps:" not in card_text(plugin, "\n# Title\n")
