"""Results as plotly figures; no Streamlit here. What says how sure a result is: ``figures_uncertainty``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from whycad import wording
from whycad.manifest import Manifest
from whycad.types import Prediction

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Blue and vermilion of Okabe & Ito, legible on light and dark and apart for every kind of colour vision.
CALM, ALERT, QUIET = "#2b7bba", "#d55e00", "#8795a1"
INK_ON_LIGHT, INK_ON_DARK = "#16212b", "#e4eaef"
CLEAR = "rgba(0,0,0,0)"
DOT = {"size": 6, "color": "rgba(20,30,40,0.75)", "line": {"width": 1, "color": "rgba(255,255,255,0.9)"}}
ROW_PX, NUMBER_PX = 32, 60
# Two lines of a long title are as high as a row.
TITLE_LETTERS = 22
CONFIG = {"displayModeBar": False}


def is_dark(theme: str | None) -> bool:
    """Whether figures are drawn for a dark page."""
    return theme == "dark"


def ink(*, dark: bool) -> str:
    """Return the colour of words and lines."""
    return INK_ON_DARK if dark else INK_ON_LIGHT


def label_chart(prediction: Prediction, manifest: Manifest, chosen: Sequence[str], *, dark: bool = False) -> go.Figure:
    """Draw every label's probability as a bar, with one dot per member.

    Parameters
    ----------
    prediction : Prediction
        With a score.
    manifest : Manifest
    chosen : sequence of str
        Labels of the set: they are in colour; those that must not be missed in the alert one.
    dark : bool
        Whether the page is dark.
    """
    import plotly.graph_objects as go

    codes = shown_order(prediction, manifest)[::-1]
    titles = [manifest.label(code).name for code in codes]
    shares = [prediction.probability(code) for code in codes]
    figure = go.Figure()
    figure.add_bar(
        x=shares,
        y=titles,
        orientation="h",
        marker_color=[label_colour(code, chosen, manifest) for code in codes],
        text=[wording.percent(share) for share in shares],
        customdata=[wording.members_text(prediction, code) for code in codes],
        hovertemplate="%{y}: %{text}, %{customdata}<extra></extra>",
        textposition="none",
        width=0.5,
    )
    _add_members(figure, prediction, codes, titles)
    add_numbers(figure, titles, shares, bold={manifest.label(code).name for code in chosen})
    return calm_rows(figure, len(codes), ink(dark=dark))


def shown_order(prediction: Prediction, manifest: Manifest) -> tuple[str, ...]:
    """Return label codes from most to least probable; stages keep their own order."""
    return manifest.label_codes if manifest.kind.value == "ordinal" else wording.ranked(prediction)


def label_colour(code: str, chosen: Sequence[str], manifest: Manifest) -> str:
    """Return a label's colour: quiet outside the set, alert where it must not be missed."""
    if code not in chosen:
        return QUIET
    return ALERT if manifest.label(code).must_not_miss else CALM


def _add_members(figure: go.Figure, prediction: Prediction, codes: Sequence[str], titles: Sequence[str]) -> None:
    columns = [prediction.labels.index(code) for code in codes]
    members = prediction.member_probabilities
    figure.add_scatter(
        x=[float(members[m, c]) for c in columns for m in range(len(members))],
        y=[title for title in titles for _ in range(len(members))],
        mode="markers",
        marker=DOT,
        hovertemplate="%{y}, one member: %{x:.1%}<extra></extra>",
    )


def add_numbers(figure: go.Figure, titles: Sequence[str], shares: Sequence[float], bold: set[str]) -> None:
    """Write the shares at the right edge, those of the titles in ``bold`` in bold."""
    for title, share in zip(titles, shares, strict=True):
        text = wording.percent(share)
        figure.add_annotation(
            x=1,
            y=title,
            xref="paper",
            text=f"<b>{text}</b>" if title in bold else text,
            showarrow=False,
            xanchor="right",
            xshift=NUMBER_PX,
        )


def calm_rows(figure: go.Figure, rows: int, colour: str) -> go.Figure:
    """Lay out a figure of named rows over 0..1 without axes, and with room for numbers on the right."""
    calm(figure, ROW_PX * rows + 16, colour)
    titles = list(dict.fromkeys(title for trace in figure.data for title in trace.y))
    figure.update_layout(
        bargap=0.4,
        margin_r=NUMBER_PX,
        xaxis={"range": [-0.02, 1.02], "visible": False, "fixedrange": True},
        yaxis={
            "fixedrange": True,
            "ticks": "",
            "automargin": True,
            "tickmode": "array",
            "tickvals": titles,
            "ticktext": ["<br>".join(textwrap.wrap(title, TITLE_LETTERS)) for title in titles],
            "tickfont": {"size": 13, "color": colour},
        },
    )
    figure.update_annotations(font={"size": 13, "color": colour})
    return figure


def calm(figure: go.Figure, height: int, colour: str) -> go.Figure:
    """Set height, words and background: no legend, nothing to drag."""
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        showlegend=False,
        dragmode=False,
        font={"size": 13, "color": colour},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
    )
    return figure


def label_chart_alt(prediction: Prediction, manifest: Manifest) -> str:
    """Say in words what the chart shows."""
    parts = (
        f"{manifest.label(code).name} {wording.percent(prediction.probability(code))}"
        for code in shown_order(prediction, manifest)
    )
    return "Calibrated probability of every label: " + ", ".join(parts)
