"""How far to trust an answer: where the doubt comes from, sets, calibration, gate, cost."""

from __future__ import annotations

import streamlit as st

from dashboard import figures
from dashboard import figures_uncertainty as charts
from dashboard.components.reader_setting import reader_setting
from dashboard.components.rows import rows
from dashboard.facts import TaskFacts
from dashboard.setting import Shown, set_words
from dashboard.state import COVERAGES
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.types import DecisionKind, TaskKind
from whycad.uncertainty.calibration_parts import HeldOutRisk
from whycad.uncertainty.conformal import always_included
from whycad.uncertainty.decision import expected_cost
from whycad.uncertainty.words import PARTS, set_sentence


def sure_tab(shown: Shown, facts: TaskFacts) -> None:
    """Show everything that says how sure the answer is; redrawn from the stored result."""
    if not shown.scored:
        st.markdown("There is no answer, so there is nothing to be sure of.")
        _gate(shown, facts)
        return
    st.markdown(plain(wording.uncertainty_sentence(shown.prediction), 300))
    reader_setting(shown, facts)
    _sets(shown, facts)
    left, right = st.columns(2, gap="small")
    with left.container(border=True, height="stretch", key="sure-parts", gap="xsmall"):
        _decomposition(shown, facts)
    with right.container(border=True, height="stretch", key="sure-members", gap="xsmall"):
        _members(shown, facts.manifest)
    left, right = st.columns(2, gap="small")
    with left.container(border=True, height="stretch", key="sure-reliability", gap="xsmall"):
        _reliability(shown, facts)
    with right.container(border=True, height="stretch", key="sure-gate", gap="xsmall"):
        _gate(shown, facts)
    with st.container(border=True, key="sure-cost", gap="xsmall"):
        _cost(shown, facts)


def _dark() -> bool:
    return figures.is_dark(st.context.theme.type)


def _sets(shown: Shown, facts: TaskFacts) -> None:
    manifest, calibration = facts.manifest, facts.calibration
    with st.container(border=True, key="sure-sets", gap="xsmall"):
        st.markdown("**What cannot be ruled out**")
        st.markdown(plain(set_sentence(shown.set_at(manifest), manifest, shown.coverage), 400))
        rows([(f"{100 * c:.0f} % set", set_words(shown.set_at(manifest, c), manifest)) for c in COVERAGES], key="sets")
        rare = () if calibration is None else always_included(calibration.conformal_scores, shown.coverage)
        if rare:
            st.caption(
                f"{plain(wording.names(rare, manifest))}: too few calibration cases to be left out of a set at this "
                "level, so always in it."
            )
        source = plain(shown.result.provenance.calibration_set or wording.NOT_ESTABLISHED)
        st.caption(
            f"Calibrated on {source}. Sets are class by class: of the cases of each class, the stated share is "
            "covered. They promise nothing for images of another kind."
        )


def _decomposition(shown: Shown, facts: TaskFacts) -> None:
    u = shown.result.prediction.uncertainty
    ambiguous, disputed = wording.ambiguity(shown.result.prediction), wording.disagreement(shown.result.prediction)
    st.markdown("**Where the doubt comes from**")
    pairs = [
        ("In all", f"{u.total:.3f} nats"),
        ("The image is ambiguous", f"{ambiguous[1]}, {u.aleatoric:.3f} nats"),
        ("The members disagree", f"{disputed[1]}, {u.epistemic:.3f} nats"),
    ]
    if facts.calibration is not None:
        percentile = facts.calibration.epistemic_percentile(u.epistemic)
        pairs.append(("They disagree more than on", f"{percentile:.0f} % of the calibration cases"))
    rows(pairs, key="how-sure")
    leading = "epistemic" if disputed[1] == "high" else "aleatoric" if ambiguous[1] != "low" else "total"
    st.caption(plain(PARTS[leading], 300))


