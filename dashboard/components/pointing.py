"""For tasks that must be told where to look: the prompt before, and the question when another place is clicked."""

from __future__ import annotations

import streamlit as st

from dashboard import work
from dashboard.state import OpenCase
from whycad.manifest import Manifest

Index = tuple[int, ...]


def point_prompt(case: OpenCase, manifest: Manifest) -> None:
    """Ask for a click where the task needs one, or whether a new click is meant."""
    if not manifest.input.needs_region:
        return
    job, name = case.work_for(manifest.id), manifest.input.region_name
    with st.container(key="point-prompt"):
        if job.region is None:
            scroll = " Scroll with the wheel to find it." if len(case.study.spatial_shape) == 3 else ""
            st.info(f"**Click the {name}.**{scroll} Nothing is analysed before you do.", icon=":material/ads_click:")
        elif job.candidate is not None:
            _question(case, manifest, job.candidate)


def _question(case: OpenCase, manifest: Manifest, place: Index) -> None:
    job = case.work_for(manifest.id)
    st.warning(f"The analysis is of the ringed point. Analyse {place_words(place)} instead?", icon=":material/help:")
    with st.container(horizontal=True):
        if st.button("Analyse here", key="analyse-here", type="primary", icon=":material/play_arrow:"):
            work.point_at(case, manifest, place)
            st.rerun()
        if st.button("Keep the analysed point", key="keep-point"):
            job.candidate = None
            st.rerun()


def place_words(place: Index) -> str:
    """Return a place as the viewer's readout gives it: slices from 1, rows and columns from 0."""
    names = ("slice", "row", "column")[-len(place) :]
    return ", ".join(f"{n} {v + 1 if n == 'slice' else v}" for n, v in zip(names, place, strict=True))


def heed_click(case: OpenCase, manifest: Manifest, place: Index) -> None:
    """Start the analysis with the first click; ask about a later one elsewhere."""
    job = case.work_for(manifest.id)
    if job.region is None:
        work.point_at(case, manifest, place)
    elif tuple(round(v) for v in job.region.start) != place:
        job.candidate = place
    else:
        job.candidate = None
