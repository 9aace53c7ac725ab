"""Between a page and the job queue: start, follow, cancel. No model code runs here."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import cache
from dashboard.state import OpenCase, Session, Work
from dashboard.text import error_text
from whycad.errors import JobError, WhyCadError
from whycad.jobs import JobStatus
from whycad.manifest import Manifest
from whycad.types import AnalysisRequest


def begin(case: OpenCase, manifest: Manifest) -> None:
    """Ask once for the prediction and all of the task's maps for the predicted label."""
    work = case.work_for(manifest.id)
    if not work.started:
        work.started = True
        _start(case, manifest, "", manifest.explain.methods)


def explain_for(case: OpenCase, manifest: Manifest, label: str, methods: Sequence[str]) -> None:
    """Ask for maps of a label."""
    _start(case, manifest, label, methods)


def _start(case: OpenCase, manifest: Manifest, label: str, methods: Sequence[str]) -> None:
    """Begin a round of jobs in place of one that still runs: the prediction with the first map, then map by map."""
    work = case.work_for(manifest.id)
    cancel(work)
    work.message, work.cancelled = "", False
    work.todo = [AnalysisRequest(explain=(method,), target=label) for method in methods] or [AnalysisRequest()]
    work.n_jobs = len(work.todo)
    _next(case, manifest.id)


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


def _take_partial(work: Work, status: JobStatus) -> bool:
    partial = status.partial
    if partial is None or id(partial) == work.partial_seen:
        return False
    work.partial_seen = id(partial)
    work.add(partial)
    return True


def _take_end(work: Work, status: JobStatus) -> None:
    cache.desk().forget(work.job_id)
    work.job_id = ""
    if status.result is not None:
        work.add(status.result)
    if status.state == "failed":
        work.message = error_text(status.error or JobError("the job failed"))
    if status.state == "cancelled":
        work.cancelled = True
    # Without a prediction the other maps would fail the same way.
    if work.cancelled or work.result is None:
        work.todo = []
