"""Charts of an audit as static SVG, from the same data that the page draws from."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from whycad.audit.findings import Chart
from whycad.audit.report.heatmap_chart import draw_heatmap
from whycad.audit.report.plane_charts import draw_bins, draw_lines, draw_points, is_named
from whycad.audit.report.row_charts import draw_rows
from whycad.audit.report.scales import shows_bands

NOTHING_TO_DRAW = "There is nothing to draw."


@dataclass(frozen=True)
class Drawn:
    """A chart's picture and what must be said of it.

    Attributes
    ----------
    svg : Markup
        Empty where nothing can be drawn.
    remark : str
        What was left out, in a sentence; may be empty.
    """

    svg: Markup
    remark: str = ""


def draw_chart(chart: Chart) -> Drawn:
    """Draw a chart.

    Marks that do not fit the kind of chart (a name where a number must be) are left out, and so is
    what would be too much to see; ``remark`` says how many.
    """
    if not any(series.marks for series in chart.series):
        return Drawn(Markup(""), NOTHING_TO_DRAW)
    drawn, left_out = _draw(chart)
    if drawn is None:
        return Drawn(Markup(""), NOTHING_TO_DRAW)
    total = sum(len(series.marks) for series in chart.series)
    remarks = [f"{total - left_out:,} of {total:,} marks are drawn."] if left_out else []
    if not shows_bands(chart) and any(mark.low is not None for series in chart.series for mark in series.marks):
        remarks.append("Intervals of so many lines are left to the table.")
    return Drawn(drawn, " ".join(remarks))


def _draw(chart: Chart) -> tuple[Markup | None, int]:
    if chart.kind == "heatmap":
        return draw_heatmap(chart)
    if chart.kind == "interval" or (chart.kind in ("bar", "histogram") and is_named(chart)):
        return draw_rows(chart)
    if chart.kind in ("bar", "histogram"):
        return draw_bins(chart)
    return draw_points(chart) if chart.kind == "scatter" else draw_lines(chart)
