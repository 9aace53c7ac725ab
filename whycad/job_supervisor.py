"""One thread per worker: gives it jobs, listens, and replaces it when it misbehaves."""

from __future__ import annotations

import re
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whycad.errors import JobError, PluginError, StoreError
from whycad.job_protocol import error_from_json, load_cases
from whycad.result_io import load_result
from whycad.types import AnalysisResult, JsonObject, Progress
from whycad.whatif.result import load_what_ifs
from whycad.worker_process import WorkerGoneError, WorkerProcess

if TYPE_CHECKING:
    from whycad.jobs import Job, JobQueue

MAX_ATTEMPTS = 2
POLL_S = 0.1
WEIGH_S = 0.5
IDLE_POLL_S = 0.5
_NAME = re.compile(r"(result|partial-\d{1,4})")
_STAGES = ("queued", "preprocess", "predict", "explain", "done")


@dataclass
class Watch:
    """Clock of one job on one worker."""

    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    weighed: float = 0.0
    cancel_sent: float | None = None
    accepted: bool = False


class Supervisor(threading.Thread):
    """Runs the queue's jobs one after another on one worker.

    Parameters
    ----------
    queue : JobQueue
    device : str
    """

    def __init__(self, queue: JobQueue, device: str) -> None:
        super().__init__(daemon=True, name=f"job-supervisor-{device}")
        self._queue = queue
        self._device = device
        self._worker: WorkerProcess | None = None
        self._warm = threading.Event()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, where one runs."""
        worker = self._worker
        return worker.pid if worker is not None and worker.alive else None

    def warm_up(self) -> None:
        """Ask for the worker to be started before the first job."""
        self._warm.set()

    def close(self) -> None:
        """Wait for the thread, which ends its worker, after the queue was closed."""
        if threading.current_thread() is not self:
            self.join(timeout=10.0)

    def run(self) -> None:
        """Take jobs until the queue closes."""
        while not self._queue.closed:
            job = self._queue.next_job(IDLE_POLL_S)
            if job is not None:
                self._run_job(job)
            elif self._warm.is_set() and self.worker_pid is None and not self._queue.closed:
                self._warm.clear()
                self._try_to_start()
        if self._worker is not None:
            self._worker.stop()

    def _try_to_start(self) -> None:
        try:
            self._ready_worker()
        except (JobError, WorkerGoneError, OSError):
            self._discard()

    def _run_job(self, job: Job) -> None:
        try:
            while not self._attempt(job):
                pass
        except (JobError, PluginError, StoreError) as error:
            self._discard()
            self._queue.finish(job, "failed", error=error)
        except OSError as error:
            self._discard()
            reason = JobError(f"the model worker cannot be started ({type(error).__name__})")
            self._queue.finish(job, "failed", error=reason)
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)
            if self._worker is None:
                self._warm.set()  # the next job should not wait for a new worker

    def _attempt(self, job: Job) -> bool:
        """Run a job on the worker once; False when it may be tried on a new one."""
        job.attempts += 1
        watch = Watch()
        try:
            worker = self._ready_worker()
            watch = Watch()
            worker.send(job.message)
            self._follow(job, worker, watch)
        except WorkerGoneError as gone:
            self._discard()
            if job.state == "cancelled":
                return True
            if (gone.by_signal or not watch.accepted) and job.attempts < MAX_ATTEMPTS:
                return False
            raise _death(job, watch, gone) from gone
        return True

    def _ready_worker(self) -> WorkerProcess:
        """Return the running worker, or start one and wait until it is up."""
        if self._worker is not None and self._worker.alive:
            return self._worker
        self._discard()
        settings = self._queue.settings
        self._worker = WorkerProcess(self._device, self._queue.scratch, settings.memory_bytes)
        deadline = time.monotonic() + settings.start_s
        while time.monotonic() < deadline and not self._queue.closed:
            message = self._worker.receive(POLL_S)
            if message is not None and message.get("type") == "ready":
                return self._worker
            if message is not None and message.get("type") == "error":
                raise error_from_json(message)
        self._discard()
        raise JobError(f"the model worker for {self._device} did not come up within {settings.start_s:.0f} s")

    def _discard(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _follow(self, job: Job, worker: WorkerProcess, watch: Watch) -> None:
        """Listen until the job ends, one way or another."""
        while True:
            message = worker.receive(POLL_S)
            if message is not None and message.get("job") == job.id:
                watch.heard = time.monotonic()
                watch.accepted = True
                if self._handle(job, message):
                    return
            if self._stopped(job, worker, watch):
                return

    def _handle(self, job: Job, message: JsonObject) -> bool:
        """Apply one message; True when it was the last."""
        match message.get("type"):
            case "progress":
                self._set(job, progress=_progress(message))
            case "partial":
                self._set(job, partial=self._load(job, message))
            case "error":
                self._queue.finish(job, "failed", error=error_from_json(message))
                return True
            case "result":
                self._finish(job, message)
                return True
        return False

    def _finish(self, job: Job, message: JsonObject) -> None:
        if job.message["kind"] in ("samples", "pack_cases"):
            job.samples = load_cases(job.folder / _name(message))
        elif job.message["kind"] == "what_if":
            job.what_if = load_what_ifs(job.folder / _name(message), job.study_sha256, job.plugin.id)
        else:
            job.result = self._load(job, message)
        self._set(job, progress=Progress("done", 1.0, "Done"))
        self._queue.finish(job, "done")

    def _load(self, job: Job, message: JsonObject) -> AnalysisResult:
        result = load_result(job.folder / _name(message))
        if result.study_sha256 != job.study_sha256 or result.provenance.plugin_id != job.plugin.id:
            raise JobError(f"{job.plugin.label}: the worker returned the result of another case")
        return result

    def _set(self, job: Job, *, progress: Progress | None = None, partial: AnalysisResult | None = None) -> None:
        with self._queue.changed:
            job.progress = progress or job.progress
            job.partial = partial or job.partial
            self._queue.changed.notify_all()

    def _stopped(self, job: Job, worker: WorkerProcess, watch: Watch) -> bool:
        """Check cancellation, time and memory; True when the job was stopped without a last word.

        Raises
        ------
        PluginError
            When the job went over a limit; its worker is gone then.
        """
        settings, now = self._queue.settings, time.monotonic()
        if job.state == "cancelled":
            return self._stop_cancelled(job, worker, watch, now)
        problem = ""
        if now - watch.heard > settings.silence_s:
            problem = f"made no progress for {settings.silence_s:g} s"
        elif now - watch.started > settings.job_s:
            problem = f"was not done within {settings.job_s:g} s"
        elif self._is_too_large(worker, watch, now):
            problem = f"used more than {settings.memory_bytes / 1024**3:.2g} GiB of memory"
        if not problem:
            return False
        self._discard()
        raise PluginError(f"{job.plugin.label}: {problem} and was stopped", remedy="try again, or choose another task")

    def _is_too_large(self, worker: WorkerProcess, watch: Watch, now: float) -> bool:
        if now - watch.weighed < WEIGH_S:  # looking through the process table is not free
            return False
        watch.weighed = now
        return worker.memory_bytes() > self._queue.settings.memory_bytes

    def _stop_cancelled(self, job: Job, worker: WorkerProcess, watch: Watch, now: float) -> bool:
        if watch.cancel_sent is None:
            worker.send({"type": "cancel", "job": job.id})
            watch.cancel_sent = now
        elif now - watch.cancel_sent > self._queue.settings.cancel_grace_s or self._queue.closed:
            self._discard()
            return True
        return False


def _name(message: JsonObject) -> str:
    name = str(message.get("name"))
    if not _NAME.fullmatch(name):
        raise JobError("the model worker named a file it may not name")
    return name


def _progress(message: JsonObject) -> Progress:
    stage = message.get("stage")
    if stage not in _STAGES:
        raise JobError("the model worker reported an unknown stage")
    fraction = min(1.0, max(0.0, float(message.get("fraction", 0.0))))
    return Progress(stage, fraction, str(message.get("message", ""))[:200])


def _death(job: Job, watch: Watch, gone: WorkerGoneError) -> JobError | PluginError:
    """Say who is to blame for a worker's death: the plugin, once the job had begun."""
    if not watch.accepted:
        return JobError("the model worker died before the job began", remedy="try again")
    how = f"was killed by signal {-(gone.returncode or 0)}" if gone.by_signal else "ended its process"
    return PluginError(
        f"{job.plugin.label}: the job {how}",
        remedy="try again; if it happens again, the plugin or its memory use is at fault",
    )
