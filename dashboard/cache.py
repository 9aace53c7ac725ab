"""What all sessions share: the plugins, the queue, simulated samples, packs. Never a patient's result.

This module alone uses ``st.cache_*``.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from dashboard.facts import TaskFacts
from dashboard.settings import Settings
from whycad.audit.case_lines import AuditSummary, latest_summary
from whycad.audit.data.samples import is_samples
from whycad.audit.findings import Audit, CheckResult
from whycad.audit.run.runner import read_audit, read_result
from whycad.audit.run.runs import AuditRun
from whycad.audit.words import audit_title
from whycad.errors import JobError, ManifestError, PluginError
from whycad.jobs import JobQueue, JobSettings
from whycad.map_grades import method_sentences
from whycad.performance import NOTHING, Performance, read_performance
from whycad.phantom import PhantomCase
from whycad.plugin import load_plugin
from whycad.reference_index import choose_stand_in, picture_path
from whycad.registry import PluginEntry, Registry, discover
from whycad.rendering import thumbnail
from whycad.uncertainty.calibration import Calibration, read_calibration
from whycad.wording import METHOD_NAMES


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """Return the settings, read once."""
    return Settings.from_environment()


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """Return the plugins that were there when the app started."""
    return discover()


@st.cache_resource(show_spinner=False)
def job_queue() -> JobQueue:
    """Return the one queue, with its workers starting up."""
    queue = JobQueue(registry(), JobSettings(devices=(settings().device,)))
    queue.warm_up()
    return queue


NO_CASES = "there are none"
SUMMARY_S = 60.0


@dataclass
class Desk:
    """One session's place at the queue.

    Attributes
    ----------
    owner : str
        Secret that the session's jobs belong to.
    queue : JobQueue
    jobs : set of str
        Ids of jobs that have not been taken back.
    """

    owner: str
    queue: JobQueue
    jobs: set[str] = field(default_factory=set)

    def forget(self, job_id: str) -> None:
        """Cancel a job where it still runs, and drop what is kept of it."""
        self.jobs.discard(job_id)
        with contextlib.suppress(JobError):  # it may have been dropped long ago
            self.queue.forget(job_id, self.owner)


def _leave(left: Desk) -> None:
    for job_id in list(left.jobs):
        left.forget(job_id)


@st.cache_resource(show_spinner=False, scope="session", on_release=_leave)
def desk() -> Desk:
    """Return this session's place at the queue; when the session ends, its jobs are stopped."""
    return Desk(secrets.token_urlsafe(24), job_queue())


@dataclass
class SampleShelf:
    """A plugin's samples: made, or chosen from packs, once by the model worker, then shared.

    Attributes
    ----------
    plugin_id : str
    data : Path or None
        Folder of packs to choose real cases from; None for the plugin's simulated samples.
    """

    plugin_id: str
    data: Path | None = None
    owner: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    job_id: str = ""
    cases: tuple[PhantomCase, ...] = ()
    thumbnails: tuple[bytes, ...] = ()
    failed: str = ""

    @property
    def ready(self) -> bool:
        """Whether there is nothing more to wait for."""
        return bool(self.cases or self.failed)

    def poll(self, queue: JobQueue) -> None:
        """Ask for the samples where nobody has, and take them when they are done."""
        if self.ready:
            return
        try:
            if not self.job_id:
                self.job_id = self._submit(queue)
            status = queue.status(self.job_id, self.owner)
        except (JobError, PluginError) as error:
            self.failed = str(error)
            return
        if status.finished:
            self.thumbnails = tuple(thumbnail(case.study) for case in status.samples)
            self.cases = status.samples
            self.failed = "" if status.samples else str(status.error or NO_CASES)

    def _submit(self, queue: JobQueue) -> str:
        if self.data is not None:
            return queue.submit_pack_cases(self.plugin_id, self.data, self.owner)
        return queue.submit_samples(self.plugin_id, self.owner)


@st.cache_resource(show_spinner=False)
def sample_shelf(plugin_id: str) -> SampleShelf:
    """Return the simulated samples of one plugin, which may still be in the making."""
    return SampleShelf(plugin_id)


@st.cache_resource(show_spinner=False)
def pack_shelf(plugin_id: str) -> SampleShelf | None:
    """Return the real ``val`` cases that suit a task, or None where ``WHYCAD_DATA`` names no folder."""
    folder = settings().data
    return None if folder is None else SampleShelf(plugin_id, folder)


