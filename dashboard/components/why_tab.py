"""What speaks for the answer: measurements, descriptors, outlines, and every map with its fidelity."""

from __future__ import annotations

import streamlit as st

from dashboard import figures, figures_uncertainty
from dashboard.components.rows import rows
from dashboard.setting import Shown
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.report import SIGNED_LEGEND, UNSIGNED_LEGEND, fidelity_text
from whycad.report_evidence import CONCEPT_NOTE, OUTLINE_NOTE
from whycad.targets import target_name
from whycad.types import AnalysisResult, Attribution, Concept


def why_tab(shown: Shown, manifest: Manifest, target: str) -> None:
    """Show evidence, then maps."""
    result = shown.result
    if has_evidence(result):
        _evidence(result)
    maps = [a for a in result.attributions if a.target == target]
    if not maps and target:
        st.markdown("No maps for this label yet.")
    elif maps:
        st.caption(
            "A map shows what mattered to the model's output. It does not outline disease, and a plausible map does "
            "not make the answer right."
        )
    for attribution in maps:
        _one_map(attribution, manifest)


def has_evidence(result: AnalysisResult) -> bool:
    """Whether there is anything beside maps."""
    return bool(result.measurements or result.concepts or result.segmentations)


def _evidence(result: AnalysisResult) -> None:
    st.markdown("**Evidence**" + _of_slice(result))
    with st.container(border=True, key="evidence", gap="xsmall"):
        if result.measurements:
            rows([wording.measurement_words(m) for m in result.measurements], key="measurements")
        if result.concepts:
            _concepts(result.concepts)
        if result.segmentations:
            drawn = ", ".join(f"{s.name} ({s.method})" for s in result.segmentations)
            st.caption(f"Outlined in the picture: {plain(drawn, 300)}. {OUTLINE_NOTE} The button Outline hides it.")


def _of_slice(result: AnalysisResult) -> str:
    return "" if result.profile is None else f", slice {result.profile.shown + 1}"


def _concepts(concepts: tuple[Concept, ...]) -> None:
    st.markdown("**Descriptors, as radiologists would rate them**")
    figure = figures_uncertainty.concept_chart(concepts, dark=figures.is_dark(st.context.theme.type))
    st.plotly_chart(figure, key="concepts", config=figures.CONFIG, alt=figures_uncertainty.concept_alt(concepts))
    st.caption(f"Each bar is a distribution over the ratings, the lowest dark on the left. {CONCEPT_NOTE}")
    rows([(c.question, wording.concept_words(c)[1]) for c in concepts], key="concepts")


def _one_map(attribution: Attribution, manifest: Manifest) -> None:
    with st.container(border=True, gap="xsmall"):
        grade = f" · grade {plain(attribution.fidelity.grade)}" if attribution.fidelity.grade else ""
        name = plain(target_name(attribution.target, manifest))
        st.markdown(f"**{plain(wording.method_name(attribution.method))}** for {name}{grade}")
        legend = SIGNED_LEGEND if attribution.signed else UNSIGNED_LEGEND
        st.markdown(f"{legend.capitalize()}. Fidelity: {plain(fidelity_text(attribution.fidelity), 600)}.")
        settings = ", ".join(f"{k} {v}" for k, v in sorted(attribution.parameters.items()))
        st.caption(f"Seed {attribution.seed}; {plain(settings, 600)}")
