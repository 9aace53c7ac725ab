"""Run the decoding child within its limits, and make sure that it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from whycad.errors import DecodeLimitError
from whycad.imaging.limits import MIB, Limits

POLL_S = 0.02
BASELINE_BYTES = 256 * MIB
_PASSED_ON = ("SYSTEMROOT", "SYSTEMDRIVE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH")


class Ending(StrEnum):
    """How a child ended."""

    DONE = "done"
    TOO_LONG = "too long"
    TOO_MUCH_MEMORY = "too much memory"
    DIED = "died"


@dataclass(frozen=True)
class Command:
    """A child to run.

    Attributes
    ----------
    arguments : sequence of str
    request : str
        Sent to its standard input.
    folder : Path
        Its private folder: working and temporary folder.
    """

    arguments: Sequence[str]
    request: str
    folder: Path


def package_root() -> Path:
    """Return the folder that holds the ``whycad`` package, in a checkout or installed."""
    return Path(__file__).resolve().parents[2]


def worker_command(request: str, folder: Path) -> Command:
    """Return the command that starts the decoding child."""
    return Command((sys.executable, "-P", "-s", "-m", "whycad.imaging.worker"), request, folder)


def child_environment(folder: Path) -> dict[str, str]:
    """Return a minimal environment: no secret of the parent's reaches the child."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    paths = [str(package_root()), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(str(Path(p).resolve()) for p in paths)),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TMPDIR": str(folder),
        "TEMP": str(folder),
        "TMP": str(folder),
        "HOME": str(folder),
    }


def run_child(command: Command, limits: Limits, *, watch_memory: bool = sys.platform != "linux") -> Ending:
    """Run a child to its end, or kill it and everything it started.

    Parameters
    ----------
    command : Command
    limits : Limits
    watch_memory : bool
        Also measure its memory from outside, where the system does not enforce a limit.

    Returns
    -------
    Ending

    Raises
    ------
    DecodeLimitError
        If it cannot be started at all.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            list(command.arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=command.folder,
            env=child_environment(command.folder),
            start_new_session=True,
        )
    except OSError:
        raise DecodeLimitError("The decoder cannot be started", remedy="close other programs and try again") from None
    try:
        _send(process, command.request)
        return _wait(process, limits, watch_memory)
    finally:
        _kill(process)


def _send(process: subprocess.Popen[bytes], request: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(request.encode("utf-8") + b"\n")
        process.stdin.close()
    except BrokenPipeError:
        # It is dead already, and _wait will say so.
        return


def _wait(process: subprocess.Popen[bytes], limits: Limits, watch_memory: bool) -> Ending:
    deadline = time.monotonic() + limits.wall_s
    while time.monotonic() < deadline:
        try:
            return _ending(process.wait(timeout=POLL_S))
        except subprocess.TimeoutExpired:
            if watch_memory and _resident(process.pid) > limits.memory_bytes + BASELINE_BYTES:
                return Ending.TOO_MUCH_MEMORY
    return Ending.TOO_LONG


def _ending(status: int) -> Ending:
    if status == 0:
        return Ending.DONE
    if sys.platform != "win32" and -status in (signal.SIGXCPU, signal.SIGALRM):
        return Ending.TOO_LONG
    return Ending.DIED


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
