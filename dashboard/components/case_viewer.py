"""The picture of a case with its maps and outlines, and the choice of the label that is explained."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard import state, work
from dashboard.components.overlays import outlines, overlays
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
from dashboard.text import error_text, plain
from dashboard.what_if_work import marked_region
from whycad import wording
from whycad.errors import GeometryError
from whycad.manifest import Manifest
from whycad.map_choice import targets_on_offer
from whycad.targets import Target, target_name
from whycad.types import AnalysisResult, DecisionKind, Prediction, SliceProfile
from whycad.whatif.request import WhatIfRequest

COMPARED_HEIGHT = 480
HU_WINDOWS = (("Lung", -600.0, 1500.0), ("Mediastinum", 40.0, 400.0), ("Bone", 400.0, 1800.0))
EXPLAIN_SLICE = "Explain this slice"


def case_viewer(case: OpenCase, facts: TaskFacts) -> str:
    """Show a case and its maps; return the target that is explained, as ``whycad.targets`` writes it.

    Changing the target shows the maps that are there; it never starts the model.
    """
    manifest = facts.manifest
    job = case.work_for(manifest.id)
    target, compare = _head(case, job.result, manifest)
    point_prompt(case, manifest)
    maps = overlays(job, target, manifest, researcher=state.session().researcher)
    compare = compare and len(maps) > 1
    options = _options(case, job, manifest, maps)
    if compare:
        event = _side_by_side(case, maps, outlines(job), options)
    else:
        event = viewer(case.image, maps, key="case-viewer", outlines=outlines(job), options=options)
    _heed(event, case, manifest, target)
    _offer_missing(case, job, manifest, target)
    return target


def _side_by_side(
    case: OpenCase, maps: list[ViewerOverlay], drawn: list[ViewerOutline], options: ViewerOptions
) -> ViewerEvent:
    """Show two viewers that look at the same place, each with a map of its own; marks are taken from the first."""
    left, right = st.columns(2, gap="xsmall")
    options = replace(options, link=f"case-{case.id}")
    with left:
        event = viewer(case.image, maps, key="case-viewer", outlines=drawn, options=options, height=COMPARED_HEIGHT)
    with right:
        quiet = replace(options, tools=("pan",), tool="pan", slice_action="", overlay=maps[1].id)
        viewer(case.image, maps, key="case-viewer-beside", outlines=drawn, options=quiet, height=COMPARED_HEIGHT)
    return event


def _options(case: OpenCase, job: Work, manifest: Manifest, maps: list[ViewerOverlay]) -> ViewerOptions:
    seeded = manifest.input.needs_region
    profile = None if job.result is None else job.result.profile
    volume = len(case.study.spatial_shape) == 3
    return ViewerOptions(
        tools=("pan", "point", "box", "brush"),
        tool="point" if seeded else "pan",
        overlay=job.focus if job.focus in {m.id for m in maps} else maps[0].id if maps else "",
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


def _head(case: OpenCase, result: AnalysisResult | None, manifest: Manifest) -> tuple[str, bool]:
    """Show what the case is, and let the reader choose what the maps explain and whether to compare two."""
    with st.container(horizontal=True, vertical_alignment="center", key="case-head"):
        simulated = case.study.simulated or (result is not None and result.simulated)
        st.markdown(f"**{plain(case.title, 60)}**" + ("  :orange-badge[simulated]" if simulated else ""))
        if result is None or not wording.has_score(result.prediction):
            return "", False
        prediction = result.prediction
        targets = {str(target): target for target in targets_on_offer(prediction, manifest)}
        chosen = st.selectbox(
            "Explain",
            list(targets),
            key=f"target-{case.id}-{manifest.id}",
            format_func=lambda text: _menu_words(targets[text], prediction, manifest),
            width=270,
            label_visibility="collapsed",
            help="What the maps explain",
        )
        compare = st.toggle("Compare", key=f"compare-{case.id}", help="Two maps side by side, with linked zoom")
    return chosen or prediction.predicted, compare


def _menu_words(target: Target, prediction: Prediction, manifest: Manifest) -> str:
    name = target.name(manifest)
    if target.against or target.at_least:
        return f"Maps for {name}"
    return f"Maps for {name}, {wording.percent(prediction.probability(target.label))}"


def _heed(event: ViewerEvent, case: OpenCase, manifest: Manifest, target: str) -> None:
    """Do what a new mark asks for, and read out the pixel at the last one."""
    session = state.session()
    is_new = event.seq > session.seen
    session.seen = max(session.seen, event.seq)
    case.work_for(manifest.id).marked = _marked(event, case)
    if event.click is not None:
        _pixel(case, event.click)
    if is_new and event.kind == "slice" and event.slice is not None:
        work.explain_slice(case, manifest, event.slice, target)
        st.rerun()
    if is_new and event.kind == "click" and event.click is not None and manifest.input.needs_region:
        heed_click(case, manifest, event.click)
        st.rerun()


def _marked(event: ViewerEvent, case: OpenCase) -> WhatIfRequest | None:
    try:
        return marked_region(event, case.study.spatial_shape)
    except GeometryError as error:
        st.warning(error_text(error))
        return None


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
    name = plain(target_name(target, manifest))
    where = "" if job.result.profile is None else f", slice {job.result.profile.shown + 1}"
    if missing and st.button(f"Explain for {name}{where}", key="explain-for", icon=":material/play_arrow:"):
        work.explain_for(case, manifest, target, missing)
        st.rerun()
