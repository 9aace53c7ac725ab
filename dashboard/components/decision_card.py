"""The one card that says what the model says, how sure it is, and what to do."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dashboard import figures
from dashboard.components.rows import rows
from dashboard.components.shortcuts import shortcut_words
from dashboard.facts import TaskFacts
from dashboard.setting import Shown, set_words, stage_rows
from dashboard.state import OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.types import Decision, DecisionKind, Prediction, TaskKind


def decision_card(shown: Shown, case: OpenCase, facts: TaskFacts) -> None:
    """Show answer, decision and the numbers behind them."""
    prediction, manifest = shown.prediction, facts.manifest
    with st.container(border=True, key=f"card-{prediction.decision.kind.value}", gap="xsmall"):
        _source(shown, facts)
        if not shown.scored:
            st.markdown("## No score")
            _decision(prediction.decision)
            return
        _answer(shown, manifest)
        _decision(prediction.decision)
        rows(_numbers(shown, facts), key="card")
    with st.container(border=True, key="card-labels", gap="xsmall"):
        _labels(shown, manifest)
    _true_label(case, shown.result.prediction, manifest)


def _source(shown: Shown, facts: TaskFacts) -> None:
    """Say which task this is, and for good what is simulated of it."""
    model = "model trained on simulated data" if facts.is_simulated else "real-data model"
    badge = "  :orange-badge[simulated data]" if shown.result.simulated else ""
    st.caption(f"{plain(facts.manifest.title)} · {model}{badge}")
    if wording.GATE_BYPASSED in shown.result.warnings:
        st.warning(f"**{plain(wording.GATE_BYPASSED, 300)}**", icon=":material/science:")


def _answer(shown: Shown, manifest: Manifest) -> None:
    prediction = shown.prediction
    label = manifest.label(prediction.predicted)
    with st.container(key="answer", gap=None):
        st.markdown(f"## {plain(label.name)}")
        share = wording.percent(prediction.probability(label.code))
        st.markdown(f"### {plain(share)}")
        basis = "calibrated" if shown.prior is None else "calibrated, at your prevalence"
        whole = "" if shown.result.profile is None else " · the whole volume"
        st.caption(f"{basis} · {plain(wording.members_text(prediction, label.code))}{whole}")
    reason = wording.leading_reason(replace(shown.result, prediction=prediction), manifest)
    if reason:
        st.caption(plain(reason, 400))


def _decision(decision: Decision) -> None:
    headline = wording.decision_headline(decision.kind)
    reasons = "  \n".join(plain(reason, 400) for reason in decision.reasons)
    if decision.kind is DecisionKind.REPORT:
        st.info(f"**{headline}**  \nNone of the task's reasons to refer holds. This is not an all-clear.")
    else:
        st.error(f"**{headline}**  \n{reasons}", icon=":material/warning:")


def _numbers(shown: Shown, facts: TaskFacts) -> list[tuple[str, str]]:
    prediction, manifest, performance = shown.prediction, facts.manifest, facts.performance
    ambiguous, disputed = wording.ambiguity(prediction), wording.disagreement(prediction)
    name = manifest.label(prediction.predicted).name
    return [
        *_stages(shown, facts),
        (f"{100 * shown.coverage:.0f} % set", set_words(shown.set_at(manifest), manifest)),
        ("The image is ambiguous", f"{ambiguous[1]} ({ambiguous[0]:.2f})"),
        ("The members disagree", f"{disputed[1]} ({disputed[0]:.2f})"),
        ("Like the training images", wording.likeness_text(prediction)),
        *_slices(shown),
        (f"{name}, training images", wording.training_count(prediction.predicted, performance)),
        *_found_in_subgroup(shown, facts),
        ("Shortcuts in this image", shortcut_words(shown.result, facts)),
        *(operating_row(shown.result.prediction, point, facts) for point in _points(prediction, manifest)),
    ]


def _found_in_subgroup(shown: Shown, facts: TaskFacts) -> list[tuple[str, str]]:
    """Return how often the leading label is found in the patient's subgroup where it is found least."""
    code = shown.prediction.predicted
    groups = facts.performance.subgroups_of(shown.result.metadata)
    known = [(group, figures) for group in groups if (figures := group.per_class.get(code)) and figures.established]
    if not known:
        return []
    group, figures = min(known, key=lambda item: item[1].sensitivity or 0.0)
    return [(f"Found among {wording.group_words(group.field, group.value)}", wording.share_with_interval(figures))]


