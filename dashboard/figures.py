"""Results as plotly figures; no Streamlit here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whycad import wording
from whycad.manifest import Manifest
from whycad.types import Prediction

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Blue and vermilion of Okabe & Ito, legible on light and dark and apart for every kind of colour vision.
CALM, ALERT, QUIET = "#2b7bba", "#d55e00", "#8795a1"
INK_ON_LIGHT, INK_ON_DARK = "#16212b", "#e4eaef"
ROW_PX = 32


def label_chart(prediction: Prediction, manifest: Manifest, coverage: float, *, dark: bool = False) -> go.Figure:
    """Draw every label's probability as a bar, with one dot per member.

    Parameters
    ----------
    prediction : Prediction
        With a score.
    manifest : Manifest
    coverage : float
        Labels in the set at this level are in colour; those that must not be missed in the alert one.
    dark : bool
        Whether the page is dark.
    """
    import plotly.graph_objects as go

    codes = wording.ranked(prediction)[::-1]
    chosen = wording.set_at(prediction, coverage)
    titles = [manifest.label(code).name for code in codes]
    shares = [prediction.probability(code) for code in codes]
    figure = go.Figure()
    figure.add_bar(
        x=shares,
        y=titles,
        orientation="h",
        marker_color=[_colour(code, chosen, manifest) for code in codes],
        text=[wording.percent(share) for share in shares],
        customdata=[wording.members_text(prediction, code) for code in codes],
        hovertemplate="%{y}: %{text}, %{customdata}<extra></extra>",
        textposition="none",
        width=0.5,
    )
    _add_members(figure, prediction, codes, titles)
    _add_numbers(figure, titles, shares, bold={manifest.label(code).name for code in chosen})
    return _calm(figure, len(codes), INK_ON_DARK if dark else INK_ON_LIGHT)


def _colour(code: str, chosen: tuple[str, ...], manifest: Manifest) -> str:
    if code not in chosen:
        return QUIET
    return ALERT if manifest.label(code).must_not_miss else CALM


def _add_members(figure: go.Figure, prediction: Prediction, codes: tuple[str, ...], titles: list[str]) -> None:
    columns = [prediction.labels.index(code) for code in codes]
    members = prediction.member_probabilities
    figure.add_scatter(
        x=[float(members[m, c]) for c in columns for m in range(len(members))],
        y=[title for title in titles for _ in range(len(members))],
        mode="markers",
        marker={"size": 6, "color": "rgba(20,30,40,0.75)", "line": {"width": 1, "color": "rgba(255,255,255,0.9)"}},
        hovertemplate="%{y}, one member: %{x:.1%}<extra></extra>",
    )


def _add_numbers(figure: go.Figure, titles: list[str], shares: list[float], bold: set[str]) -> None:
    for title, share in zip(titles, shares, strict=True):
        text = wording.percent(share)
        figure.add_annotation(
            x=1,
            y=title,
            xref="paper",
            text=f"<b>{text}</b>" if title in bold else text,
            showarrow=False,
            xanchor="right",
        )


def _calm(figure: go.Figure, rows: int, ink: str) -> go.Figure:
    figure.update_layout(
        height=ROW_PX * rows + 16,
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        showlegend=False,
        bargap=0.4,
        dragmode=False,
        xaxis={"range": [-0.02, 1.25], "visible": False, "fixedrange": True},
        yaxis={"fixedrange": True, "ticks": "", "automargin": True, "tickfont": {"size": 13, "color": ink}},
        font={"size": 13, "color": ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_annotations(font={"size": 13, "color": ink})
    return figure


def label_chart_alt(prediction: Prediction, manifest: Manifest) -> str:
    """Say in words what the chart shows."""
    parts = (
        f"{manifest.label(code).name} {wording.percent(prediction.probability(code))}"
        for code in wording.ranked(prediction)
    )
    return "Calibrated probability of every label: " + ", ".join(parts)