def _members(shown: Shown, manifest: Manifest) -> None:
    n = len(shown.prediction.member_probabilities)
    st.markdown(f"**What each of {n} members says**" if n > 1 else "**There is one member**")
    figure = charts.members_chart(shown.prediction, manifest, dark=_dark())
    alt = charts.members_alt(shown.prediction, manifest)
    st.plotly_chart(figure, key="members-chart", config=figures.CONFIG, alt=alt)
    st.caption("A dot is one member, the line all together. They share the training data: all can be wrong alike.")


def _reliability(shown: Shown, facts: TaskFacts) -> None:
    st.markdown("**Does what is said come true?**")
    reliability = None if facts.calibration is None else facts.calibration.reliability
    if reliability is None:
        st.markdown(f"Reliability: {wording.NOT_ESTABLISHED}. It is not stored with this version of the task.")
        return
    confidence = float(shown.result.prediction.probabilities.max())
    figure = charts.reliability_chart(reliability, confidence, dark=_dark())
    said = charts.reliability_words(reliability, confidence)
    st.plotly_chart(figure, key="reliability-chart", config=figures.CONFIG, alt=f"Reliability diagram. {said}")
    st.markdown(plain(said, 300))
    whole = " They are single slices, this is a whole volume." if shown.result.profile is not None else ""
    st.caption(f"Held-out calibration cases, at their own prevalence; larger dots hold more cases.{whole}")


def _gate(shown: Shown, facts: TaskFacts) -> None:
    st.markdown("**Is it like the training images?**")
    found = shown.result.prediction.out_of_distribution
    gate = None if facts.calibration is None else facts.calibration.ood
    if found is None or gate is None:
        st.markdown(f"Strangeness: {wording.NOT_ESTABLISHED}.")
        return
    figure = charts.gate_chart(gate, found, dark=_dark())
    st.plotly_chart(figure, key="gate-chart", config=figures.CONFIG, alt=charts.gate_alt(found))
    st.markdown(f"{plain(wording.likeness_text(shown.result.prediction).capitalize(), 300)}")
    whole = " The strangest slice is shown." if shown.result.profile is not None else ""
    st.caption(
        f"Grey: the calibration cases. Above the first line the case is referred, above the second refused.{whole}"
    )


def _cost(shown: Shown, facts: TaskFacts) -> None:
    manifest = facts.manifest
    st.markdown("**What a report would cost on average**")
    costs = manifest.decision.costs
    if costs is None:
        st.markdown("The task has no cost table; its policy is a set of rules.")
    else:
        probabilities = shown.prediction.probabilities.astype(float)
        report = expected_cost(probabilities, shown.prediction.predicted, manifest)
        name = manifest.label(shown.prediction.predicted).name
        rows(
            [
                (f"Report {name}", f"{report:.2g}" + ("" if report <= costs.refer else ", more than a referral")),
                ("Refer", f"{costs.refer:g}"),
                ("Decline", f"{costs.reject:g}"),
            ],
            key="cost",
        )
        st.caption("In the units of the task's cost table, at the prevalence that is set above.")
    held_out = None if facts.calibration is None else facts.calibration.held_out
    if held_out is not None:
        st.markdown(plain(policy_sentence(held_out, manifest), 600))


def policy_sentence(risk: HeldOutRisk, manifest: Manifest) -> str:
    """Say what the policy did on held-out calibration cases, and what always reporting would have done."""
    shares = {kind: 100 * risk.shares.get(kind.value, 0.0) for kind in DecisionKind}
    wrong = "none" if risk.error_reported is None else f"{100 * risk.error_reported:.1f} %"
    what = "wrong stages" if manifest.kind is TaskKind.ORDINAL else "wrong labels"
    said = (
        f"On {risk.n:,} held-out calibration cases the policy reports {shares[DecisionKind.REPORT]:.0f} %, refers "
        f"{shares[DecisionKind.REFER]:.0f} % and declines {shares[DecisionKind.REJECT]:.0f} %; {what} among the "
        f"reported: {wrong}, if all were reported: {100 * risk.error_all:.1f} %."
    )
    if risk.harm_policy is None or risk.harm_report_all is None:
        return said
    return f"{said} Mean cost per case {risk.harm_policy:.2g}, if all were reported {risk.harm_report_all:.2g}."