def _stages(shown: Shown, facts: TaskFacts) -> list[tuple[str, str]]:
    """Return what clinicians decide by on an ordinal scale, each with its threshold where there is one."""
    prediction, manifest = shown.prediction, facts.manifest
    if manifest.kind is not TaskKind.ORDINAL:
        return []
    points = {point.labels: point.name for point in manifest.operating_points if shown.prior is None}
    found = []
    for name, share, above in stage_rows(prediction, manifest):
        point = points.get(above, "")
        found.append((name, operating_row(prediction, point, facts)[1] if _known(prediction, point) else share))
    return [*found, ("Expected stage", wording.expected_stage(prediction, manifest))]


def _known(prediction: Prediction, point: str) -> bool:
    return point in prediction.operating_points


def _points(prediction: Prediction, manifest: Manifest) -> list[str]:
    """Return the operating points that no row above has said."""
    if manifest.kind is not TaskKind.ORDINAL:
        return list(prediction.operating_points)
    said = {above for _, _, above in stage_rows(prediction, manifest)}
    return [p.name for p in manifest.operating_points if p.labels not in said and _known(prediction, p.name)]


def _slices(shown: Shown) -> list[tuple[str, str]]:
    profile = shown.result.profile
    if profile is None:
        return []
    counts = {kind: profile.decisions.count(kind.value) for kind in DecisionKind}
    n = len(profile.decisions)
    return [
        ("Slices that refer", f"{counts[DecisionKind.REFER]} of {n}"),
        ("Slices without an answer", f"{counts[DecisionKind.REJECT]} of {n}"),
    ]


def operating_row(prediction: Prediction, name: str, facts: TaskFacts) -> tuple[str, str]:
    """Return an operating point as a row: its score, which side it fell, what the threshold achieves.

    Score and threshold are at the prevalence of the calibration data; another one would move both alike.
    """
    score, threshold = prediction.operating_points[name]
    side = "above" if score >= threshold else "below"
    text = f"{wording.percent(score)}, {side} {wording.percent(threshold)}"
    stored = facts.performance.operating_points.get(name) or facts.operating_points.get(name)
    if stored is not None:
        text += f" (sensitivity {100 * stored.sensitivity:.0f} %, specificity {100 * stored.specificity:.0f} %)"
    return name.replace("_", " ").capitalize(), text


def _labels(shown: Shown, manifest: Manifest) -> None:
    st.markdown("**All labels**")
    chosen = shown.set_at(manifest)
    figure = figures.label_chart(shown.prediction, manifest, chosen, dark=figures.is_dark(st.context.theme.type))
    alt = figures.label_chart_alt(shown.prediction, manifest)
    st.plotly_chart(figure, key="label-chart", config=figures.CONFIG, alt=alt)
    basis = "your prevalence" if shown.prior is not None else "the calibration data's prevalence"
    st.caption(
        f"In colour: the {100 * shown.coverage:.0f} % set; orange must not be missed. Dots are the members. "
        f"At {basis}. Level and prevalence: How sure."
    )


def _true_label(case: OpenCase, prediction: Prediction, manifest: Manifest) -> None:
    if not case.true_label or case.task not in ("", manifest.id):
        return
    word = "simulated as" if case.study.simulated else "true label"
    if not case.label_revealed:
        if st.button(f"Reveal the {'answer' if case.study.simulated else 'true label'}", key="reveal"):
            case.label_revealed = True
            st.rerun()
        return
    agrees = "as the model says" if case.true_label == prediction.predicted else "not what the model says"
    st.markdown(f"{word.capitalize()}: **{plain(manifest.label(case.true_label).name)}**, {agrees}")
