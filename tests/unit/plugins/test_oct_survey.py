"""What a survey of a scan skips, and that it may."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.retinal_oct import survey
from plugins.retinal_oct.phantom_scan import ScanOptions, render_scan
from plugins.retinal_oct.survey import _largest_step, _step, survey_scan


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_border_rises_further_than_the_largest_step(seed):
    rng = np.random.default_rng(seed)
    image = rng.random((40, 24), np.float32)
    # Halves are rounded to even rows, so they are the hard ones.
    inner = rng.integers(0, 2 * len(image), image.shape[1]) / 2
    assert _step(image, inner) <= _largest_step(image)


@pytest.fixture
def searches(monkeypatch):
    asked = []
    find = survey.find_borders
    monkeypatch.setattr(survey, "find_borders", lambda *args: asked.append(1) or find(*args))
    return asked


def test_an_upright_scan_is_searched_once(searches):
    scan = render_scan(0, ScanOptions(size=(256, 256)))[0].astype(np.float32) / 255
    found = survey_scan(scan)
    assert len(searches) == 1
    assert found.layout.turned_step <= found.layout.turned_limit


def test_a_scan_upside_down_is_searched_both_ways(searches):
    scan = render_scan(0, ScanOptions(size=(256, 256)))[0][::-1].astype(np.float32) / 255
    found = survey_scan(np.ascontiguousarray(scan))
    assert len(searches) == 2
    assert found.layout.turned_step > found.layout.turned_limit
