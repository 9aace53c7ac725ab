"""An audit's charts as plotly figures, each datum clickable; no Streamlit here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dashboard.figures import CALM, CLEAR, QUIET, calm, ink
from dashboard.figures_uncertainty import axis
from whycad.audit.findings import Chart, Mark, Series, Severity
from whycad.audit.report.scales import shows_bands
from whycad.wording import printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe & Ito, in an order in which neighbours differ most for every kind of colour vision.
SERIES_COLOURS = ("#2b7bba", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8795a1")
SERIES_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
SEVERITY_COLOURS = {
    Severity.CRITICAL: "#c0392b", Severity.WARNING: "#c78500", Severity.OK: "#2e8b57", Severity.UNKNOWN: QUIET,
}  # fmt: skip
SEVERITY_SYMBOLS = {
    Severity.CRITICAL: "diamond", Severity.WARNING: "square", Severity.OK: "circle", Severity.UNKNOWN: "circle-open",
}  # fmt: skip
HEAT = ("#f2f5f8", "#bcd4e6", "#6ba3cf", "#2b7bba", "#0b3f6b")
HEIGHT, ROW_PX, MOST_PX = 320, 34, 1400
LONGEST = 34
LONGEST_ALT = 12


def audit_chart(chart: Chart, *, dark: bool = False) -> go.Figure:
    """Draw a chart of an audit.

    Parameters
    ----------
    chart : Chart
    dark : bool
        Whether the page is dark.

    Returns
    -------
    Figure
        The ``customdata`` of each datum starts with the numbers of its series and mark.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    draw = {"interval": _intervals, "bar": _bars, "histogram": _bars, "line": _lines, "scatter": _points}
    if chart.kind == "heatmap":
        _cells(figure, chart, dark=dark)
    else:
        for number, series in enumerate(chart.series):
            draw[chart.kind](figure, chart, number, series, dark=dark)
    _lay_out(figure, chart, dark=dark)
    _add_references(figure, chart)
    return figure


def mark_of(chart: Chart, point: Mapping[str, Any]) -> Mark | None:
    """Return the mark that a clicked point of a figure stands for; None where it stands for none."""
    data = point.get("customdata")
    try:
        # Streamlit gives lists back as mappings where there are several dimensions.
        numbers = list(data.values()) if isinstance(data, Mapping) else list(data or ())
        series, mark = int(numbers[0]), int(numbers[1])
        return chart.series[series].marks[mark] if series >= 0 and mark >= 0 else None
    except (TypeError, ValueError, IndexError):
        return None


def mark_name(chart: Chart, mark: Mark) -> str:
    """Name a mark for the reader."""
    x, y = (_value(part) for part in (mark.x, mark.y))
    if chart.kind == "interval":
        return y
    if chart.kind == "heatmap":
        return f"{y}, {x}"
    if chart.kind in ("bar", "histogram"):
        return x if isinstance(mark.x, str) else f"{chart.x_title} {x}".strip()
    return f"{chart.x_title} {x}, {chart.y_title} {y}"


def audit_chart_alt(chart: Chart) -> str:
    """Say in words what a chart shows."""
    marks = [(series.name, mark) for series in chart.series for mark in series.marks]
    if chart.kind == "scatter" or len(marks) > LONGEST_ALT:
        counts = ", ".join(f"{series.name or 'all'} {len(series.marks)}" for series in chart.series[:LONGEST_ALT])
        return printable(f"{chart.title}. {chart.x_title} against {chart.y_title}; points: {counts}", 600)
    parts = (f"{name} {mark_name(chart, mark)}: {mark_words(chart, mark)}".strip() for name, mark in marks)
    return printable(f"{chart.title}. {'; '.join(parts)}", 600)


def mark_words(chart: Chart, mark: Mark) -> str:
    """Return a mark's value with its interval and count."""
    value = mark.z if chart.kind == "heatmap" else mark.x if chart.kind == "interval" else mark.y
    text = "not established" if value is None else _value(value)
    if mark.low is not None and mark.high is not None:
        text += f" ({mark.low:.3g} to {mark.high:.3g})"
    return f"{text}, n {mark.n:,}" if mark.n is not None else text


def _value(value: float | str) -> str:
    return printable(value, LONGEST) if isinstance(value, str) else f"{value:.3g}"


def _numbered(number: int, marks: Sequence[Mark], chart: Chart) -> list[list[object]]:
    return [[number, i, mark_name(chart, mark), mark_words(chart, mark)] for i, mark in enumerate(marks)]


