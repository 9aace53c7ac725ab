"""Which series is which: a line of names above a chart."""

from __future__ import annotations

from whycad.audit.findings import Chart
from whycad.audit.report.svg import Drawing, cut, series_look, text_width

HEIGHT = 20.0
SIGN_WIDTH = 34.0
GAP = 22.0
NAME_WIDTH = 240.0
# More names than this are a table's work.
MAX_NAMES = 12
LEFT = 4.0


def legend_places(chart: Chart, width: float) -> list[tuple[int, float, int]]:
    """Return, per series with a name, its index, its left edge and its line; empty where there is one series."""
    if len(chart.series) < 2:
        return []
    found, x, line = [], 0.0, 0
    for index, series in enumerate(chart.series[:MAX_NAMES]):
        taken = SIGN_WIDTH + text_width(cut(series.name, NAME_WIDTH)) + GAP
        if x and x + taken > width:
            x, line = 0.0, line + 1
        found.append((index, x, line))
        x += taken
    return found


def legend_lines(chart: Chart, width: float) -> int:
    """Return how many lines the legend takes."""
    places = legend_places(chart, width - LEFT)
    return places[-1][2] + 1 if places else 0


def draw_legend(drawing: Drawing, chart: Chart, width: float) -> None:
    """Draw the legend at the top, where there are several series."""
    for index, x, line in legend_places(chart, width - LEFT):
        look = series_look(index)
        y = 12.0 + HEIGHT * line
        if chart.kind in ("line", "interval"):
            drawing.line((LEFT + x, y), (LEFT + x + 26, y), look.colour, 2.0, look.dash)
        drawing.mark((LEFT + x + 13, y), look)
        drawing.text((LEFT + x + SIGN_WIDTH, y + 4), cut(chart.series[index].name, NAME_WIDTH))
