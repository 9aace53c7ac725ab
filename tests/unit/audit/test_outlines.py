"""Dice and its summary, counted by hand."""

import numpy as np
import pytest

from whycad.audit.outlines import Outlined, dice_of, outline_summary


def test_dice_is_twice_the_common_area_over_the_sum():
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[:2], second[1:3] = True, True
    assert dice_of(first, second) == pytest.approx(0.5)
    assert dice_of(first, first) == 1
    assert dice_of(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 0


def test_the_summary_counts_groups_labels_and_what_was_not_outlined():
    cases = [Outlined(0.9, False, "g0", "a"), Outlined(0.8, False, "g0", "b"), Outlined(0.0, True, "g1", "b")] * 10
    found = outline_summary(cases, ("a", "b", "c"))
    assert (found["n"], found["n_groups"], found["counts"]) == (30, 2, {"a": 10, "b": 20, "c": 0})
    assert found["dice_mean"]["value"] == pytest.approx(1.7 / 3, abs=1e-4)
    assert found["dice_above_85"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["without_outline"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["dice_mean_b"]["value"] == pytest.approx(0.4)
    assert found["dice_mean_c"] == {"value": None, "interval": None}
    low, high = found["dice_mean"]["interval"]
    assert low == 0
    assert high == pytest.approx(0.85)
