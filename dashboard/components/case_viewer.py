"""The picture of a case with its maps and outlines, and the choice of the label that is explained."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from dashboard import state, work
from dashboard.components.pointing import heed_click, place_words, point_prompt
from dashboard.components.viewer import (
    ViewerEvent,
    ViewerOptions,
    ViewerOutline,
    ViewerOverlay,
    ViewerStrip,
    viewer,
)
from dashboard.facts import TaskFacts
from dashboard.setting import suspicious_label
from dashboard.state import OpenCase, Work
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.report import fidelity_text
from whycad.targets import target_name
from whycad.types import AnalysisResult, Attribution, DecisionKind, SliceProfile

HU_WINDOWS = (("Lung", -600.0, 1500.0), ("Mediastinum", 40.0, 400.0), ("Bone", 400.0, 1800.0))
EXPLAIN_SLICE = "Explain this slice"


def case_viewer(case: OpenCase, facts: TaskFacts) -> str:
    """Show a case and its maps; return the label code that is explained.

    Changing the label shows the maps that are there; it never starts the model.
    """
    manifest = facts.manifest
    job = case.work_for(manifest.id)
    target = _choose_target(case, job.result, manifest)
    point_prompt(case, manifest)
    overlays = _overlays(job, target, manifest)
    options = _options(case, job, manifest, overlays)
    event = viewer(case.image, overlays, key="case-viewer", outlines=_outlines(job), options=options)
    _heed(event, case, manifest, target)
    _offer_missing(case, job, manifest, target)
    return target


def _options(case: OpenCase, job: Work, manifest: Manifest, overlays: list[ViewerOverlay]) -> ViewerOptions:
    seeded = manifest.input.needs_region
    profile = None if job.result is None else job.result.profile
    volume = len(case.study.spatial_shape) == 3
    return ViewerOptions(
        tools=("pan", "point", "box"),
        tool="point" if seeded else "pan",
        overlay=overlays[0].id if overlays else "",
        simulated=case.study.simulated,
        footer=f"{manifest.id} {manifest.version}, {wording.NOTICE}",
        window_presets=windows(case, manifest),
        mark=None if job.region is None else tuple(round(v) for v in job.region.start),
        slice=profile.shown if profile is not None and volume else None,
        slice_action=EXPLAIN_SLICE if profile is not None and manifest.explain.methods else "",
        strip=None if job.result is None or profile is None else strip_of(job.result, profile, manifest),
    )


def windows(case: OpenCase, manifest: Manifest | None) -> tuple[tuple[str, float, float], ...]:
    """Return the windows to choose from: the task's own, and the usual ones of CT."""
    if case.study.unit != "HU":
        return ()
    own = None if manifest is None else manifest.input.window
    usual = [preset for preset in HU_WINDOWS if preset[1:] != own]
    named = next((name for name, *window in HU_WINDOWS if tuple(window) == own), "Task")
    return ((named, *own), *usual) if own is not None else HU_WINDOWS


def strip_of(result: AnalysisResult, profile: SliceProfile, manifest: Manifest) -> ViewerStrip:
    """Return the chart along a volume: the label that must not be missed, the members' spread, the decisions."""
    code = suspicious_label(manifest, result.prediction)
    column = manifest.label_codes.index(code)
    values = profile.probabilities[:, column]
    members = profile.members[:, :, column]
    known = np.isfinite(members).all(axis=0) & np.isfinite(values)
    refers = sum(decision == DecisionKind.REFER.value for decision in profile.decisions)
    name = manifest.label(code).name
    if known.any():
        peak = int(np.nanargmax(np.where(known, values, -1.0)))
        most = f", highest {wording.percent(float(values[peak]))} at slice {peak + 1}"
    else:
        most = ", no slice has a score"
    return ViewerStrip(
        title=f"Probability of {name}, slice by slice",
        alt=f"Probability of {name} along {len(values)} slices{most}; {refers} slices refer",
        values=_numbers(values, known),
        low=_numbers(np.where(known, members, 0).min(axis=0), known),
        high=_numbers(np.where(known, members, 0).max(axis=0), known),
        decisions=profile.decisions,
    )


def _numbers(values: np.ndarray, known: np.ndarray) -> tuple[float | None, ...]:
    return tuple(round(float(v), 4) if k and math.isfinite(v) else None for v, k in zip(values, known, strict=True))


def _choose_target(case: OpenCase, result: AnalysisResult | None, manifest: Manifest) -> str:
    with st.container(horizontal=True, vertical_alignment="center", key="case-head"):
        simulated = case.study.simulated or (result is not None and result.simulated)
        st.markdown(f"**{plain(case.title, 60)}**" + ("  :orange-badge[simulated]" if simulated else ""))
        if result is None or not wording.has_score(result.prediction):
            return ""
        prediction = result.prediction
        codes = [prediction.predicted, *(c for c in wording.ranked(prediction) if c != prediction.predicted)]
        chosen = st.selectbox(
            "Explain",
            codes,
            key=f"target-{case.id}-{manifest.id}",
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
            target=target_name(attribution.target, manifest),
            description=f"Fidelity: {fidelity_text(attribution.fidelity)}. Seed {attribution.seed}.",
        )
        job.overlays[key] = kept
    return kept


def _outlines(job: Work) -> list[ViewerOutline]:
    if job.result is None:
        return []
    for found in job.result.segmentations:
        kept = job.outlines.get(found.name)
        if kept is None or kept.mask is not found.mask:
            job.outlines[found.name] = ViewerOutline(found.name, found.mask)
    return [job.outlines[found.name] for found in job.result.segmentations]


def _heed(event: ViewerEvent, case: OpenCase, manifest: Manifest, target: str) -> None:
    """Do what a new mark asks for, and read out the pixel at the last one."""
    session = state.session()
    is_new = event.seq > session.seen
    session.seen = max(session.seen, event.seq)
    if event.click is not None:
        _pixel(case, event.click)
    if is_new and event.kind == "slice" and event.slice is not None:
        work.explain_slice(case, manifest, event.slice, target)
        st.rerun()
    if is_new and event.kind == "click" and event.click is not None and manifest.input.needs_region:
        heed_click(case, manifest, event.click)
        st.rerun()


def _pixel(case: OpenCase, where: tuple[int, ...]) -> None:
    value = case.study.pixels[where]
    if case.study.is_colour:
        shown = "red, green, blue " + ", ".join(f"{round(255 * float(v))}" for v in value)
    else:
        shown = f"value {float(value):.4g} {case.study.unit}"
    st.caption(f"Pixel at {place_words(where)}: {plain(shown)}")


def _offer_missing(case: OpenCase, job: Work, manifest: Manifest, target: str) -> None:
    """Offer the maps that are not there as a job that the reader starts."""
    if job.result is None or job.busy or not target:
        return
    have = {a.method for a in job.result.attributions if a.target == target}
    missing = [method for method in manifest.explain.methods if method not in have]
    name = plain(manifest.label(target).name)
    where = "" if job.result.profile is None else f", slice {job.result.profile.shown + 1}"
    if missing and st.button(f"Explain for {name}{where}", key="explain-for", icon=":material/play_arrow:"):
        work.explain_for(case, manifest, target, missing)
        st.rerun()
