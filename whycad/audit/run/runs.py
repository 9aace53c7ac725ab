"""The audits in a folder: what is finished, what runs, what was stopped or died."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from whycad.audit.findings import Audit
from whycad.audit.run.record import RunRecord, read_record
from whycad.audit.run.runner import AUDIT_FILE, read_audit
from whycad.audit.run.status import STATUS_FILE, Status, read_status
from whycad.errors import DatasetError

FOLDER_VARIABLE = "WHYCAD_AUDITS"
MOST_RUNS = 200
CLOCKS_APART_S = 2.0

RunState = Literal["running", "stopped", "interrupted", "failed", "done"]


def audits_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where audits lie: ``$WHYCAD_AUDITS``, else in the user's own data folder."""
    named = environment.get(FOLDER_VARIABLE, "").strip()
    return Path(named) if named else Path.home() / ".local" / "share" / "whycad" / "audits"


@dataclass(frozen=True)
class AuditRun:
    """One folder that an audit wrote, or is writing.

    Attributes
    ----------
    folder : Path
    changed : float
        When it last said something, in seconds since 1970.
    status : Status or None
    record : RunRecord or None
        None where the run came from another machine, or its record was taken away.
    finished : bool
        Whether it holds findings; a run that goes on anew may still hold those of the last time.
    alive : bool
        Whether its process lives.
    """

    folder: Path
    changed: float
    status: Status | None
    record: RunRecord | None
    finished: bool
    alive: bool

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def state(self) -> RunState:
        """How it stands; a run whose process is gone was interrupted."""
        if self.status is None:
            return "done" if self.finished else "interrupted"
        if self.status.state == "running":
            return "running" if self.alive else "interrupted"
        return self.status.state

    @property
    def can_resume(self) -> bool:
        """Whether it can go on where it was."""
        return self.state in ("stopped", "interrupted", "failed") and self.record is not None

    @property
    def when(self) -> str:
        """When it last said something, local time, to the minute."""
        return datetime.fromtimestamp(self.changed).astimezone().strftime("%Y-%m-%d %H:%M")

    def read(self) -> Audit:
        """Read what it found.

        Raises
        ------
        DatasetError
            When it is not finished, or of another version.
        """
        return read_audit(self.folder)


def find_runs(root: Path) -> tuple[AuditRun, ...]:
    """Return the audits right below a folder, the newest first, at most 200."""
    try:
        folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return ()
    found = [run for folder in folders if (run := read_run(folder)) is not None]
    return tuple(sorted(found, key=lambda run: -run.changed)[:MOST_RUNS])


def read_run(folder: Path) -> AuditRun | None:
    """Return how the audit in a folder stands; None where there is none."""
    times = [changed for name in (AUDIT_FILE, STATUS_FILE) if (changed := _changed(folder / name))]
    if not times:
        return None
    status = read_status(folder)
    alive = status is not None and is_alive(status)
    return AuditRun(folder, max(times), status, read_record(folder), (folder / AUDIT_FILE).is_file(), alive)


def find_run(root: Path, name: str) -> AuditRun:
    """Return the audit of a name right below a folder.

    Raises
    ------
    DatasetError
        When there is none; names that lead elsewhere are none.
    """
    run = None if name in ("", ".", "..") or Path(name).name != name else read_run(root / name)
    if run is None:
        raise DatasetError(f"there is no audit {name[:80]!r}", remedy="choose another run")
    return run


def is_alive(status: Status) -> bool:
    """Whether the process that wrote a status lives: not one that was given its number since."""
    import psutil

    if status.state != "running" or status.pid <= 0:
        return False
    try:
        process = psutil.Process(status.pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= status.updated_utc + CLOCKS_APART_S
    except psutil.Error:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