def _hover(series: Series) -> str:
    name = f"{_safe(series.name)}: " if series.name else ""
    return f"{name}%{{customdata[2]}}: %{{customdata[3]}}<extra></extra>"


def _safe(text: object) -> str:
    """Return text that plotly shows as it is: it reads a little HTML and its own braces."""
    return printable(text, LONGEST).replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")


def _errors(marks: Sequence[Mark], centre: Sequence[float], *, dark: bool) -> dict[str, Any]:
    """Return whiskers from ``low`` to ``high``."""
    up = [0.0 if m.high is None else max(0.0, m.high - c) for m, c in zip(marks, centre, strict=True)]
    down = [0.0 if m.low is None else max(0.0, c - m.low) for m, c in zip(marks, centre, strict=True)]
    colour = {"color": ink(dark=dark), "thickness": 1.6, "width": 0}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **colour}


def _colours(marks: Sequence[Mark], usual: str) -> list[str]:
    return [usual if m.severity is None else SEVERITY_COLOURS[m.severity] for m in marks]


def _symbol(number: int) -> str:
    """Return a series' symbol: where colours begin again, symbols go on by one, so that no two series look alike."""
    return SERIES_SYMBOLS[(number + number // len(SERIES_COLOURS)) % len(SERIES_SYMBOLS)]


def _floats(values: Sequence[float | str]) -> list[float]:
    return [value if isinstance(value, int | float) else math.nan for value in values]


def _intervals(figure: go.Figure, chart: Chart, number: int, series: Series, *, dark: bool) -> None:
    centre = _floats([mark.x for mark in series.marks])
    usual = SERIES_COLOURS[number % len(SERIES_COLOURS)]
    symbol = _symbol(number)
    figure.add_scatter(
        x=centre,
        y=[_safe(mark.y) for mark in series.marks],
        name=_safe(series.name),
        mode="markers",
        error_x=_errors(series.marks, centre, dark=dark),
        marker={
            "size": 12,
            "color": _colours(series.marks, usual),
            "symbol": [symbol if m.severity is None else SEVERITY_SYMBOLS[m.severity] for m in series.marks],
        },
        customdata=_numbered(number, series.marks, chart),
        hovertemplate=_hover(series),
    )


def _bars(figure: go.Figure, chart: Chart, number: int, series: Series, *, dark: bool) -> None:
    heights = _floats([mark.y for mark in series.marks])
    known = any(mark.low is not None for mark in series.marks)
    figure.add_bar(
        x=[_safe(mark.x) if isinstance(mark.x, str) else mark.x for mark in series.marks],
        y=heights,
        name=_safe(series.name),
        marker_color=_colours(series.marks, SERIES_COLOURS[number % len(SERIES_COLOURS)]),
        error_y=_errors(series.marks, heights, dark=dark) if known else None,
        customdata=_numbered(number, series.marks, chart),
        hovertemplate=_hover(series),
    )


def _lines(figure: go.Figure, chart: Chart, number: int, series: Series, *, dark: bool) -> None:
    colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
    marks = series.marks
    x = [mark.x for mark in marks]
    if shows_bands(chart) and any(mark.low is not None and mark.high is not None for mark in marks):
        band = [mark for mark in marks if mark.low is not None and mark.high is not None]
        edge = [*(m.high for m in band), *(m.low for m in reversed(band))]
        figure.add_scatter(
            x=[*(m.x for m in band), *(m.x for m in reversed(band))],
            y=edge,
            fill="toself",
            mode="lines",
            line={"width": 0, "color": colour},
            opacity=0.18,
            fillcolor=colour,
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=x,
        y=_floats([mark.y for mark in marks]),
        name=_safe(series.name),
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": "solid" if number < len(SERIES_COLOURS) else "dot"},
        marker={"size": 7, "color": colour, "symbol": _symbol(number)},
        customdata=_numbered(number, marks, chart),
        hovertemplate=_hover(series),
    )


def _points(figure: go.Figure, chart: Chart, number: int, series: Series, *, dark: bool) -> None:
    edge = "rgba(0,0,0,0.35)" if dark else "rgba(255,255,255,0.9)"
    figure.add_scatter(
        x=[_safe(mark.x) if isinstance(mark.x, str) else mark.x for mark in series.marks],
        y=[_safe(mark.y) if isinstance(mark.y, str) else mark.y for mark in series.marks],
        name=_safe(series.name),
        mode="markers",
        marker={
            "size": 9,
            "opacity": 0.8,
            "color": _colours(series.marks, SERIES_COLOURS[number % len(SERIES_COLOURS)]),
            "symbol": _symbol(number),
            "line": {"width": 1, "color": edge},
        },
        customdata=_numbered(number, series.marks, chart),
        hovertemplate=_hover(series),
    )


def _cells(figure: go.Figure, chart: Chart, *, dark: bool) -> None:
    """Draw a heat map; unseen markers over its cells take the clicks, which cells themselves cannot."""
    marks = [mark for series in chart.series for mark in series.marks]
    columns = list(dict.fromkeys(_safe(mark.x) for mark in marks))
    rows = list(dict.fromkeys(_safe(mark.y) for mark in marks))
    grid: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    for mark in marks:
        grid[rows.index(_safe(mark.y))][columns.index(_safe(mark.x))] = mark.z
    known = [mark.z for mark in marks if mark.z is not None]
    scale = [[i / (len(HEAT) - 1), colour] for i, colour in enumerate(HEAT)]
    figure.add_heatmap(z=grid, x=columns, y=rows, colorscale=scale, showscale=False, hoverinfo="skip", xgap=2, ygap=2)
    low, high = min(known, default=0.0), max(known, default=1.0)
    for number, series in enumerate(chart.series):
        figure.add_scatter(
            x=[_safe(mark.x) for mark in series.marks],
            y=[_safe(mark.y) for mark in series.marks],
            mode="markers+text",
            text=["none" if mark.z is None else f"{mark.z:.2g}" for mark in series.marks],
            textfont={"size": 13, "color": _on_cells(series.marks, low, high, ink(dark=dark))},
            marker={"size": 34, "symbol": "square", "color": CALM, "opacity": 0},
            unselected={"marker": {"opacity": 0}},
            selected={"marker": {"opacity": 0}},
            customdata=_numbered(number, series.marks, chart),
            hovertemplate=_hover(series),
        )


def _on_cells(marks: Sequence[Mark], low: float, high: float, empty: str) -> list[str]:
    """Return the colour of the number on each cell: light on dark cells, ``empty`` where there is none."""
    middle = (low + high) / 2
    return [empty if mark.z is None else "#ffffff" if mark.z > middle else "#16212b" for mark in marks]


def _lay_out(figure: go.Figure, chart: Chart, *, dark: bool) -> None:
    rows = len({mark.y for series in chart.series for mark in series.marks})
    by_rows = chart.kind in ("interval", "heatmap")
    height = min(MOST_PX, ROW_PX * rows + 70) if by_rows else HEIGHT
    calm(figure, height, ink(dark=dark))
    named = [series.name for series in chart.series if series.name]
    if len(named) > 1 and chart.kind != "heatmap":
        figure.update_layout(
            showlegend=True,
            legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "bgcolor": CLEAR},
            height=height + 30,
        )
    figure.update_xaxes(title=_safe(chart.x_title), **axis(dark=dark), **_whole_numbers(chart))
    figure.update_yaxes(title=_safe(chart.y_title), **axis(dark=dark))
    if by_rows:
        figure.update_yaxes(autorange="reversed", type="category", title="")
    if chart.kind == "heatmap":
        figure.update_xaxes(showgrid=False)
        figure.update_yaxes(showgrid=False)
    if chart.kind == "histogram":
        figure.update_layout(bargap=0.06)
    figure.update_layout(clickmode="event+select", hovermode="closest")


def _whole_numbers(chart: Chart) -> dict[str, Any]:
    """Return how the axis of counts is labelled; counts that are all the same get room on both sides."""
    found = [mark.x for series in chart.series for mark in series.marks]
    whole = [float(x) for x in found if isinstance(x, int | float) and float(x).is_integer()]
    if chart.kind not in ("scatter", "line") or not whole or len(whole) < len(found):
        return {}
    alike = {"range": [whole[0] - max(1.0, 0.1 * abs(whole[0])), whole[0] + max(1.0, 0.1 * abs(whole[0]))]}
    return {"tickformat": ",", **(alike if len(set(whole)) == 1 else {})}


def _add_references(figure: go.Figure, chart: Chart) -> None:
    line = {"color": QUIET, "width": 1.5, "dash": "dot"}
    if chart.reference is not None:
        if chart.kind in ("interval", "histogram"):
            figure.add_vline(x=chart.reference, line=line, layer="below")
        else:
            figure.add_hline(y=chart.reference, line=line, layer="below")
    if chart.diagonal:
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=line, layer="below")
