"""Findings read as a reader would say them."""

from __future__ import annotations

import pytest

from whycad.audit.data_words import compared, count, listed, sentence, times_words
from whycad.audit.stats import OddsRatio


def ratio(value, *cells):
    return OddsRatio(value, value / 2, value * 2, 0.01, cells)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (ratio(3.0, 30, 70, 20, 180), "ill is 3.0 times commoner in images with ink"),
        (ratio(1 / 16, 2, 248, 50, 150), "ill is 25 times rarer in images with ink"),
        (ratio(0.01, 0, 100, 20, 180), "no image with ink is ill"),
        (ratio(99.0, 100, 0, 20, 180), "all images with ink are ill"),
        (ratio(99.0, 50, 50, 0, 180), "ill occurs only in images with ink"),
    ],
)
def test_ratios_are_said_in_words_and_never_and_always_are_called_so(found, said):
    assert compared("ill", "with ink", found) == said


def test_counts_and_lists():
    assert count(1, "image") == "1 image"
    assert count(1200, "image") == "1,200 images"
    assert listed(["dark_corner"]) == "dark corner"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert sentence("no image.") == "No image."
    # Shares, not odds: 85 of 90 against 6 of 110 is 17 times as common, with odds 295 times as high.
    assert times_words(ratio(250.0, 85, 5, 6, 104).share_ratio) == "16 times commoner"
    assert times_words(ratio(1 / 2.5, 20, 80, 50, 50).share_ratio) == "2.5 times rarer"
