"""Every map with its grade, the reasons one click away."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import work
from dashboard.components.overlays import shown_maps
from dashboard.facts import TaskFacts
from dashboard.state import OpenCase, session
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.map_choice import SURROGATE_METHODS, methods_for_researchers, stops_early
from whycad.report import SIGNED_LEGEND, UNSIGNED_LEGEND, fidelity_text
from whycad.targets import target_name
from whycad.types import Attribution

BADGES = {"A": "green", "B": "yellow", "C": "orange", "fails": "red"}
MEANINGS = {
    "A": "passes every test that was run",
    "B": "passes, with reservations",
    "C": "barely better than knowing nothing of this image",
    "fails": "do not rely on this map",
}
NOTE = (
    "A map shows what mattered to the model's output. It does not outline disease, and a plausible map does "
    "not make the answer right."
)
STOPPING = (
    "These two draw samples. Switched on, they draw no more once the ranking of the superpixels is stable, so "
    "their maps come sooner and rest on fewer samples. Under Reasons, samples says how many were used and "
    "most_samples how many there could have been."
)


def grades_card(case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Show the maps of a target, each with its grade."""
    manifest = facts.manifest
    job, researcher = case.work_for(manifest.id), session().researcher
    maps = shown_maps(job, target, manifest, researcher=researcher)
    with st.container(border=True, key="grades", gap="xsmall"):
        st.markdown(f"**How far the maps for {plain(target_name(target, manifest))} can be trusted**")
        if not maps:
            st.markdown("No maps for this yet.")
        for attribution in maps:
            _row(attribution, facts, busy=job.busy)
        if maps:
            st.caption(NOTE)
        if researcher:
            _more(case, facts, target)


def badge(grade: str) -> str:
    """Return a grade as a coloured badge in Markdown."""
    return f":{BADGES[grade]}-badge[{grade}]" if grade in BADGES else ":gray-badge[not graded]"


def _row(attribution: Attribution, facts: TaskFacts, *, busy: bool) -> None:
    fidelity = attribution.fidelity
    with st.container(horizontal=True, vertical_alignment="center", key=f"grade-{attribution.method}", gap="small"):
        name = plain(wording.method_name(attribution.method))
        ungraded = "tests are still running" if busy else "not tested"
        st.markdown(f"{badge(fidelity.grade)} **{name}** · {MEANINGS.get(fidelity.grade, ungraded)}")
        with st.popover("Reasons", key=f"reasons-{attribution.method}"):
            _reasons(attribution, facts)
    if session().researcher:
        settings = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in sorted(attribution.parameters.items()))
        st.caption(f"Seed {attribution.seed}; {plain(settings, 600)}")


def _reasons(attribution: Attribution, facts: TaskFacts) -> None:
    legend = SIGNED_LEGEND if attribution.signed else UNSIGNED_LEGEND
    st.markdown(f"**{plain(wording.method_name(attribution.method))}**: {plain(legend)}.")
    for remark in attribution.fidelity.remarks:
        st.markdown(f"- {plain(remark, 400)}")
    st.markdown(f"Figures: {plain(fidelity_text(attribution.fidelity), 800)}.")
    sentence = facts.method_sentences.get(attribution.method, "")
    if sentence:
        st.markdown(plain(sentence, 400))
    else:
        st.caption("Over the calibration data: not established for this method.")


def _more(case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Offer the methods that have not run so; each is a job that the researcher starts."""
    job = case.work_for(facts.manifest.id)
    if job.busy:
        return
    stops = st.toggle("Stop LIME and KernelSHAP early", key="stop-when-stable", help=STOPPING)
    made = [a for a in job.result.attributions if a.target == target] if job.result is not None else []
    missing = methods_to_make(facts.manifest, made, stop_when_stable=stops)
    if not missing:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="more-maps"):
        chosen = st.multiselect(
            "More methods", missing, key="more-methods", format_func=wording.method_name, placeholder="Choose methods"
        )
        if st.button("Make these maps", key="make-maps", icon=":material/play_arrow:", disabled=not chosen):
            work.explain_for(case, facts.manifest, target, chosen, stop_when_stable=stops)
            st.rerun()


def methods_to_make(manifest: Manifest, made: Sequence[Attribution], *, stop_when_stable: bool) -> list[str]:
    """Return the methods without a map, and those whose map was made with the other choice of stopping."""
    have = {a.method for a in made if a.method not in SURROGATE_METHODS or stops_early(a) is stop_when_stable}
    return [method for method in methods_for_researchers(manifest.explain) if method not in have]
