"""Charts in a plane: lines with bands, scattered points, and bars over numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from whycad.audit.findings import Chart, Mark
from whycad.audit.report.legend import HEIGHT as LEGEND_HEIGHT
from whycad.audit.report.legend import draw_legend, legend_lines
from whycad.audit.report.scales import Names, Scale, as_number, fitted, shows_bands, tick_words
from whycad.audit.report.svg import FONT_SIZE, Drawing, cut, mark_look, series_look, text_width
from whycad.audit.words import interval_words, number_words

WIDTH, PLOT_HEIGHT = 680.0, 280.0
# A square frame where the diagonal means equality.
SQUARE_WIDTH = 400.0
# Above these, marks hide one another and the file grows for nothing.
MAX_POINTS = 2000
MAX_MARKERS = 30
MAX_WHISKERS = 12
BOTTOM = 46.0


@dataclass(frozen=True)
class Place:
    """One mark that can be drawn: its numbers (``x`` of names is their index) and which series it is of."""

    x: float
    y: float
    low: float | None
    high: float | None
    mark: Mark
    series: int


@dataclass(frozen=True)
class Frame:
    """The two axes of a chart; ``names`` where the horizontal one has names instead of numbers."""

    x: Scale
    y: Scale
    width: float
    names: Names | None

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies, pixels."""
        if self.names is None:
            return self.x.place(x), self.y.place(y)
        return self.names.place(self.names.names[int(x)]), self.y.place(y)


def is_named(chart: Chart) -> bool:
    """Whether any ``x`` is a name."""
    return any(isinstance(mark.x, str) for series in chart.series for mark in series.marks)


def draw_lines(chart: Chart) -> tuple[Markup | None, int]:
    """Draw a line per series, with its band; return also how many marks were left out."""
    return _drawn(chart, _paint_lines)


def draw_points(chart: Chart) -> tuple[Markup | None, int]:
    """Draw points; return also how many marks were left out."""
    return _drawn(chart, _paint_points)


def draw_bins(chart: Chart) -> tuple[Markup | None, int]:
    """Draw vertical bars over numbers; return also how many marks were left out."""
    return _drawn(chart, _paint_bins)


def _drawn(chart: Chart, paint: Callable[[Drawing, Chart, Frame, Sequence[Place]], None]) -> tuple[Markup | None, int]:
    names = _names(chart)
    places = _places(chart, names)
    total = sum(len(series.marks) for series in chart.series)
    if not places:
        return None, total
    top = 32.0 + LEGEND_HEIGHT * legend_lines(chart, SQUARE_WIDTH if chart.diagonal else WIDTH)
    frame = _frame(chart, places, names, top)
    drawing = Drawing(frame.width, top + PLOT_HEIGHT + BOTTOM)
    draw_legend(drawing, chart, frame.width)
    _draw_axes(drawing, chart, frame)
    paint(drawing, chart, frame, places)
    return drawing.markup(chart.title), total - len(places)


def _names(chart: Chart) -> tuple[str, ...] | None:
    if not is_named(chart):
        return None
    return tuple(dict.fromkeys(str(mark.x) for series in chart.series for mark in series.marks))


