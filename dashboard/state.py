"""What one session holds. This module alone touches ``st.session_state``.

Patients' images and results live here and nowhere else: they end with the session.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import streamlit as st

from dashboard.audit_place import AuditPlace
from dashboard.components.viewer import ViewerImage, ViewerOutline, ViewerOverlay
from whycad.report import image_alt
from whycad.types import AnalysisRequest, AnalysisResult, Progress, Region, Study
from whycad.whatif.request import WhatIfRequest
from whycad.whatif.result import WhatIf

KEY = "whycad_session"
Source = Literal["upload", "sample", "pack", "audit"]
COVERAGES = (0.8, 0.9, 0.95)
COVERAGE_KEY = "coverage"
READER_KEY = "reader"
CLINICIAN, RESEARCHER = "Clinician", "Researcher"
DEFAULT_COVERAGE = 0.9


@dataclass
class Changes:
    """What a reader tried on an image under one task.

    Attributes
    ----------
    found : list of WhatIf
        Newest first.
    job_id : str
        Empty where nothing runs.
    progress : Progress or None
    message : str
        What the last job could not do, fit for Markdown.
    """

    found: list[WhatIf] = field(default_factory=list)
    job_id: str = ""
    progress: Progress | None = None
    message: str = ""

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self.job_id)


@dataclass
class Work:
    """One case under one task: what is known, and the job that is finding out more.

    Attributes
    ----------
    result : AnalysisResult or None
        Every map that was computed so far is in it.
    job_id : str
        Empty where nothing runs.
    todo : list of AnalysisRequest
        What comes after the job that runs.
    running : AnalysisRequest or None
        Of the job that runs.
    n_jobs : int
        How many jobs there are in this round.
    progress : Progress or None
    ahead : int
        Jobs that wait before this one.
    message : str
        Why the last job gave nothing, already fit for Markdown.
    region : Region or None
        Where the reader pointed.
    candidate : tuple of int or None
        Another place that the reader clicked since; nothing is done before they say so.
    focus : str
        Id of the map that the reader asked to see; empty for the first one.
    marked : WhatIfRequest or None
        The removal of what the reader has boxed or painted.
    changes : Changes
    """

    result: AnalysisResult | None = None
    job_id: str = ""
    todo: list[AnalysisRequest] = field(default_factory=list)
    running: AnalysisRequest | None = None
    n_jobs: int = 0
    progress: Progress | None = None
    ahead: int = 0
    message: str = ""
    cancelled: bool = False
    started: bool = False
    partial_seen: int = 0
    region: Region | None = None
    candidate: tuple[int, ...] | None = None
    focus: str = ""
    marked: WhatIfRequest | None = None
    changes: Changes = field(default_factory=Changes)
    overlays: dict[tuple[str, str], ViewerOverlay] = field(default_factory=dict)
    outlines: dict[str, ViewerOutline] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self.job_id)

    @property
    def fraction(self) -> float:
        """How much of the round is done, 0..1."""
        done = self.n_jobs - len(self.todo) - 1
        current = self.progress.fraction if self.progress is not None else 0.0
        return min(1.0, max(0.0, (done + current) / max(1, self.n_jobs)))

    def add(self, result: AnalysisResult) -> None:
        """Take a newer result and keep the maps of the older one that it lacks, if they are of the same slice."""
        same_place = self.result is not None and _shown_slice(self.result) == _shown_slice(result)
        older = self.result.attributions if self.result is not None and same_place else ()
        new = {(a.method, a.target) for a in result.attributions}
        maps = (*(a for a in older if (a.method, a.target) not in new), *result.attributions)
        request = replace(result.request, explain=tuple(dict.fromkeys(a.method for a in maps)), target="")
        self.result = replace(result, attributions=maps, request=request)


def _shown_slice(result: AnalysisResult) -> int | None:
    return None if result.profile is None else result.profile.shown


@dataclass
class OpenCase:
    """A case on the worklist.

    Attributes
    ----------
    id : str
        Known to this session only.
    title : str
        Names no patient and no file.
    true_label : str
        Label code, empty where unknown.
    task : str
        Id of the task whose sample it is; empty for an upload.
    region : Region or None
        Where the sample's finding is.
    """

    id: str
    title: str
    study: Study
    source: Source
    description: str = ""
    true_label: str = ""
    task: str = ""
    region: Region | None = None
    work: dict[str, Work] = field(default_factory=dict)
    label_revealed: bool = False
    pictures: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    @cached_property
    def image(self) -> ViewerImage:
        """The picture, encoded once."""
        return ViewerImage.from_study(self.study, image_alt(self.study))

    def work_for(self, plugin_id: str) -> Work:
        """Return the work under one task, begun where there is none."""
        return self.work.setdefault(plugin_id, Work(region=self.region if plugin_id == self.task else None))


@dataclass
class Session:
    """Everything a session holds.

    Attributes
    ----------
    cases : dict of str to OpenCase
        In the order in which they were opened.
    current : str
        Id of the case on show; empty where there is none.
    problems : list of str
        What could not be opened, fit for Markdown.
    uploader : int
        Part of the uploader's key: a new one empties it.
    seen : int
        Number of the last mark in the viewer that was looked at.
    coverage : float
        Level of the set that the reader chose.
    priors : dict of str to tuple of float
        The reader's prevalence per label, by task; absent for that of the calibration data.
    researcher : bool
        Whether every method and parameter is shown.
    audit : AuditPlace
        Where the reader is in the audits.
    opened_from_audit : set of str
        Ids of the cases that were opened from there.
    """

    cases: dict[str, OpenCase] = field(default_factory=dict)
    current: str = ""
    problems: list[str] = field(default_factory=list)
    uploader: int = 0
    seen: int = 0
    coverage: float = DEFAULT_COVERAGE
    priors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    researcher: bool = False
    audit: AuditPlace = field(default_factory=AuditPlace)
    opened_from_audit: set[str] = field(default_factory=set)

    @property
    def case(self) -> OpenCase | None:
        """The case on show."""
        return self.cases.get(self.current)

    def open(self, case: OpenCase) -> None:
        """Put a case on the worklist, unless the same image is there, and show it."""
        same = next((c for c in self.cases.values() if c.study.sha256 == case.study.sha256), None)
        kept = same or case
        self.cases[kept.id] = kept
        self.current = kept.id

    def close(self, case_id: str) -> OpenCase | None:
        """Take a case off the worklist."""
        case = self.cases.pop(case_id, None)
        if self.current == case_id:
            self.current = next(reversed(self.cases), "")
        return case


def session() -> Session:
    """Return this browser session's state."""
    if KEY not in st.session_state:
        st.session_state[KEY] = Session()
    found = st.session_state[KEY]
    assert isinstance(found, Session)
    return found


