"""Why, How sure, Checks, Provenance."""

from __future__ import annotations

import streamlit as st

from dashboard.components.decision_card import TaskFacts
from dashboard.components.rows import rows
from dashboard.state import COVERAGES, OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.report import SIGNED_LEGEND, UNSIGNED_LEGEND, fidelity_text, provenance_rows
from whycad.types import AnalysisResult, Attribution


def case_tabs(result: AnalysisResult, case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Show the four tabs of a case."""
    why, sure, checks, provenance = st.tabs(["Why", "How sure", "Checks", "Provenance"], key="case-tabs")
    scored = wording.has_score(result.prediction)
    with why:
        _why(result, facts.manifest, target)
    with sure:
        if scored:
            _how_sure(result, facts)
        else:
            st.markdown("There is no score, so there is nothing to be sure of.")
    with checks:
        _checks(result, case, facts)
    with provenance:
        rows(provenance_rows(result), key="provenance")


def _why(result: AnalysisResult, manifest: Manifest, target: str) -> None:
    maps = [a for a in result.attributions if a.target == target]
    if not maps:
        st.markdown("No maps for this label yet.")
    else:
        st.caption(
            "A map shows what mattered to the model's output. It does not outline disease, and a plausible map does "
            "not make the answer right."
        )
    for attribution in maps:
        _one_map(attribution, manifest)
    rows_of = [(m.name, f"{m.value:.3g} {m.unit}") for m in result.measurements]
    if rows_of:
        rows(rows_of, key="measurements")


def _one_map(attribution: Attribution, manifest: Manifest) -> None:
    with st.container(border=True, gap="xsmall"):
        grade = f" · grade {plain(attribution.fidelity.grade)}" if attribution.fidelity.grade else ""
        name = plain(manifest.label(attribution.target).name)
        st.markdown(f"**{plain(wording.method_name(attribution.method))}** for {name}{grade}")
        legend = SIGNED_LEGEND if attribution.signed else UNSIGNED_LEGEND
        st.markdown(f"{legend.capitalize()}. Fidelity: {plain(fidelity_text(attribution.fidelity), 600)}.")
        settings = ", ".join(f"{k} {v}" for k, v in sorted(attribution.parameters.items()))
        st.caption(f"Seed {attribution.seed}; {plain(settings, 600)}")


def _how_sure(result: AnalysisResult, facts: TaskFacts) -> None:
    prediction, manifest = result.prediction, facts.manifest
    st.markdown(plain(wording.uncertainty_sentence(prediction), 300))
    pairs = [
        (f"{100 * level:.0f} % set", wording.names(wording.set_at(prediction, level), manifest)) for level in COVERAGES
    ]
    u = prediction.uncertainty
    pairs += [
        ("Uncertainty in all, nats", f"{u.total:.3f}"),
        ("From the image (mean entropy of the members)", f"{u.aleatoric:.3f}"),
        ("From the members (mutual information)", f"{u.epistemic:.3f}"),
    ]
    gate = prediction.out_of_distribution
    if gate is not None:
        pairs.append(
            ("Strangeness", f"{gate.score:.3g} ({gate.method}), above {gate.threshold:.3g} the case is referred")
        )
    rows(pairs, key="how-sure")
    source = plain(result.provenance.calibration_set or wording.NOT_ESTABLISHED)
    st.caption(
        f"Calibrated on {source}. Sets are class by class: "
        "of the cases of each class, the stated share is covered. They promise nothing for images of another kind."
    )


def _checks(result: AnalysisResult, case: OpenCase, facts: TaskFacts) -> None:
    for warning in result.warnings or case.study.warnings:
        st.warning(plain(warning, 400), icon=":material/info:")
    prediction, manifest, performance = result.prediction, facts.manifest, facts.performance
    if not wording.has_score(prediction):
        return
    label = manifest.label(prediction.predicted)
    pairs = [
        (f"{label.name}, training images", wording.training_count(label.code, performance)),
        (f"{label.name}, found when present", wording.share_with_interval(performance.per_class.get(label.code))),
    ]
    groups = performance.subgroups_of(result.metadata)
    pairs += [
        (f"... among {_group(g.field, g.value)}", wording.share_with_interval(g.per_class.get(label.code)))
        for g in groups
    ]
    if not groups:
        known = ", ".join(sorted(set(result.metadata) & {"age_years", "sex", "site"}))
        pairs.append(("... in this patient's subgroup", wording.NOT_ESTABLISHED if known else "patient facts unknown"))
    pairs.append(("Shortcuts audited in this image", "not audited yet"))
    rows(pairs, key="checks")
    if performance.dataset:
        st.caption(f"Measured on {plain(performance.dataset)}, {performance.n:,} images; 95 % intervals.")
    facts_known = [wording.metadata_words(name, value) for name, value in sorted(result.metadata.items())]
    if facts_known:
        st.markdown("**Known of this image**")
        rows(facts_known, key="facts")


def _group(field: str, value: str) -> str:
    return {"sex": f"{value} patients", "site": f"lesions on the {value}"}.get(field, f"patients of {value} years")