def reference_picture(plugin_id: str, reference: str, label: str) -> tuple[bytes, bool]:
    """Return the picture of a reference case, and whether it is a simulated stand-in of the same label.

    Pictures of the user's own lie in the folder that ``whycad index`` wrote; where there is none, a simulated
    sample stands in, once the samples have been made. Empty where there is neither.
    """
    own = picture_path(plugin_id, reference)
    if own is not None:
        return own.read_bytes(), False
    shelf = sample_shelf(plugin_id)
    shelf.poll(job_queue())
    chosen = choose_stand_in(shelf.cases, label)
    pictures = [t for case, t in zip(shelf.cases, shelf.thumbnails, strict=True) if case is chosen]
    return (pictures[0] if pictures else b"", True)


@st.cache_resource(show_spinner=False)
def performance(folder: Path) -> Performance:
    """Return a plugin's stored figures; empty where there are none or they are broken."""
    try:
        return read_performance(folder)
    except ManifestError:
        return NOTHING


@st.cache_resource(show_spinner=False)
def calibration(folder: Path) -> Calibration | None:
    """Return a plugin's stored calibration; None where there is none or it is broken."""
    try:
        plugin = load_plugin(folder)
        path = plugin.calibration_path()
        if path is None or not path.is_file():
            return None
        return read_calibration(path, plugin.manifest.label_codes)
    except ManifestError:
        return None


def facts(entry: PluginEntry) -> TaskFacts:
    """Return a ready task with everything that is stored with it."""
    assert entry.manifest is not None, "only tasks with a manifest are ready"
    return TaskFacts(
        entry.manifest,
        performance(entry.folder),
        calibration(entry.folder),
        sentences(entry.folder),
        audit_summary(entry.folder),
    )


@st.cache_resource(show_spinner=False, ttl=SUMMARY_S)
def audit_summary(folder: Path) -> AuditSummary | None:
    """Return what the latest audit of a plugin says of shortcuts; None where there is none or it is broken."""
    try:
        return latest_summary(load_plugin(folder), settings().audits)
    except (ManifestError, OSError):
        return None


@st.cache_resource(show_spinner=False)
def sentences(folder: Path) -> dict[str, str]:
    """Return how each method fares over a plugin's calibration data; empty where nothing usable is stored."""
    try:
        return method_sentences(load_plugin(folder), METHOD_NAMES)
    except ManifestError:
        return {}


def audit_of(run: AuditRun) -> Audit:
    """Return what an audit found.

    Raises
    ------
    DatasetError
        When it is not finished, or of another version.
    """
    return _audit(run.folder, run.changed)


@st.cache_resource(show_spinner=False, max_entries=8)
def _audit(folder: Path, changed: float) -> Audit:
    return read_audit(folder)


def title_of(run: AuditRun) -> str:
    """Return what an audit is of, in words.

    Raises
    ------
    DatasetError
        When it is not finished, or of another version.
    """
    return _title(run.folder, run.changed)


@st.cache_resource(show_spinner=False, max_entries=500)
def _title(folder: Path, changed: float) -> str:
    return audit_title(read_audit(folder))


def check_of(run: AuditRun, check: str) -> CheckResult:
    """Return what one check of an audit found.

    Raises
    ------
    DatasetError
        When it did not run.
    """
    return _check(run.folder, check, run.changed)


@st.cache_resource(show_spinner=False, max_entries=64)
def _check(folder: Path, check: str, changed: float) -> CheckResult:
    return read_result(folder, check)


def samples_of(run: AuditRun) -> tuple[PhantomCase, ...]:
    """Return the simulated samples that an audit was of, as far as they are made; empty for other data."""
    if run.record is None or not is_samples(run.record.dataset):
        return ()
    shelf = sample_shelf(run.record.task)
    shelf.poll(job_queue())
    return shelf.cases


def settle() -> None:
    """Move all that the libraries made out of the collector's sight, once.

    Streamlit may collect after every run; walking half a million library objects each time made
    a page many times slower than the page itself.
    """
    _freeze()
    # Freezing takes seconds. A run that was left for another page meanwhile is stopped by this call; if it came to its
    # end instead, Streamlit would take the fragments of the new page away, and no button there would do anything.
    st.empty()


@st.cache_resource(show_spinner=False)
def _freeze() -> None:
    import pandas as pd  # noqa: F401  # what pages use must be loaded before the freeze
    import plotly.graph_objects as go  # noqa: F401

    gc.freeze()  # with what little garbage there is: a collection would hold up all other threads at the first click