def take_coverage() -> None:
    """Keep the level that the reader has just chosen; the control itself is not always on the page."""
    chosen = st.session_state.get(COVERAGE_KEY)
    if chosen in COVERAGES:
        session().coverage = float(chosen)


def take_reader() -> None:
    """Keep which of the two views the reader has just chosen."""
    session().researcher = st.session_state.get(READER_KEY) == RESEARCHER


def new_id() -> str:
    """Return an id that tells nothing."""
    return secrets.token_hex(8)


def number_in(key: str) -> float:
    """Return what a widget holds."""
    return float(st.session_state[key])


def forget_widget(key: str) -> None:
    """Let a widget start afresh, if it has been drawn."""
    st.session_state.pop(key, None)


def follow_link(place: AuditPlace, runs: set[str]) -> None:
    """Go where the address says, in a session that has been nowhere yet: after a reload, or by a link."""
    run = st.query_params.get("run", "")
    if not place.run and run in runs:
        place.show(run)
        place.go(st.query_params.get("check", ""))


def leave_link(place: AuditPlace) -> None:
    """Let the address say where the reader is."""
    wanted = {name: value for name, value in (("run", place.run), ("check", place.check)) if value}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def chosen_point(key: str) -> Mapping[str, Any] | None:
    """Return the point that was clicked in a chart, or None."""
    points = _selected(key).get("points") or []
    return points[0] if points and isinstance(points[0], Mapping) else None


def chosen_row(key: str) -> int | None:
    """Return the row that was clicked in a table, or None."""
    rows = _selected(key).get("rows") or []
    return int(rows[0]) if rows else None


def _selected(key: str) -> Mapping[str, Any]:
    found = st.session_state.get(key)
    selection = found.get("selection") if isinstance(found, Mapping) else None
    return selection if isinstance(selection, Mapping) else {}
