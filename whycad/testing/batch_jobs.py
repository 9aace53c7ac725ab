"""A small job for tests of the engine: it counts, and can be slow, fail or kill its worker."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.run.engine import Worker


@dataclass(frozen=True)
class CountingJob:
    """Squares row numbers, and notes every row that it computes in a file.

    Attributes
    ----------
    notes : Path
        One line per row that was computed.
    seconds : float
        Time taken per part.
    broken : tuple of int
        Rows at which an error of other software comes.
    deadly : int
        Row at which the worker's process kills itself, once; -1 for none.
    closed : bool
        Whether it cannot be opened.
    """

    notes: Path
    seconds: float = 0.0
    broken: tuple[int, ...] = ()
    deadly: int = -1
    closed: bool = False
    name: str = "counting"

    @property
    def digest(self) -> str:
        """Always the same."""
        return hashlib.sha256(b"counting").hexdigest()

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the row numbers."""
        return [str(row) for row in rows]

    def open(self) -> Worker:
        """Return a worker in two steps."""
        from whycad.audit.run.engine import StagedWorker

        if self.closed:
            raise DatasetError("the counting job is closed")
        return StagedWorker(list, self._compute)

    def _compute(self, rows: list[int]) -> pa.Table:
        import pyarrow as pa

        time.sleep(self.seconds)
        for row in rows:
            if row == self.deadly and not self._killed_before():
                os.kill(os.getpid(), signal.SIGKILL)
            if row in self.broken:
                raise ZeroDivisionError("what other software says may quote data")
        with self.notes.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{row}\n" for row in rows))
        return pa.table({"row": rows, "square": [float(row) ** 2 for row in rows]})

    def _killed_before(self) -> bool:
        mark = self.notes.with_suffix(".killed")
        before = mark.exists()
        mark.touch()
        return before

    def computed(self) -> list[int]:
        """Return every row that was computed, in order."""
        return [int(line) for line in self.notes.read_text(encoding="utf-8").split()] if self.notes.exists() else []
