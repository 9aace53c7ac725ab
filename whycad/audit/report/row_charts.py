"""Charts with a row per name: intervals as in a forest plot, and bars."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from whycad.audit.findings import Chart, Mark
from whycad.audit.report.legend import HEIGHT as LEGEND_HEIGHT
from whycad.audit.report.legend import draw_legend, legend_lines
from whycad.audit.report.scales import (
    Names,
    Scale,
    as_number,
    fitted,
    is_logarithmic,
    log_tick_words,
    tick_words,
)
from whycad.audit.report.svg import FONT_SIZE, Drawing, cut, mark_look, text_width, wrapped
from whycad.audit.words import interval_words

WIDTH = 680.0
MAX_ROWS = 40
NAME_WIDTH = 240.0
ROW_HEIGHT = 26.0
SERIES_HEIGHT = 15.0
AXIS_HEIGHT = 44.0


@dataclass(frozen=True)
class Row:
    """One estimate: the row's name, the value with its interval, and which series it is of."""

    name: str
    value: float
    low: float | None
    high: float | None
    mark: Mark
    series: int


@dataclass(frozen=True)
class Layout:
    """Where the rows of a chart lie."""

    names: Names
    scale: Scale
    top: float
    bottom: float
    n_series: int

    def middle(self, row: Row) -> float:
        """Return the height at which a row's estimate is drawn, pixels."""
        shift = (row.series - (self.n_series - 1) / 2) * SERIES_HEIGHT
        return self.names.place(row.name) + shift


def rows_of(chart: Chart) -> list[Row]:
    """Return the rows that can be drawn: of an interval chart ``y`` names the row, of bars ``x``."""
    found = []
    for index, series in enumerate(chart.series):
        for mark in series.marks:
            name, size = (mark.y, mark.x) if chart.kind == "interval" else (mark.x, mark.y)
            value = as_number(size)
            if value is not None:
                found.append(Row(str(name), value, as_number(mark.low), as_number(mark.high), mark, index))
    return found


def draw_rows(chart: Chart) -> tuple[Markup | None, int]:
    """Draw intervals or horizontal bars; return also how many marks were left out."""
    rows = rows_of(chart)
    names = tuple(dict.fromkeys(row.name for row in rows))[:MAX_ROWS]
    total = sum(len(series.marks) for series in chart.series)
    rows = [row for row in rows if row.name in names]
    if not rows:
        return None, total
    layout = _layout(chart, rows, names)
    drawing = Drawing(WIDTH, layout.bottom + AXIS_HEIGHT)
    draw_legend(drawing, chart, WIDTH)
    _draw_axis(drawing, chart, layout)
    for name in names:
        _draw_name(drawing, layout, name)
    for row in rows:
        _draw_row(drawing, chart, layout, row)
    return drawing.markup(chart.title), total - len(rows)


def _layout(chart: Chart, rows: list[Row], names: tuple[str, ...]) -> Layout:
    n_series = len(chart.series)
    top = 6.0 + LEGEND_HEIGHT * legend_lines(chart, WIDTH)
    lines = [wrapped(name, NAME_WIDTH) for name in names]
    height = max(ROW_HEIGHT, SERIES_HEIGHT * n_series + 10, (FONT_SIZE + 2) * max(map(len, lines)) + 6)
    bottom = top + height * len(names)
    left = max(text_width(line) for pair in lines for line in pair) + 18
    right = max(text_width(_value_words(row)) for row in rows) + 16 if n_series == 1 else 16
    ends = [end for row in rows for end in (row.value, row.low, row.high)]
    base = [chart.reference, 0.0 if chart.kind != "interval" else None]
    scale = fitted([*ends, *base], left, WIDTH - right, logarithmic=is_logarithmic(chart))
    return Layout(Names(names, top, bottom), scale, top, bottom, n_series)


def _draw_name(drawing: Drawing, layout: Layout, name: str) -> None:
    lines = wrapped(name, NAME_WIDTH)
    first = layout.names.place(name) + 4 - (FONT_SIZE + 1) / 2 * (len(lines) - 1)
    for index, line in enumerate(lines):
        drawing.text((layout.scale.start - 12, first + index * (FONT_SIZE + 1)), line, "end")


def _value_words(row: Row) -> str:
    return interval_words(row.value, row.low, row.high)


def _draw_axis(drawing: Drawing, chart: Chart, layout: Layout) -> None:
    scale, bottom = layout.scale, layout.bottom
    ticks = scale.ticks()
    for tick in ticks:
        x = scale.place(tick)
        drawing.line((x, layout.top), (x, bottom), "grid")
        words = log_tick_words(tick) if scale.logarithmic else tick_words(tick, ticks)
        drawing.text((x, bottom + FONT_SIZE + 3), words, "middle", "quiet")
    title = chart.x_title if chart.kind == "interval" else chart.y_title
    middle = (scale.start + scale.end) / 2
    drawing.text((middle, bottom + 2 * FONT_SIZE + 10), cut(title, WIDTH - 40), "middle", "quiet")
    if chart.reference is not None:
        x = scale.place(chart.reference)
        drawing.line((x, layout.top), (x, bottom), "quiet", 1.5, "4 3")


def _draw_row(drawing: Drawing, chart: Chart, layout: Layout, row: Row) -> None:
    look = mark_look(row.mark.severity, row.series, layout.n_series)
    y, place = layout.middle(row), layout.scale.place
    said = f"{row.name}: {_value_words(row)}" + (f", n = {row.mark.n:,}" if row.mark.n is not None else "")
    if chart.kind != "interval":
        base, tip = place(0.0), place(row.value)
        drawing.rect((min(base, tip), y - 6), (max(abs(tip - base), 1.0), 12), look.colour, said)
    if row.low is not None and row.high is not None:
        drawing.line((place(row.low), y), (place(row.high), y), "ink", 1.6)
        for end in (row.low, row.high):
            drawing.line((place(end), y - 3), (place(end), y + 3), "ink", 1.6)
    if chart.kind == "interval":
        drawing.mark((place(row.value), y), look, said)
    if layout.n_series == 1:
        drawing.text((WIDTH - 4, layout.names.place(row.name) + 4), _value_words(row), "end", "quiet")
