"""How often each split was used, and for what: an append-only file whose lines are chained by hashes.

Every line is one evaluation of a model version on a named split, as JSON, with the hash of the line
before it and its own. A line that was changed or taken out breaks the chain, which is found; lines
are only ever added, also after a break. The last hash is kept in a second file, so that lines cut off
at the end are missed too.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from whycad import __version__
from whycad.errors import StoreError
from whycad.files import write_whole

LEDGER_VARIABLE = "WHYCAD_LEDGER"
FILE_NAME = "ledger.jsonl"
FIRST = "0" * 64
SECONDS_TO_WAIT = 10.0


class Use(BaseModel):
    """One evaluation of a model on a split."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: str
    version: str
    weights_sha256: str
    dataset: str
    data_sha256: str
    split: str
    n: int
    purpose: str
    command: str = ""


class Entry(Use):
    """A use as it was recorded. ``previous`` is the hash of the line before, ``hash`` of this one."""

    time_utc: str
    code_version: str = ""
    previous: str
    hash: str


@dataclass(frozen=True)
class Ledger:
    """A ledger as it was read.

    Attributes
    ----------
    entries : tuple of Entry
        Lines that can be read, in order.
    broken : tuple of str
        What does not hold, in words; empty where the chain is whole.
    last : str
        Hash that the next line must name.
    """

    entries: tuple[Entry, ...]
    broken: tuple[str, ...] = ()
    last: str = FIRST

    def of_split(self, data_sha256: str, split: str) -> tuple[Entry, ...]:
        """Return the uses of one split of one data set."""
        return tuple(entry for entry in self.entries if (entry.data_sha256, entry.split) == (data_sha256, split))


def ledger_path() -> Path:
    """Return where the user's ledger lies: the file that $WHYCAD_LEDGER names, else in the home folder."""
    named = os.environ.get(LEDGER_VARIABLE)
    return Path(named) if named else Path.home() / ".local" / "share" / "whycad" / FILE_NAME


def read_ledger(path: Path) -> Ledger:
    """Read a ledger and check its chain; an absent one is empty.

    Raises
    ------
    StoreError
        When it is there but cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        head = _head_path(path).read_text(encoding="utf-8").strip() if _head_path(path).exists() else ""
    except OSError as error:
        raise StoreError(f"the ledger {path.name!r} cannot be read ({type(error).__name__})") from error
    entries, broken, last = [], [], FIRST
    for number, line in enumerate(lines, start=1):
        entry = _parse(line)
        if entry is None:
            broken.append(f"line {number} cannot be read")
        elif entry.hash != _hash_of(line):
            broken.append(f"line {number} was changed")
        elif entry.previous != last:
            broken.append(f"line {number} does not follow from the one before it")
        if entry is not None:
            entries.append(entry)
        last = _raw_hash(line) if entry is None else entry.hash
    known = {FIRST, *(entry.hash for entry in entries), last}
    if head and head not in known:
        broken.append("lines are missing at the end")
        # The next line names the one that is gone, so that the gap stays visible.
        last = head
    return Ledger(tuple(entries), tuple(broken), last)


def record_use(use: Use, path: Path) -> Entry:
    """Add a line; what is there stays as it is, also where the chain is broken.

    Raises
    ------
    StoreError
        When it cannot be written, or another process keeps it locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            last = read_ledger(path).last
            facts = use.model_dump() | {
                "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                "code_version": __version__,
                "previous": last,
            }
            facts["hash"] = _digest(facts)
            _append(path, json.dumps(facts, sort_keys=True))
            write_whole(_head_path(path), facts["hash"] + "\n")
    except OSError as error:
        raise StoreError(f"the ledger {path.name!r} cannot be written ({type(error).__name__})") from error
    return Entry.model_validate(facts)


def _append(path: Path, line: str) -> None:
    """Write a line to disk, on a line of its own even where the last one was cut short."""
    with path.open("ab+") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            line = line if stream.read(1) == b"\n" else f"\n{line}"
        stream.write(f"{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())


def _head_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.last")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing; the system lets go where a process dies."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        end = time.monotonic() + SECONDS_TO_WAIT
        while not _got(lock):
            if time.monotonic() > end:
                raise StoreError(f"the ledger {path.name!r} is locked by another run", remedy="try again later")
            time.sleep(0.05)
        yield


def _got(lock: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows, where two audits that end at the same moment are not kept apart
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(line: str) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


def _hash_of(line: str) -> str:
    """Return the hash that a line's facts should have, whatever keys it has."""
    facts = json.loads(line)
    facts.pop("hash", None)
    return _digest(facts)


def _digest(facts: dict[str, object]) -> str:
    return _raw_hash(json.dumps(facts, sort_keys=True))


def _raw_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
