"""The picture of a case with its maps, and the choice of the label that is explained."""

from __future__ import annotations

import streamlit as st

from dashboard import work
from dashboard.components.viewer import ViewerOptions, ViewerOverlay, viewer
from dashboard.state import OpenCase, Work
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.report import fidelity_text
from whycad.types import AnalysisResult, Attribution


def case_viewer(case: OpenCase, manifest: Manifest) -> str:
    """Show a case and its maps; return the label code that is explained.

    Changing the label shows the maps that are there; it never starts the model.
    """
    job = case.work_for(manifest.id)
    target = _choose_target(case, job.result, manifest)
    overlays = _overlays(job, target, manifest)
    options = ViewerOptions(
        tools=("pan", "point", "box"),
        overlay=overlays[0].id if overlays else "",
        simulated=case.study.simulated,
        footer=f"{manifest.id} {manifest.version}, {wording.NOTICE}",
    )
    event = viewer(case.image, overlays, key="case-viewer", options=options)
    if event.click is not None:
        _pixel(case, event.click)
    _offer_missing(case, job, manifest, target)
    return target


def _choose_target(case: OpenCase, result: AnalysisResult | None, manifest: Manifest) -> str:
    with st.container(horizontal=True, vertical_alignment="center", key="case-head"):
        st.markdown(f"**{plain(case.title, 60)}**" + ("  :orange-badge[simulated]" if case.study.simulated else ""))
        if result is None or not wording.has_score(result.prediction):
            return ""
        prediction = result.prediction
        codes = [prediction.predicted, *(c for c in wording.ranked(prediction) if c != prediction.predicted)]
        chosen = st.selectbox(
            "Explain",
            codes,
            key=f"target-{case.id}",
            format_func=lambda code: (
                f"Maps for {manifest.label(code).name}, {wording.percent(prediction.probability(code))}"
            ),
            width=270,
            label_visibility="collapsed",
            help="Which label the maps explain",
        )
    return chosen or prediction.predicted


def _overlays(job: Work, target: str, manifest: Manifest) -> list[ViewerOverlay]:
    if job.result is None:
        return []
    found = {a.method: a for a in job.result.attributions if a.target == target}
    order = [method for method in manifest.explain.methods if method in found]
    return [_overlay(job, found[method], manifest) for method in order]


def _overlay(job: Work, attribution: Attribution, manifest: Manifest) -> ViewerOverlay:
    """Return the overlay of a map, kept between reruns because it holds its own encoding."""
    key = (attribution.method, attribution.target)
    kept = job.overlays.get(key)
    if kept is None or kept.map is not attribution.map:
        kept = ViewerOverlay.from_attribution(
            attribution,
            name=wording.method_name(attribution.method),
            target=manifest.label(attribution.target).name,
            description=f"Fidelity: {fidelity_text(attribution.fidelity)}. Seed {attribution.seed}.",
        )
        job.overlays[key] = kept
    return kept


def _pixel(case: OpenCase, where: tuple[int, ...]) -> None:
    value = case.study.pixels[where]
    if case.study.is_colour:
        shown = "red, green, blue " + ", ".join(f"{round(255 * float(v))}" for v in value)
    else:
        shown = f"value {float(value):.4g} {case.study.unit}"
    place = ", ".join(f"{name} {i}" for name, i in zip(("row", "column")[-len(where) :], where[-2:], strict=False))
    st.caption(f"Pixel at {place}: {plain(shown)}")


def _offer_missing(case: OpenCase, job: Work, manifest: Manifest, target: str) -> None:
    """Offer the maps that are not there as a job that the reader starts."""
    if job.result is None or job.busy or not target:
        return
    have = {a.method for a in job.result.attributions if a.target == target}
    missing = [method for method in manifest.explain.methods if method not in have]
    name = plain(manifest.label(target).name)
    if missing and st.button(f"Explain for {name}", key="explain-for", icon=":material/play_arrow:"):
        work.explain_for(case, manifest, target, missing)
        st.rerun()
