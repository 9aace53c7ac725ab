"""The one card that says what the model says, how sure it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard import figures
from dashboard.components.rows import rows
from dashboard.state import COVERAGE_KEY, COVERAGES, DEFAULT_COVERAGE, OpenCase, coverage
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.performance import Performance
from whycad.types import AnalysisResult, Decision, DecisionKind, EvidenceLevel, Prediction
from whycad.uncertainty.calibration import StoredOperatingPoint


@dataclass(frozen=True)
class TaskFacts:
    """A task and its stored figures."""

    manifest: Manifest
    performance: Performance
    operating_points: dict[str, StoredOperatingPoint]


def decision_card(result: AnalysisResult, case: OpenCase, facts: TaskFacts) -> None:
    """Show answer, decision and the numbers behind them."""
    prediction, manifest = result.prediction, facts.manifest
    with st.container(border=True, key=f"card-{prediction.decision.kind.value}", gap="xsmall"):
        real = "real-data model" if manifest.evidence_level is EvidenceLevel.REAL else "model trained on simulated data"
        st.caption(f"{plain(manifest.title)} · {real}")
        if not wording.has_score(prediction):
            st.markdown("## No score")
            _decision(prediction.decision)
            return
        _answer(result, manifest)
        _decision(prediction.decision)
        rows(_numbers(result, facts), key="card")
    with st.container(border=True, key="card-labels", gap="xsmall"):
        _labels(prediction, manifest)
    _true_label(case, prediction, manifest)


def _answer(result: AnalysisResult, manifest: Manifest) -> None:
    prediction = result.prediction
    label = manifest.label(prediction.predicted)
    with st.container(key="answer", gap=None):
        st.markdown(f"## {plain(label.name)}")
        share = wording.percent(prediction.probability(label.code))
        st.markdown(f"### {plain(share)}")
        st.caption(f"calibrated · {plain(wording.members_text(prediction, label.code))}")
    reason = wording.leading_reason(result, manifest)
    if reason:
        st.caption(plain(reason, 400))


def _decision(decision: Decision) -> None:
    headline = wording.decision_headline(decision.kind)
    reasons = "  \n".join(plain(reason, 400) for reason in decision.reasons)
    if decision.kind is DecisionKind.REPORT:
        st.info(f"**{headline}**  \nThe set holds nothing that must not be missed. This is not an all-clear.")
    else:
        st.error(f"**{headline}**  \n{reasons}", icon=":material/warning:")


def _numbers(result: AnalysisResult, facts: TaskFacts) -> list[tuple[str, str]]:
    prediction, manifest, performance = result.prediction, facts.manifest, facts.performance
    level = coverage()
    ambiguous, disputed = wording.ambiguity(prediction), wording.disagreement(prediction)
    name = manifest.label(prediction.predicted).name
    return [
        (f"{100 * level:.0f} % set", wording.names(wording.set_at(prediction, level), manifest)),
        ("The image is ambiguous", f"{ambiguous[1]} ({ambiguous[0]:.2f})"),
        ("The members disagree", f"{disputed[1]} ({disputed[0]:.2f})"),
        ("Like the training images", wording.likeness_text(prediction)),
        (f"{name}, training images", wording.training_count(prediction.predicted, performance)),
        *(operating_row(prediction, name, facts) for name in prediction.operating_points),
    ]


def operating_row(prediction: Prediction, name: str, facts: TaskFacts) -> tuple[str, str]:
    """Return an operating point as a row: its score, which side it fell, what the threshold achieves."""
    score, threshold = prediction.operating_points[name]
    side = "above" if score >= threshold else "below"
    text = f"{wording.percent(score)}, {side} {wording.percent(threshold)}"
    stored = facts.performance.operating_points.get(name) or facts.operating_points.get(name)
    if stored is not None:
        text += f" (sensitivity {100 * stored.sensitivity:.0f} %, specificity {100 * stored.specificity:.0f} %)"
    return name.replace("_", " ").capitalize(), text


def _labels(prediction: Prediction, manifest: Manifest) -> None:
    st.markdown("**All labels**")
    figure = figures.label_chart(prediction, manifest, coverage(), dark=st.context.theme.type == "dark")
    alt = figures.label_chart_alt(prediction, manifest)
    st.plotly_chart(figure, key="label-chart", config={"displayModeBar": False}, alt=alt)
    st.segmented_control(
        "Coverage of the set",
        COVERAGES,
        key=COVERAGE_KEY,
        default=DEFAULT_COVERAGE,
        required=True,
        format_func=lambda level: f"{100 * level:.0f} %",
        help="In colour: the labels in the set, which holds the true one this often, class by class. Orange must not "
        "be missed. Dots are the members. Redrawn from the stored result.",
    )


def _true_label(case: OpenCase, prediction: Prediction, manifest: Manifest) -> None:
    if not case.true_label:
        return
    word = "simulated as" if case.study.simulated else "true label"
    if not case.label_revealed:
        if st.button(f"Reveal the {'answer' if case.study.simulated else 'true label'}", key="reveal"):
            case.label_revealed = True
            st.rerun()
        return
    agrees = "as the model says" if case.true_label == prediction.predicted else "not what the model says"
    st.markdown(f"{word.capitalize()}: **{plain(manifest.label(case.true_label).name)}**, {agrees}")
