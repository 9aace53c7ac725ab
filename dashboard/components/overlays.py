"""Maps and outlines of a result as the viewer takes them, kept between reruns."""

from __future__ import annotations

import numpy as np

from dashboard.components.viewer import ViewerOutline, ViewerOverlay
from dashboard.state import Work
from whycad import wording
from whycad.manifest import Manifest
from whycad.map_choice import maps_for_clinicians, methods_for_researchers
from whycad.report import fidelity_text
from whycad.targets import target_name
from whycad.types import Attribution

DIFFERS = "-differs"


def shown_maps(job: Work, target: str, manifest: Manifest, *, researcher: bool) -> tuple[Attribution, ...]:
    """Return the maps of a target that a reader is shown, in the order of the methods.

    Researchers see every map; clinicians the best-graded gradient map and LIME.
    """
    if job.result is None:
        return ()
    order = {method: number for number, method in enumerate(methods_for_researchers(manifest.explain))}
    found = [a for a in job.result.attributions if a.target == target]
    found.sort(key=lambda a: order.get(a.method, len(order)))
    return tuple(found) if researcher else maps_for_clinicians(found)


def overlays(job: Work, target: str, manifest: Manifest, *, researcher: bool) -> list[ViewerOverlay]:
    """Return the shown maps, and where the members' maps differ: of the first one, for researchers of each."""
    maps = shown_maps(job, target, manifest, researcher=researcher)
    found = [_kept(job, attribution, manifest) for attribution in maps]
    disputed = [a for a in maps if a.disagreement is not None]
    for attribution in disputed if researcher else disputed[:1]:
        found.append(_kept(job, attribution, manifest, differs=True, named=researcher))
    return found


def _kept(
    job: Work, attribution: Attribution, manifest: Manifest, *, differs: bool = False, named: bool = False
) -> ViewerOverlay:
    """Return an overlay, kept between reruns because it holds its own encoding."""
    values = attribution.disagreement if differs else attribution.map
    assert values is not None, "only maps with a disagreement differ"
    key = (attribution.method + (DIFFERS if differs else "") + ("-named" if named else ""), attribution.target)
    kept = job.overlays.get(key)
    if kept is None or kept.map is not values or kept.grade != ("" if differs else attribution.fidelity.grade):
        made = _differs(attribution, values, manifest, named) if differs else _map(attribution, manifest)
        job.overlays[key] = kept = made
    return kept


def _map(attribution: Attribution, manifest: Manifest) -> ViewerOverlay:
    return ViewerOverlay.from_attribution(
        attribution,
        name=wording.method_name(attribution.method),
        target=target_name(attribution.target, manifest),
        description=f"Fidelity: {fidelity_text(attribution.fidelity)}. Seed {attribution.seed}.",
    )


def _differs(
    attribution: Attribution, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], manifest: Manifest, named: bool
) -> ViewerOverlay:
    method = wording.method_name(attribution.method)
    return ViewerOverlay(
        id=f"{attribution.method}{DIFFERS}",
        name=f"{method}: members differ" if named else "Members differ",
        map=values,
        description=f"Where the members' {method} maps differ; 0 where they agree.",
        target=target_name(attribution.target, manifest),
        limit=1.0,
    )


def outlines(job: Work) -> list[ViewerOutline]:
    """Return the outlines of a result."""
    if job.result is None:
        return []
    for found in job.result.segmentations:
        kept = job.outlines.get(found.name)
        if kept is None or kept.mask is not found.mask:
            job.outlines[found.name] = ViewerOutline(found.name, found.mask)
    return [job.outlines[found.name] for found in job.result.segmentations]
