"""One model worker as its parent sees it: start, talk, watch, kill."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil

from whycad.errors import JobError
from whycad.job_protocol import read_frame, write_frame
from whycad.types import JsonObject

KEPT_VARIABLES = (
    *("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "WHYCAD_PLUGINS", "WHYCAD_REFERENCE"),
)


class WorkerGoneError(Exception):
    """The worker's stream has ended; internal to the job queue."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(f"worker ended with {returncode}")
        self.returncode = returncode

    @property
    def by_signal(self) -> bool:
        """Whether a signal ended it, which may have come from outside the job."""
        return self.returncode is not None and self.returncode < 0


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables a worker needs; tokens and passwords are not among them."""
    kept = {name: environment[name] for name in KEPT_VARIABLES if name in environment}
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in paths if path), "PYTHONSAFEPATH": "1"}


class WorkerProcess:
    """A running ``python -m whycad.model_worker``.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    scratch : Path
        Folder of the queue's private files.
    memory_bytes : int
        Most memory the worker may hold.
    """

    def __init__(self, device: str, scratch: Path, memory_bytes: int) -> None:
        command = [sys.executable, "-m", "whycad.model_worker", "--device", device]
        command += ["--scratch", str(scratch), "--memory-bytes", str(memory_bytes)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(os.environ),
            cwd=scratch,
            start_new_session=True,
        )
        self._inbox: queue.Queue[JsonObject | None] = queue.Queue(maxsize=1000)
        self._reader = threading.Thread(target=self._read, daemon=True, name="model-worker-reader")
        self._reader.start()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def send(self, message: JsonObject) -> None:
        """Send a message.

        Raises
        ------
        WorkerGoneError
            When the worker has ended.
        """
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, message)
        except (OSError, ValueError) as error:
            raise WorkerGoneError(self._end()) from error

    def receive(self, timeout_s: float) -> JsonObject | None:
        """Return the next message, or None when none came in time.

        Raises
        ------
        WorkerGoneError
            When the worker has ended or sent something that is not a message.
        """
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            raise WorkerGoneError(self._end())
        return message

    def memory_bytes(self) -> int:
        """Return the resident memory of the worker and its children; 0 when it is gone."""
        try:
            process = psutil.Process(self.pid)
            return sum(int(p.memory_info().rss) for p in [process, *process.children(recursive=True)])
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._close()

    def stop(self, grace_s: float = 2.0) -> None:
        """Ask the worker to end; kill it when it does not."""
        with contextlib.suppress(WorkerGoneError):
            self.send({"type": "stop"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill()

    def _end(self) -> int | None:
        """Wait for a worker whose stream has ended and return its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        returncode = self._process.poll()
        self.kill()
        return returncode

    def _close(self) -> None:
        self._process.wait()
        with contextlib.suppress(queue.Empty):  # a full inbox would hold the reader
            while True:
                self._inbox.get_nowait()
        self._reader.join(timeout=2.0)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while (message := read_frame(self._process.stdout)) is not None:
                self._inbox.put(message)
        except (JobError, OSError, ValueError):
            pass  # the end of the stream is all that the queue needs to know
        self._inbox.put(None)
