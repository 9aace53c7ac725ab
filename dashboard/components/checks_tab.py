"""What the training data says of such a case."""

from __future__ import annotations

import streamlit as st

from dashboard.components.rows import rows
from dashboard.components.shortcuts import shortcut_lines, shortcut_words
from dashboard.facts import TaskFacts
from dashboard.state import OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.types import AnalysisResult


def checks_tab(result: AnalysisResult, case: OpenCase, facts: TaskFacts) -> None:
    """Show warnings, training counts, sensitivity overall and in the patient's subgroup."""
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
        (f"... among {wording.group_words(g.field, g.value)}", wording.share_with_interval(g.per_class.get(label.code)))
        for g in groups
    ]
    if not groups:
        known = ", ".join(sorted(set(result.metadata) & {"age_years", "sex", "site"}))
        pairs.append(("... in this patient's subgroup", wording.NOT_ESTABLISHED if known else "patient facts unknown"))
    pairs.append(("Shortcuts audited in this image", shortcut_words(result, facts)))
    rows(pairs, key="checks")
    shortcut_lines(result, case, facts)
    if performance.dataset:
        st.caption(f"Measured on {plain(performance.dataset)}, {performance.n:,} images; 95 % intervals.")
    facts_known = [wording.metadata_words(name, value) for name, value in sorted(result.metadata.items())]
    if facts_known:
        st.markdown("**Known of this image**")
        rows(facts_known, key="facts")
