"""The job queue: pages hand over work and poll; plugin code runs in worker processes only.

One worker per device takes jobs in turn. A worker that hangs, dies or grows too large is killed
and replaced, and the error names the plugin that ran. Jobs belong to their owner: nobody else
learns even that they exist.
"""

from __future__ import annotations

import atexit
import hmac
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from whycad.errors import JobCancelledError, JobError, WhyCadError
from whycad.job_protocol import request_to_json, save_study
from whycad.job_supervisor import Supervisor
from whycad.phantom import PhantomCase
from whycad.plugin import Plugin
from whycad.registry import Registry
from whycad.types import AnalysisRequest, AnalysisResult, JsonObject, Progress, Study
from whycad.whatif.request import WhatIfRequest
from whycad.whatif.request import request_to_json as what_to_json
from whycad.whatif.result import WhatIf

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINISHED: tuple[State, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class JobSettings:
    """Bounds of the job queue.

    Attributes
    ----------
    devices : tuple of str
        One worker each; ``auto`` is CUDA where there is one, else the CPU.
    max_queued, max_queued_per_owner : int
        Jobs that may wait.
    silence_s : float
        Longest time without progress before a worker is stopped.
    job_s : float
        Longest time for one job.
    start_s : float
        Longest time for a worker to come up.
    cancel_grace_s : float
        Time a cancelled job gets before its worker is stopped.
    memory_bytes : int
        Most memory a worker may hold.
    keep_s, keep_fetched_s : float
        How long a finished job is kept, and how long after its result was first fetched.
    """

    devices: tuple[str, ...] = ("auto",)
    max_queued: int = 32
    max_queued_per_owner: int = 8
    silence_s: float = 120.0
    job_s: float = 1800.0
    start_s: float = 120.0
    cancel_grace_s: float = 5.0
    memory_bytes: int = 8 * 1024**3
    keep_s: float = 600.0
    keep_fetched_s: float = 60.0


@dataclass(frozen=True, eq=False)
class JobStatus:
    """How a job stands.

    Attributes
    ----------
    state : str
        ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
    progress : Progress
    ahead : int
        Jobs that wait before this one.
    partial : AnalysisResult or None
        The result as far as it is: the prediction first, then map by map.
    result : AnalysisResult or None
        Of a finished analysis.
    samples : tuple of PhantomCase
        Of a finished job that made or chose sample cases.
    what_if : tuple of WhatIf
        Of a finished job that changed an image; of artefacts there may be none.
    error : WhyCadError or None
        Why it failed.
    """

    state: State
    progress: Progress
    ahead: int = 0
    partial: AnalysisResult | None = None
    result: AnalysisResult | None = None
    samples: tuple[PhantomCase, ...] = ()
    what_if: tuple[WhatIf, ...] = ()
    error: WhyCadError | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will change."""
        return self.state in FINISHED


@dataclass(eq=False)
class Job:
    """A job as the queue keeps it; changed only under the queue's condition.

    ``attempts`` counts workers that took it up.
    """

    id: str
    owner: str
    plugin: Plugin
    message: JsonObject
    folder: Path
    study_sha256: str = ""
    state: State = "queued"
    progress: Progress = field(default_factory=lambda: Progress("queued", 0.0, "Waiting"))
    partial: AnalysisResult | None = None
    result: AnalysisResult | None = None
    samples: tuple[PhantomCase, ...] = ()
    what_if: tuple[WhatIf, ...] = ()
    error: WhyCadError | None = None
    attempts: int = 0
    expires: float = field(default=float("inf"))


class JobQueue:
    """Jobs of all sessions, and the workers that run them; every method is thread-safe.

    Workers start on first use (or with ``warm_up``) and stay. They end with ``close``, at the
    exit of this process, and when this process is killed.

    Parameters
    ----------
    registry : Registry
        Where plugins are looked up; their code runs only in the workers.
    settings : JobSettings, optional
    """

    def __init__(self, registry: Registry, settings: JobSettings | None = None) -> None:
        self.registry = registry
        self.settings = settings or JobSettings()
        self._scratch = Path(tempfile.mkdtemp(prefix="whycad-jobs-"))
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self.changed = threading.Condition()
        self._closed = False
        self._supervisors = [Supervisor(self, device) for device in self.settings.devices]
        for supervisor in self._supervisors:
            supervisor.start()
        reference = weakref.ref(self)
        atexit.register(_close_if_alive, reference)

    @property
    def scratch(self) -> Path:
        """Folder of the queue's private files."""
        return self._scratch

    def submit(self, study: Study, plugin_id: str, request: AnalysisRequest, owner: str) -> str:
        """Queue an analysis.

        Parameters
        ----------
        study : Study
        plugin_id : str
        request : AnalysisRequest
        owner : str
            Secret of the session; the same is needed to follow, fetch or cancel the job.

        Returns
        -------
        str
            The job's id.

        Raises
        ------
        PluginError
            When there is no such task or it is unavailable.
        JobError
            When the queue is full or closed.
        """
        plugin = self.registry.get(plugin_id)
        message: JsonObject = {"kind": "analyse", "request": request_to_json(request)}
        return self._submit(plugin, message, owner, study)

    def submit_what_if(
        self, study: Study, plugin_id: str, request: AnalysisRequest, what: WhatIfRequest, owner: str
    ) -> str:
        """Queue a change of an image; ``JobStatus.what_if`` will hold what the model says then.

        Parameters
        ----------
        study : Study
        plugin_id : str
        request : AnalysisRequest
            Of the result that the change is compared with.
        what : WhatIfRequest
        owner : str
            As for ``submit``.

        Raises
        ------
        PluginError, JobError
            As ``submit``. What is wrong with the region is found where it runs, and is the job's error.
        """
        plugin = self.registry.get(plugin_id)
        message: JsonObject = {"kind": "what_if", "request": request_to_json(request), "what": what_to_json(what)}
        return self._submit(plugin, message, owner, study)

    def submit_samples(self, plugin_id: str, owner: str) -> str:
        """Queue the making of a plugin's simulated sample cases; ``JobStatus.samples`` will hold them.

        Raises
        ------
        PluginError, JobError
            As ``submit``; a plugin need not be trained for this.
        """
        return self._submit(self.registry.get(plugin_id, untrained=True), {"kind": "samples"}, owner, None)

    def submit_pack_cases(self, plugin_id: str, data: Path, owner: str) -> str:
        """Queue a choice of real ``val`` cases from a folder of packs; ``JobStatus.samples`` will hold them.

        Raises
        ------
        PluginError, JobError
            As ``submit_samples``.
        """
        message: JsonObject = {"kind": "pack_cases", "data": str(data.resolve())}
        return self._submit(self.registry.get(plugin_id, untrained=True), message, owner, None)

    def status(self, job_id: str, owner: str) -> JobStatus:
        """Say how a job stands. A finished job is dropped some time after it was first fetched.

        Raises
        ------
        JobError
            When there is no such job, it has been dropped, or it is another owner's.
        """
        with self.changed:
            job = self._own(job_id, owner)
            if job.state in FINISHED:
                job.expires = min(job.expires, time.monotonic() + self.settings.keep_fetched_s)
            ahead = self._waiting.index(job) if job in self._waiting else 0
            return JobStatus(
                job.state, job.progress, ahead, job.partial, job.result, job.samples, job.what_if, job.error
            )

    def wait(self, job_id: str, owner: str, timeout_s: float) -> JobStatus:
        """Return the status when the job has finished, or as it stands when the time is up.

        Raises
        ------
        JobError
            As ``status``.
        """
        with self.changed:
            job = self._own(job_id, owner)
            self.changed.wait_for(lambda: job.state in FINISHED, timeout_s)
        return self.status(job_id, owner)

    def cancel(self, job_id: str, owner: str) -> None:
        """Cancel a job that waits or runs; a finished one stays as it is.

        Raises
        ------
        JobError
            As ``status``.
        """
        with self.changed:
            job = self._own(job_id, owner)
            if job.state not in FINISHED:
                self.finish(job, "cancelled", error=JobCancelledError("the job was cancelled"))

    def forget(self, job_id: str, owner: str) -> None:
        """Cancel a job where it is not finished, and drop everything kept of it.

        Raises
        ------
        JobError
            As ``status``.
        """
        self.cancel(job_id, owner)
        with self.changed:
            self._jobs.pop(job_id, None)

    def warm_up(self) -> None:
        """Start the workers now, so that the first job need not wait for them."""
        for supervisor in self._supervisors:
            supervisor.warm_up()

    def worker_pids(self) -> tuple[int, ...]:
        """Return the process ids of the workers that run."""
        return tuple(pid for supervisor in self._supervisors if (pid := supervisor.worker_pid) is not None)

    def close(self) -> None:
        """Cancel everything, end the workers and remove the private files."""
        with self.changed:
            if self._closed:
                return
            self._closed = True
            for job in self._jobs.values():
                if job.state not in FINISHED:
                    self.finish(job, "cancelled", error=JobCancelledError("the job queue was closed"))
            self.changed.notify_all()
        for supervisor in self._supervisors:
            supervisor.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def next_job(self, timeout_s: float) -> Job | None:
        """For supervisors: take the next job, or None when none came in time."""
        with self.changed:
            self.changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            self._drop_expired()
            if self._closed or not self._waiting:
                return None
            job = self._waiting.popleft()
            job.state = "running"
            return job

    def finish(self, job: Job, state: State, *, error: WhyCadError | None = None) -> None:
        """For supervisors: end a job unless it has ended; wakes whoever waits."""
        with self.changed:
            if job.state not in FINISHED:
                job.state, job.error = state, error
                job.expires = time.monotonic() + self.settings.keep_s
                if job in self._waiting:
                    self._waiting.remove(job)
                    shutil.rmtree(job.folder, ignore_errors=True)
            self.changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def _submit(self, plugin: Plugin, message: JsonObject, owner: str, study: Study | None) -> str:
        job_id = secrets.token_urlsafe(16)
        folder = self._scratch / job_id
        job = Job(job_id, owner, plugin, {}, folder, study.sha256 if study is not None else "")
        place = {"plugin_folder": str(plugin.folder.resolve()), "folder": str(folder)}
        job.message = {"type": "job", "job": job_id, **place, **message}
        with self.changed:
            self._check_room(owner)
        try:
            folder.mkdir(mode=0o700)
            if study is not None:
                save_study(study, folder / "study")
        except (OSError, WhyCadError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise JobError("the job cannot be queued: its files cannot be written", remedy="free disk space") from error
        with self.changed:
            self._jobs[job_id] = job
            self._waiting.append(job)
            self.changed.notify_all()
        return job_id

    def _check_room(self, owner: str) -> None:
        if self._closed:
            raise JobError("the job queue is closed")
        self._drop_expired()
        own = sum(hmac.compare_digest(job.owner.encode(), owner.encode()) for job in self._waiting)
        if len(self._waiting) >= self.settings.max_queued or own >= self.settings.max_queued_per_owner:
            raise JobError("the job queue is full", remedy="try again in a minute")

    def _own(self, job_id: str, owner: str) -> Job:
        self._drop_expired()
        job = self._jobs.get(job_id)
        if job is None or not hmac.compare_digest(job.owner.encode(), owner.encode()):
            raise JobError("there is no such job", remedy="start it again")
        return job

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for job_id in [job_id for job_id, job in self._jobs.items() if job.expires <= now]:
            del self._jobs[job_id]


def _close_if_alive(reference: weakref.ref[JobQueue]) -> None:
    queue = reference()
    if queue is not None:
        queue.close()
