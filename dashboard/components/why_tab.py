"""Why: the line of argument, known cases that are alike, the maps with their grades, what if, evidence."""

from __future__ import annotations

import streamlit as st

from dashboard import figures, figures_uncertainty, state
from dashboard.components.rows import rows
from dashboard.components.why.argument import argument_card
from dashboard.components.why.grades import grades_card
from dashboard.components.why.similar import similar_card
from dashboard.components.why.what_if import what_if_card
from dashboard.facts import TaskFacts
from dashboard.setting import Shown
from dashboard.state import CLINICIAN, READER_KEY, RESEARCHER, OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.report_evidence import CONCEPT_NOTE, OUTLINE_NOTE
from whycad.types import AnalysisResult, Concept


def why_tab(shown: Shown, case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Show everything that says why, for a clinician or a researcher."""
    result = shown.result
    if target:
        _reader()
        left, right = st.columns([1.25, 1], gap="small")
        with left:
            argument_card(result, case, facts.manifest)
        with right:
            similar_card(result, facts.manifest)
        grades_card(case, facts, target)
        what_if_card(case, facts.manifest)
    if has_evidence(result):
        _evidence(result)


def _reader() -> None:
    st.segmented_control(
        "Shown for",
        [CLINICIAN, RESEARCHER],
        key=READER_KEY,
        default=RESEARCHER if state.session().researcher else CLINICIAN,
        required=True,
        on_change=state.take_reader,
        label_visibility="collapsed",
        help="A clinician sees the best-graded gradient map and LIME; a researcher every method and parameter.",
    )


def has_evidence(result: AnalysisResult) -> bool:
    """Whether there is anything beside maps."""
    return bool(result.measurements or result.concepts or result.segmentations)


def _evidence(result: AnalysisResult) -> None:
    with st.container(border=True, key="evidence", gap="xsmall"):
        st.markdown("**Evidence**" + _of_slice(result))
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
