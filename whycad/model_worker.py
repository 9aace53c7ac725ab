"""The process that runs plugin code: ``python -m whycad.model_worker``, started by ``whycad.jobs``.

Whatever a plugin does here, the app goes on: prints go nowhere, an exception is an error message,
and a plugin that hangs or exits is noticed by the parent, which starts another worker. The
process ends when its parent does.
"""

from __future__ import annotations

import argparse
import importlib
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from whycad.errors import JobCancelledError, JobError, WhyCadError
from whycad.job_protocol import (
    error_to_json,
    load_study,
    read_frame,
    request_from_json,
    save_cases,
    write_frame,
)
from whycad.plugin import Plugin, load_plugin
from whycad.types import AnalysisResult, JsonObject, Progress

if TYPE_CHECKING:
    import torch

    from whycad.inference import ModelPool

PROGRESS_INTERVAL_S = 0.1
IDLE_S = 1.0


class Channel:
    """The protocol's two streams, taken away from whatever else runs in this process."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    @classmethod
    def take_over(cls) -> Channel:
        """Keep private copies of stdin and stdout and point the public ones at nothing."""
        incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        sys.stdout = sys.stderr
        return cls(incoming, outgoing)

    def send(self, message: JsonObject) -> None:
        """Send one message; a parent that is gone ends the process."""
        with self._lock:
            try:
                write_frame(self._outgoing, message)
            except OSError:
                os._exit(0)

    def receive(self) -> JsonObject | None:
        """Receive one message; None when the parent is gone."""
        return read_frame(self._incoming)


class Inbox(threading.Thread):
    """Reads what the parent says while the main thread works.

    Parameters
    ----------
    channel : Channel
    scratch : Path or None
        Removed when the parent vanishes without saying ``stop``, so that no image stays behind.
    """

    def __init__(self, channel: Channel, scratch: Path | None) -> None:
        super().__init__(daemon=True, name="inbox")
        self._channel = channel
        self._scratch = scratch
        self._cancelled: set[str] = set()
        self.jobs: queue.Queue[JsonObject] = queue.Queue()

    def run(self) -> None:
        """Sort messages until the parent stops or vanishes, then end the process."""
        while (message := self._channel.receive()) is not None:
            match message.get("type"):
                case "job":
                    self.jobs.put(message)
                case "cancel":
                    self._cancelled.add(str(message["job"]))
                case _:
                    os._exit(0)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        os._exit(0)

    def is_cancelled(self, job: str) -> bool:
        """Whether the parent has cancelled a job."""
        return job in self._cancelled


@dataclass
class JobRun:
    """One job being run: reports progress, hands over files, and knows whether it is cancelled.

    Attributes
    ----------
    job : str
    folder : Path
        The job's private folder.
    """

    job: str
    folder: Path
    channel: Channel
    inbox: Inbox
    _last: tuple[str, float] = ("", 0.0)
    _n_partial: int = field(default=0)

    def cancelled(self) -> bool:
        """Whether to stop."""
        return self.inbox.is_cancelled(self.job)

    def progress(self, progress: Progress) -> None:
        """Forward progress, at most ten times a second within a stage."""
        stage, sent_at = self._last
        now = time.monotonic()
        if progress.stage == stage and now - sent_at < PROGRESS_INTERVAL_S:
            return
        self._last = (progress.stage, now)
        self._say(
            type="progress", stage=progress.stage, fraction=float(progress.fraction), message=progress.message[:200]
        )

    def partial(self, result: AnalysisResult) -> None:
        """Hand over the result as far as it is."""
        self._n_partial += 1
        self.deliver(result, "partial", f"partial-{self._n_partial}")

    def deliver(self, result: AnalysisResult, kind: str, name: str) -> None:
        """Write a result to the job's folder and name it to the parent."""
        from whycad.result_io import save_result

        save_result(result, self.folder / name)
        self._say(type=kind, name=name)

    def finish(self, name: str) -> None:
        """Name the folder of a finished job that gives no analysis."""
        self._say(type="result", name=name)

    def fail(self, error: WhyCadError) -> None:
        """Send an error instead of a result."""
        self._say(type="error", **error_to_json(error))

    def accept(self) -> None:
        """Say that the job has started."""
        self._say(type="accepted")

    def _say(self, **message: object) -> None:
        self.channel.send({"job": self.job, **message})