def _places(chart: Chart, names: tuple[str, ...] | None) -> list[Place]:
    index = {name: float(i) for i, name in enumerate(names or ())}
    share = max(1, -(-sum(len(series.marks) for series in chart.series) // MAX_POINTS))
    found = []
    for number, series in enumerate(chart.series):
        for mark in series.marks[::share]:
            x = as_number(mark.x) if names is None else index[str(mark.x)]
            y = as_number(mark.y)
            if x is not None and y is not None:
                found.append(Place(x, y, as_number(mark.low), as_number(mark.high), mark, number))
    return found


def _frame(chart: Chart, places: Sequence[Place], names: tuple[str, ...] | None, top: float) -> Frame:
    bars = chart.kind in ("bar", "histogram")
    bands = shows_bands(chart)
    ends = [end for place in places for end in ((place.y, place.low, place.high) if bands else (place.y,))]
    xs: list[float | None] = [place.x for place in places]
    if bars:
        half = _bin_width(places) / 2
        ends.append(0.0)
        xs = [place.x + side for place in places for side in (-half, half)]
    if chart.diagonal:
        ends, xs = [*ends, *xs], [*xs, *ends]
    y = fitted([*ends, chart.reference], top + PLOT_HEIGHT, top)
    ticks = y.ticks()
    left = max(text_width(tick_words(tick, ticks)) for tick in ticks) + 16
    width = max(SQUARE_WIDTH, 40 + left) if chart.diagonal else WIDTH
    x = fitted(xs, left, width - 16)
    return Frame(x, y, width, Names(names, left, width - 16) if names else None)


def _draw_axes(drawing: Drawing, chart: Chart, frame: Frame) -> None:
    left, right, bottom = frame.x.start, frame.x.end, frame.y.start
    ticks = frame.y.ticks()
    for tick in ticks:
        y = frame.y.place(tick)
        drawing.line((left, y), (right, y), "grid")
        drawing.text((left - 8, y + 4), tick_words(tick, ticks), "end", "quiet")
    for x, words in _x_ticks(frame):
        drawing.line((x, bottom), (x, bottom + 4), "quiet")
        drawing.text((x, bottom + FONT_SIZE + 5), words, "middle", "quiet")
    drawing.line((left, bottom), (right, bottom), "quiet")
    drawing.text(((left + right) / 2, bottom + 2 * FONT_SIZE + 12), cut(chart.x_title, right), "middle", "quiet")
    drawing.text((4, frame.y.end - 15), cut(chart.y_title, frame.width - 8), "start", "quiet")
    if chart.reference is not None:
        y = frame.y.place(chart.reference)
        drawing.line((left, y), (right, y), "quiet", 1.5, "4 3")
    if chart.diagonal and frame.names is None:
        low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
        drawing.line(frame.at(low, low), frame.at(high, high), "quiet", 1.2, "4 3")


def _x_ticks(frame: Frame) -> list[tuple[float, str]]:
    if frame.names is None:
        ticks = frame.x.ticks()
        return [(frame.x.place(tick), tick_words(tick, ticks)) for tick in ticks]
    # Names that would run into one another are left out.
    step = max(1, -(-45 // max(1, int(frame.names.band))))
    return [(frame.names.place(name), cut(name, frame.names.band * step - 6)) for name in frame.names.names[::step]]


def _paint_lines(drawing: Drawing, chart: Chart, frame: Frame, places: Sequence[Place]) -> None:
    n_series = len(chart.series)
    for number in range(n_series):
        mine = [place for place in places if place.series == number]
        if n_series > 1 or len(mine) > MAX_WHISKERS:
            if shows_bands(chart):
                _paint_band(drawing, frame, mine, number)
        else:
            _paint_whiskers(drawing, frame, mine)
    for number in range(n_series):
        mine = [place for place in places if place.series == number]
        look = series_look(number)
        if len(mine) > 1:
            drawing.curve([frame.at(place.x, place.y) for place in mine], look.colour, dash=look.dash)
        if len(mine) <= MAX_MARKERS:
            _paint_marks(drawing, chart, frame, mine)


def _paint_points(drawing: Drawing, chart: Chart, frame: Frame, places: Sequence[Place]) -> None:
    _paint_whiskers(drawing, frame, places)
    _paint_marks(drawing, chart, frame, places)


def _paint_band(drawing: Drawing, frame: Frame, places: Sequence[Place], number: int) -> None:
    known = [(place.x, place.low, place.high) for place in places if place.low is not None and place.high is not None]
    if len(known) > 1:
        upper = [frame.at(x, high) for x, _, high in known]
        lower = [frame.at(x, low) for x, low, _ in reversed(known)]
        drawing.area([*upper, *lower], series_look(number).colour)


def _paint_whiskers(drawing: Drawing, frame: Frame, places: Sequence[Place], shift: float = 0.0) -> None:
    for place in places:
        if place.low is not None and place.high is not None:
            x, top = frame.at(place.x, place.high)
            bottom = frame.at(place.x, place.low)[1]
            drawing.line((x + shift, top), (x + shift, bottom), "ink", 1.4)


def _paint_marks(drawing: Drawing, chart: Chart, frame: Frame, places: Sequence[Place]) -> None:
    size = 4.0 if len(places) <= 200 else 2.5
    for place in places:
        look = mark_look(place.mark.severity, place.series, len(chart.series))
        drawing.mark(frame.at(place.x, place.y), look, _said(chart, place), size)


def _paint_bins(drawing: Drawing, chart: Chart, frame: Frame, places: Sequence[Place]) -> None:
    n_series = len(chart.series)
    half = _bin_width(places) / 2
    for place in places:
        left, right = frame.at(place.x - half, 0)[0], frame.at(place.x + half, 0)[0]
        each = max(1.0, (right - left) * 0.92 / n_series)
        x = (left + right - each * n_series) / 2 + each * place.series
        base, tip = frame.y.place(0.0), frame.y.place(place.y)
        colour = mark_look(place.mark.severity, place.series, n_series).colour
        drawing.rect((x, min(base, tip)), (each, abs(tip - base)), colour, _said(chart, place))
        _paint_whiskers(drawing, frame, [place], x + each / 2 - frame.at(place.x, 0)[0])


def _bin_width(places: Sequence[Place]) -> float:
    xs = sorted({place.x for place in places})
    return min((after - before for before, after in itertools.pairwise(xs)), default=1.0)


def _said(chart: Chart, place: Place) -> str:
    name = chart.series[place.series].name
    x = place.mark.x if isinstance(place.mark.x, str) else number_words(place.x)
    n = f", n = {place.mark.n:,}" if place.mark.n is not None else ""
    return f"{name + ', ' if name else ''}{x}: {interval_words(place.y, place.low, place.high)}{n}"
