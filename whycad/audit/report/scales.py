"""From numbers and names to places on a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from whycad.audit.findings import Chart
from whycad.wording import MINUS

# Beyond this a float's own arithmetic fails (a span that overflows), and no figure of an audit lies there.
LARGEST = 1e15
# Ratios that span less than this look the same on a linear scale.
LEAST_LOG_SPAN = 3.0
# Of more lines than this the intervals are left to the table.
MAX_BANDS = 6
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Numbers along an axis.

    Attributes
    ----------
    low, high : float
        Data at the two ends, ``low < high``.
    start, end : float
        Their places on the drawing, pixels.
    logarithmic : bool
        Only where ``low > 0``.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, pixels; what is beyond an end lies at it."""
        low, high = self._transformed(self.low), self._transformed(self.high)
        inside = min(self.high, max(self.low, value))
        share = (self._transformed(inside) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, n: int = 5) -> tuple[float, ...]:
        """Return about n round values between the ends."""
        return log_ticks(self.low, self.high, n) if self.logarithmic else round_ticks(self.low, self.high, n)

    def _transformed(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.logarithmic else value


@dataclass(frozen=True)
class Names:
    """Names along an axis, each with a band of its own.

    Attributes
    ----------
    names : tuple of str
        Unique, in order.
    start, end : float
        Pixels.
    """

    names: tuple[str, ...]
    start: float
    end: float

    @property
    def band(self) -> float:
        """Width of a band, pixels."""
        return abs(self.end - self.start) / max(1, len(self.names))

    def place(self, name: str) -> float:
        """Return the middle of a name's band, pixels."""
        share = (self.names.index(name) + 0.5) / len(self.names)
        return self.start + share * (self.end - self.start)


def as_number(value: float | str | None) -> float | None:
    """Return a number that can be drawn, or None for text and for nothing."""
    if value is None or isinstance(value, str):
        return None
    return min(LARGEST, max(-LARGEST, float(value)))


def fitted(values: Iterable[float | None], start: float, end: float, *, logarithmic: bool = False) -> Scale:
    """Return a scale that holds all values, ending at round numbers.

    Parameters
    ----------
    values : iterable of float or None
        None is left out; without any, the scale runs from 0 to 1.
    start, end : float
        Pixels.
    logarithmic : bool
        All values must then be positive.
    """
    known = [number for value in values if (number := as_number(value)) is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    if logarithmic:
        pad = max((high / low) ** 0.05, 1.05)
        return Scale(low / pad, high * pad, start, end, logarithmic=True)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-3):
        pad = max(abs(low) * 0.1, 0.01)
        low, high = low - pad, high + pad
    step = _step(low, high, 10)
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def round_ticks(low: float, high: float, n: int) -> tuple[float, ...]:
    """Return about n multiples of a round step between two numbers."""
    step = _step(low, high, n)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(index * step + 0.0 for index in range(first, last + 1))


def log_ticks(low: float, high: float, n: int) -> tuple[float, ...]:
    """Return powers of ten between two positive numbers, with twos and fives where there are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        ticks = tuple(t for d in decades for s in steps if low <= (t := s * 10.0**d) <= high)
        if len(ticks) >= 3:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / (n + 2)))]


def _step(low: float, high: float, n: int) -> float:
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    return min(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))


def tick_words(value: float, ticks: tuple[float, ...]) -> str:
    """Return a tick's number with no more decimals than the axis needs, and a true minus."""
    size = max((abs(tick) for tick in ticks), default=0.0)
    if size >= 1e6:
        text = f"{value:.3g}"
    else:
        decimals = next((d for d in range(7) if all(abs(t - round(t, d)) <= 1e-9 * max(size, 1e-9) for t in ticks)), 6)
        text = f"{value:g}" if decimals == 6 else f"{value:,.{decimals}f}"
    return text.replace("-", MINUS)


def log_tick_words(value: float) -> str:
    """Return a tick's number on a logarithmic axis."""
    return f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:g}".replace("-", MINUS)


def shows_bands(chart: Chart) -> bool:
    """Whether the lines of a chart are drawn with their intervals: bands of many lines hide one another.

    The page and the report ask here, so that both draw the same.
    """
    return chart.kind != "line" or len(chart.series) <= MAX_BANDS


def is_logarithmic(chart: Chart) -> bool:
    """Whether an interval chart shows ratios that need a logarithmic scale: no effect is 1 and nothing is below 0.

    The page and the report ask here, so that both draw the same.
    """
    if chart.kind != "interval" or chart.reference != 1:
        return False
    ends = [end for series in chart.series for mark in series.marks for end in (mark.x, mark.low, mark.high)]
    values = [number for end in ends if (number := as_number(end)) is not None]
    return bool(values) and min(values) > 1e-12 and max(values) / min(values) >= LEAST_LOG_SPAN
