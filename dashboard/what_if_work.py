"""Between the page and the queue for changes of an image: ask, follow, keep. No model code runs here."""

from __future__ import annotations

import numpy as np

from dashboard import cache
from dashboard.components.viewer import ViewerEvent
from dashboard.components.viewer.events import rasterise
from dashboard.state import Changes, OpenCase, Work
from dashboard.text import error_text
from whycad.errors import JobError, WhyCadError
from whycad.types import AnalysisRequest, Region
from whycad.whatif.request import WhatIfKind, WhatIfRequest, runs_of


def marked_region(event: ViewerEvent, shape: tuple[int, ...]) -> WhatIfRequest | None:
    """Return the removal of what the reader boxed or painted last; None where nothing is marked.

    Parameters
    ----------
    event : ViewerEvent
    shape : tuple of int
        The study's spatial shape. Of a volume, strokes count on the slice of the last one.

    Raises
    ------
    GeometryError
        When the marks are too many to be sent.
    """
    painted = event.brush and (event.kind == "brush" or event.box is None)
    if painted:
        slice_ = event.brush[-1].points[0][0] if len(shape) == 3 else None
        here = tuple(s for s in event.brush if slice_ is None or s.points[0][0] == slice_)
        flat = tuple(type(s)(tuple(p[-2:] for p in s.points), s.radius) for s in here)
        mask = rasterise(flat, (shape[-2], shape[-1]))
        slices = None if slice_ is None else (slice_, slice_)
        return WhatIfRequest(WhatIfKind.REGION, runs=runs_of(np.asarray(mask, bool)), slices=slices)
    if event.box is not None:
        first, last = event.box
        return WhatIfRequest(WhatIfKind.REGION, box=Region(_floats(first), _floats(last)))
    return None


def _floats(index: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(float(i) for i in index)


def ask(case: OpenCase, plugin_id: str, what: WhatIfRequest) -> None:
    """Start one change in place of one that still runs."""
    work = case.work_for(plugin_id)
    changes, desk = work.changes, cache.desk()
    stop(changes)
    changes.message, changes.progress = "", None
    try:
        request = AnalysisRequest(region=_place(work))
        changes.job_id = desk.queue.submit_what_if(case.study, plugin_id, request, what, desk.owner)
        desk.jobs.add(changes.job_id)
    except WhyCadError as error:
        changes.message = error_text(error)


def _place(work: Work) -> Region | None:
    """Return where the model looks: the reader's point, or the slice that is shown."""
    profile = None if work.result is None else work.result.profile
    if profile is None or work.result is None:
        return work.region
    rows, columns = work.result.source_shape[-2:]
    return Region((float(profile.shown), (rows - 1) / 2, (columns - 1) / 2))


def poll(changes: Changes) -> bool:
    """Look how the job stands; True where it has ended."""
    if not changes.busy:
        return False
    desk = cache.desk()
    try:
        status = desk.queue.status(changes.job_id, desk.owner)
    except JobError as error:
        changes.job_id, changes.message = "", error_text(error)
        return True
    changes.progress = status.progress
    if not status.finished:
        return False
    stop(changes)
    if status.state == "failed":
        changes.message = error_text(status.error or JobError("the job failed"))
    elif status.state == "done":
        changes.found = [*status.what_if, *changes.found]
        changes.message = "" if status.what_if else "Nothing of the kind was found in this image."
    return True


def stop(changes: Changes) -> None:
    """Stop the job that runs, where one does."""
    if changes.busy:
        cache.desk().forget(changes.job_id)
        changes.job_id = ""
