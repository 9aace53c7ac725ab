"""Numbers and names find their places, whatever the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.audit.findings import Chart, Mark, Series
from whycad.audit.report.scales import (
    Names,
    as_number,
    fitted,
    is_logarithmic,
    log_tick_words,
    log_ticks,
    round_ticks,
    tick_words,
)

anything = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-9, 1e9)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(anything, min_size=1, max_size=8))
def test_every_value_lies_on_the_scale_and_in_its_order(values: list[float]) -> None:
    numbers = sorted(as_number(value) or 0.0 for value in values)
    scale = fitted(numbers, 100.0, 500.0)
    places = [scale.place(number) for number in numbers]
    assert all(math.isfinite(place) and 100 <= place <= 500 for place in places)
    assert places == sorted(places)
    slack = 1e-8 * (scale.high - scale.low)
    assert all(scale.low - slack <= number <= scale.high + slack for number in numbers)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(positive, min_size=1, max_size=8))
def test_ratios_lie_on_a_logarithmic_scale(values: list[float]) -> None:
    scale = fitted(values, 0.0, 300.0, logarithmic=True)
    assert all(scale.holds(value) for value in values)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())
    middle = math.sqrt(scale.low * scale.high)
    assert scale.place(middle) == pytest.approx(150)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything, st.floats(1e-6, 1e6))
def test_ticks_are_few_and_between_the_ends(low: float, span: float) -> None:
    low = math.fmod(low, 1e6)
    ticks = round_ticks(low, low + span, 5)
    slack = 1e-6 * max(abs(low), span)
    assert 1 <= len(ticks) <= 7
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_ticks_are_round_and_have_no_more_decimals_than_needed() -> None:
    ticks = round_ticks(-0.3, 0.2, 5)
    assert [tick_words(tick, ticks) for tick in ticks] == ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2"]
    assert [log_tick_words(tick) for tick in log_ticks(0.01, 100, 5)] == ["0.01", "0.1", "1", "10", "100"]
    assert tick_words(2_000_000, (0, 2_000_000)) == "2e+06"


def test_equal_values_still_have_a_scale() -> None:
    scale = fitted([0.7, 0.7], 0, 100)
    assert scale.low < 0.7 < scale.high
    assert fitted([], 0, 100).ticks()


def test_names_share_the_axis() -> None:
    names = Names(("a", "b", "c", "d"), 0, 400)
    assert [names.place(name) for name in names.names] == [50, 150, 250, 350]
    assert names.band == 100


@pytest.mark.parametrize(
    ("values", "reference", "wanted"),
    [((0.06, 2.4), 1.0, True), ((0.9, 1.2), 1.0, False), ((0.06, 2.4), 0.0, False), ((-1.0, 5.0), 1.0, False)],
)
def test_only_ratios_that_span_much_are_logarithmic(values: tuple[float, ...], reference: float, wanted: bool) -> None:
    marks = tuple(Mark(x=value, y=f"row {value}") for value in values)
    chart = Chart(key="k", title="t", kind="interval", series=(Series(marks=marks),), reference=reference)
    assert is_logarithmic(chart) is wanted
    assert not is_logarithmic(chart.model_copy(update={"kind": "line"}))
