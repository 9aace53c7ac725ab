"""Start, stop and resume audits as processes of their own, which outlive whoever asked for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from whycad.audit.run.record import RunRecord, write_record
from whycad.audit.run.runs import AuditRun, find_runs
from whycad.audit.run.status import STATUS_FILE, STOP_FILE, Status
from whycad.errors import JobError, StoreError
from whycad.files import write_whole

LOG_FILE = "log.txt"
MOST_RUNNING = 2
LAST_LINES = 4
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


def start_audit(record: RunRecord, root: Path) -> Path:
    """Start an audit in a new folder below ``root`` and return the folder.

    Raises
    ------
    JobError
        When two run already, or the process cannot be started.
    StoreError
        When the folder cannot be written.
    """
    check_room(root)
    folder = _new_folder(record, root)
    write_record(record, folder)
    _launch(record.arguments(folder), folder)
    return folder


def resume_audit(run: AuditRun, root: Path) -> None:
    """Let an audit go on where it was.

    Raises
    ------
    JobError
        When it runs, when nothing says what it was asked for, or when two run already.
    """
    if run.record is None or not run.can_resume:
        raise JobError(f"audit {run.name!r} cannot go on", remedy="start it anew")
    check_room(root)
    (run.folder / STOP_FILE).unlink(missing_ok=True)
    _launch(run.record.arguments(run.folder, resume=True), run.folder)


def stop_audit(folder: Path) -> None:
    """Ask an audit to stop after the batch at hand; what was computed stays.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    write_whole(folder / STOP_FILE, "")


def check_room(root: Path) -> None:
    """Raise a ``JobError`` where as many audits run as may run at once."""
    if sum(run.state == "running" for run in find_runs(root)) >= MOST_RUNNING:
        raise JobError(f"{MOST_RUNNING} audits run already", remedy="wait for one to end, or stop one")


def last_words(folder: Path) -> str:
    """Return the last lines that an audit's process wrote; empty where there are none."""
    try:
        with (folder / LOG_FILE).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-LAST_LINES:])


def _new_folder(record: RunRecord, root: Path) -> Path:
    data = _NOT_PLAIN.sub("-", record.dataset.stem)[:40].strip("-.") or "data"
    stem = "-".join(filter(None, [time.strftime("%Y%m%d-%H%M%S"), _NOT_PLAIN.sub("-", record.task)[:40], data]))
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(100):
            folder = root / (f"{stem}-{number}" if number else stem)
            if not folder.exists():
                folder.mkdir()
                return folder
    except OSError as error:
        raise StoreError(
            f"the folder of audits cannot be written ({type(error).__name__})", remedy="set WHYCAD_AUDITS to another"
        ) from error
    raise StoreError("a hundred audits were started in this second", remedy="wait a little")


def _launch(arguments: list[str], folder: Path) -> None:
    command = [sys.executable, "-m", "whycad", *arguments]
    try:
        with (folder / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own command; no shell, paths are checked before
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as error:
        raise JobError(f"the audit cannot be started ({type(error).__name__})") from error
    # Until the process speaks for itself: it loads libraries for some seconds.
    first = Status(state="running", step="starting", pid=process.pid, updated_utc=time.time())
    write_whole(folder / STATUS_FILE, first.model_dump_json() + "\n")
    # Its end is told by its files; somebody must still take note of it, or it stays on as a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
