"""``map_batches`` in this process: the next images are read while these are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from whycad.audit.run.chunk_files import Chunk, joined, write_chunk
from whycad.audit.run.engine import Failures, StagedWorker, parts_of, staged, stopped_error

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.run.engine import BatchJob, EngineOptions


class _Ahead:
    """Loads parts in order, one ahead of what is asked for."""

    def __init__(self, worker: StagedWorker, parts: Iterator[Sequence[int]], pool: ThreadPoolExecutor) -> None:
        self._load, self._parts, self._pool = worker.load, parts, pool
        self._next = self._begin()

    def _begin(self) -> Future[Any] | None:
        part = next(self._parts, None)
        return None if part is None else self._pool.submit(self._load, part)

    def take(self) -> Future[Any]:
        """Return the next part's, and begin with the one after it."""
        current = self._next
        assert current is not None
        # What is being read now must be there before more is read: two parts in memory, not three.
        current.exception()
        self._next = self._begin()
        return current


def run_here(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[int]:
    """Compute chunks one after the other and yield how many rows each step took.

    Raises
    ------
    JobCancelledError, StoreError, PredictionError, WhyCadError
        As ``map_batches``.
    """
    worker, failures = staged(job.open()), Failures(job.name)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        ahead = _Ahead(worker, (part for chunk in todo for part in parts_of(chunk.rows)), pool)
        for chunk in todo:
            tables: list[pa.Table] | None = []
            for part in parts_of(chunk.rows):
                if options.stopped():
                    raise stopped_error()
                tables = _with_part(tables, ahead.take(), worker, failures)
                yield len(part)
            if tables is not None:
                _write(tables, chunk)
    failures.check(len(todo))


def _with_part(
    tables: list[pa.Table] | None, loaded: Future[Any], worker: StagedWorker, failures: Failures
) -> list[pa.Table] | None:
    """Return a chunk's tables with one more, or None where a part of the chunk failed."""
    if tables is None:
        return None
    try:
        return [*tables, worker.compute(loaded.result())]
    except Exception as error:  # noqa: BLE001 - a task's code may raise anything; the other chunks go on
        failures.add(error)
        return None


def _write(tables: Sequence[pa.Table], chunk: Chunk) -> None:
    write_chunk(joined(tables), chunk.file)