def run_job(message: JsonObject, run: JobRun, pool: ModelPool, device: torch.device) -> None:
    """Run one job to its result or error; nothing that plugin code raises goes further."""
    run.accept()
    try:
        plugin = load_plugin(Path(message["plugin_folder"]))
        if message["kind"] == "samples":
            save_cases(plugin.phantom(), run.folder / "result")
            run.finish("result")
        elif message["kind"] == "pack_cases":
            from whycad.datasets.sampling import choose_cases

            save_cases(choose_cases(Path(message["data"]), plugin), run.folder / "result")
            run.finish("result")
        elif message["kind"] == "what_if":
            _change(message, plugin, run, pool, device)
        else:
            _analyse(message, plugin, run, pool, device)
    except WhyCadError as error:
        run.fail(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the process boundary: a bug must not end the worker
        run.fail(JobError(f"the job failed inside WhyCAD ({type(error).__name__})", remedy="report this"))


def _change(message: JsonObject, plugin: Plugin, run: JobRun, pool: ModelPool, device: torch.device) -> None:
    from whycad.hooks import Hooks
    from whycad.whatif.request import request_from_json as what_from_json
    from whycad.whatif.result import save_what_ifs
    from whycad.whatif.run import what_if

    study, what = load_study(run.folder / "study"), what_from_json(message["what"])
    run.progress(Progress("preprocess", 0.01, "Loading the model"))
    ensemble = pool.get(plugin, device)
    hooks = Hooks(progress=run.progress, cancelled=run.cancelled)
    hooks.check()
    found = what_if(study, ensemble, request_from_json(message["request"]), what, hooks)
    save_what_ifs(found, run.folder / "result", study.sha256, plugin.id)
    run.finish("result")


def _analyse(message: JsonObject, plugin: Plugin, run: JobRun, pool: ModelPool, device: torch.device) -> None:
    from whycad.pipeline import Hooks, analyse

    study = load_study(run.folder / "study")
    run.progress(Progress("preprocess", 0.01, "Loading the model"))
    ensemble = pool.get(plugin, device)
    if run.cancelled():
        raise JobCancelledError("the job was cancelled")
    hooks = Hooks(progress=run.progress, cancelled=run.cancelled, partial=run.partial)
    result = analyse(study, plugin, request_from_json(message["request"]), ensemble=ensemble, hooks=hooks)
    run.deliver(result, "result", "result")


def limit_memory(limit: int) -> None:
    """Cap this process's private memory where the system can, so that a greedy plugin gets a MemoryError."""
    try:
        import resource
    except ImportError:
        return
    if limit > 0 and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve jobs until the parent says stop or is gone."""
    parser = argparse.ArgumentParser(prog="python -m whycad.model_worker")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--memory-bytes", type=int, default=0)
    options = parser.parse_args(arguments)
    channel = Channel.take_over()
    inbox = Inbox(channel, options.scratch)
    inbox.start()
    from whycad import pipeline  # noqa: F401 - loaded before the first job, whose clock then runs for itself
    from whycad.inference import ModelPool, choose_device

    try:
        device = choose_device(options.device)
    except WhyCadError as error:
        channel.send({"type": "error", **error_to_json(error)})
        return 1
    if device.type == "cpu":
        limit_memory(options.memory_bytes)
    pool = ModelPool()
    channel.send({"type": "ready", "device": str(device)})
    while True:
        message = _next_job(inbox)
        run_job(message, JobRun(str(message["job"]), Path(message["folder"]), channel, inbox), pool, device)


def _next_job(inbox: Inbox) -> JsonObject:
    """Wait for a job; use the first idle moment to load what explanations need."""
    try:
        return inbox.jobs.get(timeout=IDLE_S)
    except queue.Empty:
        importlib.import_module("whycad.explain")
        return inbox.jobs.get()


if __name__ == "__main__":
    sys.exit(main())
