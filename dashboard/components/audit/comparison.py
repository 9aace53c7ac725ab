"""Two runs side by side: what changed, with both intervals."""

from __future__ import annotations

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from dashboard.components.audit.marks import area, badge
from dashboard.components.audit.run_picker import run_title
from dashboard.figures import is_dark
from dashboard.interval_svg import interval_alt, interval_svg, reaches
from dashboard.text import error_text, plain
from whycad.audit.compare import FindingPair, compare_findings
from whycad.audit.findings import Audit, Finding
from whycad.audit.run.runs import AuditRun, find_run
from whycad.audit.words import audit_title, effect_words
from whycad.errors import DatasetError

LINE = (0.9, 1.1, 3.4, 2.1, 2.1)
CHANGES = {
    "worse": ":red[**worse**]",
    "new": ":orange[**new**]",
    "better": ":green[**better**]",
    "gone": "gone",
    "moved": ":orange[moved]",
    "same": ":gray[same]",
}


def comparison(place: AuditPlace, run: AuditRun, audit: Audit) -> None:
    """Show what changed from the other run to the one on show."""
    if st.button("Verdict", key="end-comparison", icon=":material/arrow_back:"):
        place.other = ""
        st.rerun()
    try:
        other = find_run(cache.settings().audits, place.other)
        before = cache.audit_of(other)
    except DatasetError as error:
        st.warning(error_text(error))
        return
    pairs = compare_findings(before.findings, audit.findings)
    changed = [pair for pair in pairs if pair.change != "same"]
    st.markdown("### What changed")
    st.caption(
        f"Before: {plain(run_title(other), 200)}. Now: {plain(run_title(run), 200)}. "
        "Moved: the verdict is the same, but the two intervals lie apart."
    )
    _same_data(before, audit)
    everything = st.toggle(f"Show the {len(pairs) - len(changed)} that are the same too", key="compare-all")
    with st.container(border=True, key="comparison", gap=None):
        if not changed and not everything:
            st.markdown("No verdict changed.")
        scale = reaches([f for pair in pairs for f in (pair.before, pair.after) if f is not None])
        for number, pair in enumerate(pairs if everything else changed):
            _line(number, pair, dict(scale), place)


def _same_data(before: Audit, after: Audit) -> None:
    if before.data.sha256 != after.data.sha256 or before.data.split != after.data.split:
        st.info(
            f"The two runs are of different data ({plain(audit_title(before))}; {plain(audit_title(after))}): "
            "differences may come from the data.",
            icon=":material/info:",
        )


def _line(number: int, pair: FindingPair, scale: dict[str, float], place: AuditPlace) -> None:
    with st.container(key=f"line-compare-{number}", gap=None):
        change, what, sentence, before, after = st.columns(LINE, gap="xsmall", vertical_alignment="center")
        change.markdown(CHANGES[pair.change])
        what.markdown(f":gray[{area(pair.shown)}]")
        if sentence.button(plain(pair.shown.message, 400), key=f"compare-open-{number}", type="tertiary"):
            place.other = ""
            place.go(pair.shown.check)
            st.rerun()
        with before.container(gap=None):
            _side("Before", pair.before, scale)
        with after.container(gap=None):
            _side("Now", pair.after, scale)


def _side(when: str, finding: Finding | None, scale: dict[str, float]) -> None:
    if finding is None:
        st.markdown(f":small[:gray[{when}: not found]]")
        return
    words = effect_words(finding)
    st.markdown(f":small[:gray[{when}]] {badge(finding.severity)}")
    svg = interval_svg(finding, scale.get(finding.effect_name, 0.0), dark=is_dark(st.context.theme.type))
    if svg:
        st.image(svg, alt=interval_alt(finding, words))
    st.markdown(f":small[:gray[{plain(words) or f'n = {finding.n:,}'}]]")
