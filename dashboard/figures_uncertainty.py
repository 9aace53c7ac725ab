"""How sure a result is, as plotly figures; no Streamlit here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard import figures
from dashboard.figures import ALERT, CALM, QUIET, calm, ink
from whycad import wording
from whycad.manifest import Manifest
from whycad.types import Concept, OutOfDistribution, Prediction
from whycad.uncertainty.calibration_parts import Reliability
from whycad.uncertainty.ood import OodGate, OodReference

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 250
GATE_BINS = 28
QUARTERS, QUARTER_WORDS = (0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100 %")
# Ratings from the first level to the last, colour-blind safe and ordered by lightness (cividis).
RATING_COLOURS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")


def members_chart(prediction: Prediction, manifest: Manifest, *, dark: bool = False) -> go.Figure:
    """Draw each member's probability as a dot per label, and their mean as a line."""
    import plotly.graph_objects as go

    codes = figures.shown_order(prediction, manifest)[::-1]
    titles = [manifest.label(code).name for code in codes]
    members = prediction.member_probabilities
    figure = go.Figure()
    for title, code in zip(titles, codes, strict=True):
        column = members[:, prediction.labels.index(code)]
        figure.add_scatter(
            x=column.tolist(),
            y=[title] * len(members),
            mode="markers",
            marker={"size": 11, "color": CALM, "opacity": 0.65, "line": {"width": 1, "color": "rgba(255,255,255,0.9)"}},
            hovertemplate="%{y}, one member: %{x:.1%}<extra></extra>",
        )
    figure.add_scatter(
        x=[prediction.probability(code) for code in codes],
        y=titles,
        mode="markers",
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 2.5, "color": ink(dark=dark)}},
        hovertemplate="%{y}, all together: %{x:.1%}<extra></extra>",
    )
    calm(figure, max(120, 30 * len(codes) + 50), ink(dark=dark))
    figure.update_xaxes(range=[-0.04, 1.04], tickvals=QUARTERS, ticktext=QUARTER_WORDS, **axis(dark=dark))
    figure.update_yaxes(categoryarray=titles, range=[-0.6, len(codes) - 0.4], **axis(dark=dark))
    return figure


def members_alt(prediction: Prediction, manifest: Manifest) -> str:
    """Say in words what the members' dots show."""
    parts = (
        f"{manifest.label(code).name} {wording.members_text(prediction, code)}"
        for code in figures.shown_order(prediction, manifest)
    )
    return "Each member's probability: " + ", ".join(parts)


def reliability_chart(reliability: Reliability, confidence: float, *, dark: bool = False) -> go.Figure:
    """Draw said against observed on calibration cases, with the case's own place.

    Parameters
    ----------
    reliability : Reliability
    confidence : float
        Probability of the case's most probable label.
    dark : bool
    """
    import plotly.graph_objects as go

    top = reliability.top
    known = [(c, o, n) for c, o, n in zip(top.confidence, top.observed, top.counts, strict=True) if n and c is not None]
    most = max((n for _, _, n in known), default=1)
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": QUIET, "dash": "dot", "width": 1.5}, hoverinfo="skip"
    )
    figure.add_vline(x=confidence, line={"color": ALERT, "width": 2})
    left = confidence > 0.5  # the dots lie near the diagonal: words go above or below it
    figure.add_annotation(
        x=confidence,
        y=0.97 if left else 0.05,
        text="this case is here " if left else " this case is here",
        showarrow=False,
        xanchor="right" if left else "left",
        font={"color": ALERT, "size": 13},
    )
    figure.add_scatter(
        x=[c for c, _, _ in known],
        y=[o for _, o, _ in known],
        mode="lines+markers",
        line={"color": CALM, "width": 1.5},
        marker={"color": CALM, "size": [6 + 12 * (n / most) ** 0.5 for _, _, n in known], "opacity": 0.85},
        cliponaxis=False,
        customdata=[n for _, _, n in known],
        hovertemplate="said %{x:.0%}, came true %{y:.0%} of %{customdata} cases<extra></extra>",
    )
    return _unit_square(figure, "said", "came true", dark=dark)


def reliability_words(reliability: Reliability, confidence: float) -> str:
    """Say what became of calibration cases with about this confidence."""
    index = int(
        np.clip(np.searchsorted(reliability.edges, confidence, side="left") - 1, 0, len(reliability.top.counts) - 1)
    )
    n, observed = reliability.top.counts[index], reliability.top.observed[index]
    low, high = reliability.edges[index], reliability.edges[index + 1]
    band = f"between {100 * low:.0f} and {100 * high:.0f} %"
    if not n or observed is None:
        return f"No calibration case had a leading probability {band}, so what is said here is not established."
    few = " Few cases: take it as a hint." if n < 30 else ""
    return f"Of {n:,} calibration cases with a leading probability {band}, {100 * observed:.0f} % came true.{few}"


