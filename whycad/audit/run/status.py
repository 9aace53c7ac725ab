"""What a running audit says of itself, in a small file that a page can watch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from whycad.files import write_whole

STATUS_FILE = "status.json"
STOP_FILE = "stop"
SECONDS_BETWEEN = 0.5

State = Literal["running", "stopped", "done", "failed"]


class Status(BaseModel):
    """How far an audit is. ``seconds_left`` is of the step, None while it cannot be told."""

    model_config = ConfigDict(frozen=True)

    state: State
    step: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    checks_done: int = 0
    checks_total: int = 0
    message: str = ""
    pid: int = 0
    updated_utc: float = 0.0


@dataclass
class StatusFile:
    """Writes the status of one run, at most twice a second.

    Attributes
    ----------
    folder : Path
        The audit's.
    """

    folder: Path
    checks_done: int = 0
    checks_total: int = 0
    _last: float = 0.0
    _step: str = ""
    _started: tuple[float, int] = field(default=(0.0, 0))

    def tell(self, step: str, done: int, total: int) -> Status:
        """Say how far a step is, with the time left at the pace so far."""
        now = time.monotonic()
        if step != self._step:
            self._step, self._started, self._last = step, (now, done), 0.0
        since, before = self._started
        made = done - before
        left = (now - since) / made * (total - done) if made > 0 else None
        status = self._status("running", step=step, done=done, total=total, seconds_left=left)
        if now - self._last >= SECONDS_BETWEEN or done >= total:
            self._last = now
            self._write(status)
        return status

    def end(self, state: State, message: str = "") -> None:
        """Say how the run ended."""
        self._write(self._status(state, message=message))

    def stop_wanted(self) -> bool:
        """Tell whether somebody asked this run to stop."""
        return (self.folder / STOP_FILE).exists()

    def _status(self, state: State, **facts: object) -> Status:
        counts = {"checks_done": self.checks_done, "checks_total": self.checks_total}
        return Status.model_validate(
            {"state": state, "pid": os.getpid(), "updated_utc": time.time(), **counts, **facts}
        )

    def _write(self, status: Status) -> None:
        write_whole(self.folder / STATUS_FILE, status.model_dump_json() + "\n")


def read_status(folder: Path) -> Status | None:
    """Return the status of the audit in a folder, or None where there is none."""
    try:
        return Status.model_validate_json((folder / STATUS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def forget_old_stop(folder: Path) -> None:
    """Take away a wish to stop that is older than this process: it was meant for the run before.

    A younger one is meant for this run, which loaded libraries until now.
    """
    import psutil

    try:
        old = (folder / STOP_FILE).stat().st_mtime < psutil.Process().create_time()
    except OSError:
        return
    if old:
        (folder / STOP_FILE).unlink(missing_ok=True)
