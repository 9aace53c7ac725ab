"""Audited shortcuts that are in the very image on show."""

from __future__ import annotations

import streamlit as st

from dashboard import what_if_work
from dashboard.components.audit.marks import badge
from dashboard.facts import TaskFacts
from dashboard.state import OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.audit.case_lines import CaseLine
from whycad.manifest import Manifest
from whycad.types import AnalysisResult
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.result import WhatIf


def shortcut_words(result: AnalysisResult, facts: TaskFacts) -> str:
    """Name the audited shortcuts in the image, in a few words."""
    if facts.audit is None:
        return "not audited yet"
    lines = facts.shortcuts(result)
    if lines:
        return ", ".join(line.what for line in lines)
    if len(result.source_shape) == 3 and not result.artefacts:
        return "not looked for in a volume"
    return "none of those that the audit found"


def shortcut_lines(result: AnalysisResult, case: OpenCase, facts: TaskFacts) -> None:
    """Say what the audit found of each, and what the answer is without it, where that was tried."""
    lines = facts.shortcuts(result)
    if not lines or facts.audit is None:
        return
    with st.container(border=True, key="shortcuts", gap="xsmall"):
        st.markdown("**Shortcuts in this image**")
        for number, line in enumerate(lines):
            _line(number, line, case, facts.manifest)
        split = f", {facts.audit.split} split" if facts.audit.split else ""
        simulated = " Simulated data." if facts.audit.simulated else ""
        st.caption(
            plain(f"From the audit on {facts.audit.data}{split}, {facts.audit.created_utc[:10]}.{simulated}", 200)
        )


def _line(number: int, line: CaseLine, case: OpenCase, manifest: Manifest) -> None:
    changes = case.work_for(manifest.id).changes
    st.markdown(f"{badge(line.severity)} **{plain(line.what.capitalize())}**: {plain(line.sentence, 600)}")
    if not line.artefact:
        return
    tried = next((change for change in changes.found if change.name == line.artefact), None)
    if tried is not None:
        st.markdown(plain(without_words(tried, manifest), 300))
    elif st.button(
        f"What does the model say without {plain(line.what)}?",
        key=f"without-{number}",
        type="tertiary",
        icon=":material/healing:",
        disabled=changes.busy,
    ):
        what_if_work.ask(case, manifest.id, WhatIfRequest(WhatIfKind.ARTEFACT, artefact=line.artefact))
        st.rerun()


def without_words(change: WhatIf, manifest: Manifest) -> str:
    """Say what the leading label's probability is without an artefact, instead of with it."""
    label = change.before.predicted
    now, then = (wording.percent(p.probability(label)) for p in (change.before, change.after))
    return f"Without it the probability of {manifest.label(label).name} is {then} instead of {now}."
