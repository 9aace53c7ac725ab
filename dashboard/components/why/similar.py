"""Known cases whose features lie near, with their labels."""

from __future__ import annotations

from itertools import groupby

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import cache
from dashboard.text import plain
from whycad.manifest import Manifest
from whycad.neighbours import SAME_IMAGE_REMARK, is_same_image
from whycad.reference_index import STAND_IN
from whycad.types import AnalysisResult, SimilarCase

ROLES = {"leading": "of the leading label", "runner_up": "of the runner-up", "must_not_miss": "must not be missed"}


def similar_card(result: AnalysisResult, manifest: Manifest) -> None:
    """Show the nearest cases in a row, each with its label and distance."""
    with st.container(border=True, height="stretch", key="similar", gap="xsmall"):
        st.markdown("**Nearest known cases**")
        if not result.similar:
            st.markdown("This task has no reference set, or it is of other weights.")
            return
        pictures = [cache.reference_picture(manifest.id, case.reference, case.label) for case in result.similar]
        grid = st.grid(6, min_column_width=78, gap="xsmall")
        for case, (picture, simulated) in zip(result.similar, pictures, strict=True):
            _one(grid.container(gap=None), case, (picture, simulated), manifest.label(case.label).name)
        if any(stand_in for _, stand_in in pictures):
            st.caption(
                "Pictures: simulated stand-ins of the same label. Pictures of patients are not shipped; "
                "“whycad index” makes a set with pictures of your own."
            )
        for sentence in sentences(result.similar, manifest):
            st.caption(plain(sentence, 300))


def _one(place: DeltaGenerator, case: SimilarCase, shown: tuple[bytes, bool], name: str) -> None:
    picture, simulated = shown
    what = STAND_IN if simulated else "Known case"
    with place:
        if picture:
            st.image(picture, width="stretch", output_format="JPEG", alt=f"{what}: {name}")
        note = f"  \n{STAND_IN}" if picture and simulated else ""
        st.caption(f"{plain(name, 40)}  \n{case.distance:.2f}{note}")


def sentences(similar: tuple[SimilarCase, ...], manifest: Manifest) -> list[str]:
    """Say which cases are shown and how far off they are."""
    parts = []
    for role, cases in groupby(similar, key=lambda case: case.role):
        names = dict.fromkeys(manifest.label(case.label).name for case in cases)
        parts.append(f"{', '.join(names)} ({ROLES.get(role, role)})")
    said = [f"In order: {'; '.join(parts)}. Below each: cosine distance of the members' features, 0 is the same."]
    if any(is_same_image(case) for case in similar):
        said.append(SAME_IMAGE_REMARK)
    return said
