"""Between a page and the job queue: start, follow, cancel. No model code runs here."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import cache
from dashboard.state import OpenCase, Session, Work
from dashboard.text import error_text
from whycad.argument import with_findings
from whycad.errors import JobError, WhyCadError
from whycad.jobs import JobStatus
from whycad.manifest import Manifest
from whycad.map_choice import cheap_first
from whycad.types import AnalysisRequest, AnalysisResult, Region


def waits_for_click(case: OpenCase, manifest: Manifest) -> bool:
    """Whether the task has to be told where to look, and has not been."""
    return manifest.input.needs_region and case.work_for(manifest.id).region is None


def is_read_by_slices(case: OpenCase, manifest: Manifest) -> bool:
    """Whether the task reads this volume slice by slice."""
    return manifest.input.per_slice and len(case.study.spatial_shape) == 3


def begin(case: OpenCase, manifest: Manifest) -> None:
    """Ask once for the prediction and all of the task's maps for the predicted label.

    Nothing is asked before the reader has pointed, where the task needs that. Of a volume that is
    read slice by slice the maps come on demand.
    """
    work = case.work_for(manifest.id)
    if work.started or waits_for_click(case, manifest):
        return
    work.started = True
    if is_read_by_slices(case, manifest):
        _start(case, manifest.id, [AnalysisRequest()])
    else:
        explain_for(case, manifest, "", manifest.explain.methods)


def point_at(case: OpenCase, manifest: Manifest, index: Sequence[int]) -> None:
    """Analyse anew, with the reader's point; what was found for another point is dropped."""
    cancel(case.work_for(manifest.id))
    case.work[manifest.id] = Work(region=Region(tuple(float(i) for i in index)))
    begin(case, manifest)


def explain_for(
    case: OpenCase, manifest: Manifest, label: str, methods: Sequence[str], *, stop_when_stable: bool = False
) -> None:
    """Ask for maps of a target in one job, cheap ones first; empty for the predicted label.

    One job, because what tests the maps is shared between them.
    """
    work = case.work_for(manifest.id)
    if is_read_by_slices(case, manifest) and work.result is not None and work.result.profile is not None:
        explain_slice(case, manifest, work.result.profile.shown, label)
        return
    request = AnalysisRequest(cheap_first(methods), label, work.region, stop_when_stable=stop_when_stable)
    _start(case, manifest.id, [request])


def explain_slice(case: OpenCase, manifest: Manifest, number: int, label: str = "") -> None:
    """Ask for all maps of one slice of a volume, in one job: each job reads the whole volume."""
    rows, columns = case.study.spatial_shape[-2:]
    place = Region((float(number), (rows - 1) / 2, (columns - 1) / 2))
    _start(case, manifest.id, [AnalysisRequest(explain=manifest.explain.methods, target=label, region=place)])


def _start(case: OpenCase, plugin_id: str, requests: list[AnalysisRequest]) -> None:
    """Begin a round of jobs in place of one that still runs: the prediction with the first map, then map by map."""
    work = case.work_for(plugin_id)
    cancel(work)
    work.message, work.cancelled = "", False
    work.todo, work.n_jobs = requests, len(requests)
    _next(case, plugin_id)


def _next(case: OpenCase, plugin_id: str) -> None:
    work, desk = case.work_for(plugin_id), cache.desk()
    work.partial_seen, work.progress, work.ahead = 0, None, 0
    work.running = work.todo.pop(0)
    try:
        work.job_id = desk.queue.submit(case.study, plugin_id, work.running, desk.owner)
        desk.jobs.add(work.job_id)
    except WhyCadError as error:
        work.job_id, work.todo, work.message = "", [], error_text(error)


def poll(case: OpenCase, plugin_id: str) -> bool:
    """Look how the job stands; True where there is something new to show."""
    work, desk = case.work_for(plugin_id), cache.desk()
    if not work.busy:
        return False
    try:
        status = desk.queue.status(work.job_id, desk.owner)
    except JobError as error:
        work.job_id, work.todo, work.message = "", [], error_text(error)
        return True
    work.progress, work.ahead = status.progress, status.ahead
    if not status.finished:
        return _take_partial(work, status)
    _take_end(work, status)
    if work.todo:
        _next(case, plugin_id)
    return True


def cancel(work: Work) -> None:
    """Stop the round of a case, where one runs."""
    if work.busy:
        cache.desk().forget(work.job_id)
        work.job_id, work.todo, work.cancelled = "", [], True


def close(session: Session, case_id: str) -> None:
    """Take a case off the worklist and stop what runs for it."""
    case = session.close(case_id)
    for work in case.work.values() if case is not None else ():
        cancel(work)
        if work.changes.busy:
            cache.desk().forget(work.changes.job_id)


def _take_partial(work: Work, status: JobStatus) -> bool:
    partial = status.partial
    if partial is None or id(partial) == work.partial_seen:
        return False
    work.partial_seen = id(partial)
    _take(work, partial)
    return True


def _take(work: Work, result: AnalysisResult) -> None:
    """Join a newer result with the maps there are, and draw up the line of argument from all of them."""
    work.add(result)
    plugin = cache.registry().get(result.provenance.plugin_id)
    work.result = with_findings(work.result or result, plugin)


def _take_end(work: Work, status: JobStatus) -> None:
    cache.desk().forget(work.job_id)
    work.job_id = ""
    if status.result is not None:
        _take(work, status.result)
    if status.state == "failed":
        work.message = error_text(status.error or JobError("the job failed"))
    if status.state == "cancelled":
        work.cancelled = True
    # Without a prediction the other maps would fail the same way.
    if work.cancelled or work.result is None:
        work.todo = []