def gate_chart(gate: OodGate | OodReference, found: OutOfDistribution, *, dark: bool = False) -> go.Figure:
    """Draw the gate's score on calibration cases, its two limits, and the case's own score."""
    import plotly.graph_objects as go

    quantiles = np.asarray(gate.quantiles)
    # A percentile stands for one in a hundred cases: the histogram of the middles is the distribution.
    middles = (quantiles[:-1] + quantiles[1:]) / 2
    end = max(found.score, gate.reject_above, float(quantiles[-1]))
    end = min(end, 2.5 * max(gate.reject_above, float(quantiles[-1]), 1e-9))
    start = float(quantiles[0])
    counts, edges = np.histogram(middles, bins=GATE_BINS, range=(start, max(end, start + 1e-9)))
    figure = go.Figure()
    figure.add_bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(),
        y=(counts / 100).tolist(),
        width=float(edges[1] - edges[0]) * 0.92,
        marker_color=QUIET,
        hovertemplate="%{y:.0%} of the calibration cases<extra></extra>",
    )
    tallest = float(counts.max()) / 100
    here = min(found.score, end)
    lines = ((gate.refer_above, "refer", CALM, 1.16), (gate.reject_above, "no answer", CALM, 1.16))
    for x, words, colour, y in (*lines, (here, "this case", ALERT, 1.34)):
        figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=tallest * (y - 0.06), line={"color": colour, "width": 2})
        figure.add_annotation(x=x, y=tallest * y, text=words, showarrow=False, font={"color": colour, "size": 13})
    calm(figure, HEIGHT, ink(dark=dark))
    figure.update_xaxes(title="strangeness", **{**axis(dark=dark), "showgrid": False})
    figure.update_yaxes(visible=False, fixedrange=True, range=[0, tallest * 1.45])
    return figure


def gate_alt(found: OutOfDistribution) -> str:
    """Say in words where the case lies."""
    side = "below" if found.score <= found.threshold else "above"
    return (
        f"Strangeness of the calibration cases; this case is stranger than {found.percentile:.0f} % of them, "
        f"{side} the limit for referral"
    )


def concept_chart(concepts: Sequence[Concept], *, dark: bool = False) -> go.Figure:
    """Draw each concept's distribution over its ratings as one stacked bar."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [wording.concept_words(concept)[0] for concept in concepts][::-1]
    reversed_concepts = tuple(concepts)[::-1]
    for level in range(max(len(concept.levels) for concept in concepts)):
        shares = [c.probabilities[level] if level < len(c.levels) else 0.0 for c in reversed_concepts]
        words = [c.levels[level] if level < len(c.levels) else "" for c in reversed_concepts]
        figure.add_bar(
            x=shares,
            y=names,
            orientation="h",
            marker={"color": RATING_COLOURS[min(level, len(RATING_COLOURS) - 1)], "line": {"width": 0}},
            customdata=words,
            hovertemplate=f"%{{y}}, {level + 1}: %{{customdata}}, %{{x:.0%}}<extra></extra>",
            width=0.55,
        )
    for name, concept in zip(names, reversed_concepts, strict=True):
        text = f"{concept.expected:.1f} of {len(concept.levels)}"
        figure.add_annotation(
            x=1, y=name, xref="paper", text=text, showarrow=False, xanchor="right", xshift=figures.NUMBER_PX
        )
    figure.update_layout(barmode="stack")
    return figures.calm_rows(figure, len(names), ink(dark=dark))


def concept_alt(concepts: Sequence[Concept]) -> str:
    """Say in words what the bars show."""
    return "Ratings as radiologists would give them: " + "; ".join(" ".join(wording.concept_words(c)) for c in concepts)


def _unit_square(figure: go.Figure, x: str, y: str, *, dark: bool) -> go.Figure:
    calm(figure, HEIGHT, ink(dark=dark))
    for update, title in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        update(range=[0, 1.04], title=title, tickvals=QUARTERS, ticktext=QUARTER_WORDS, **axis(dark=dark))
    return figure


def axis(*, dark: bool) -> dict[str, Any]:
    """Return what every axis has: quiet lines, legible words, nothing to drag."""
    return {
        "fixedrange": True,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "gridcolor": "rgba(228,234,239,0.14)" if dark else "rgba(22,33,43,0.10)",
        "tickfont": {"size": 12, "color": ink(dark=dark)},
        "title_font": {"size": 13, "color": ink(dark=dark)},
    }
