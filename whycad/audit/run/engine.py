"""One seam for everything that is computed per image: ``map_batches``, here or on a Ray cluster.

A job is plain data that says how to make a worker; a worker turns row numbers into an Arrow table
with one row each. What it gave is kept as one Parquet file per chunk, named by the job's digest and
by the content of the rows, so that a run that was killed goes on where it was, and another run over
the same images computes nothing again. Memory holds two parts of a chunk, however many rows there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from whycad.audit.run.chunk_files import Chunk, Chunks, is_sound, write_chunk

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.errors import WhyCadError

__all__ = [
    "CHUNK",
    "BatchJob",
    "Chunk",
    "Chunks",
    "EngineName",
    "EngineOptions",
    "Failures",
    "StagedWorker",
    "Worker",
    "chunks_of",
    "map_batches",
    "parts_of",
    "staged",
    "stopped_error",
    "write_chunk",
]

EngineName = Literal["local", "ray"]
Worker = Callable[[Sequence[int]], "pa.Table"]
CHUNK = 64
# Rows that a worker is given at once. Two parts are in memory, of images that may be large; a network
# is fed well by this many.
PART = 16


@dataclass(frozen=True)
class StagedWorker:
    """A worker in two steps, so that the next images are read while these are computed.

    Attributes
    ----------
    load : callable
        Reads rows; runs in a thread of its own, one part ahead.
    compute : callable
        Turns what ``load`` gave into an Arrow table with one row per row asked for, in order.
    """

    load: Callable[[Sequence[int]], Any]
    compute: Callable[[Any], pa.Table]

    def __call__(self, rows: Sequence[int]) -> pa.Table:
        """Do both steps."""
        return self.compute(self.load(rows))


class BatchJob(Protocol):
    """What is to be computed of every row. Must be picklable."""

    @property
    def name(self) -> str:
        """Short name for files and progress, such as ``predictions``."""

    @property
    def digest(self) -> str:
        """Hash of everything but the rows that the outcome depends on: weights, options, version of the code."""

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return what identifies each row's input, such as the hash of its image."""

    def open(self) -> Worker:
        """Return a worker, a ``StagedWorker`` where it reads images; called once per process.

        Its tables have one row per row asked for, in order. It is never given more than ``PART`` rows.
        """


@dataclass(frozen=True)
class EngineOptions:
    """Where and how batches are computed.

    Attributes
    ----------
    cache : Path
        Folder of the chunks.
    engine : {"local", "ray"}
    chunk : int
        Rows per file.
    told : callable
        Given the job's name, rows done and rows in all.
    stopped : callable
        Asked before each part; a ``JobCancelledError`` follows where it says so.
    tried : set of Path
        Chunks that this run computed: failures in them that may pass are not tried again before the next run.
    """

    cache: Path
    engine: EngineName = "local"
    chunk: int = CHUNK
    told: Callable[[str, int, int], None] = field(default=lambda _name, _done, _total: None)
    stopped: Callable[[], bool] = field(default=lambda: False)
    tried: set[Path] = field(default_factory=set, compare=False, repr=False)


class Failures:
    """Chunks of one run that failed; the others go on.

    Parameters
    ----------
    job : str
        The job's name.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._first: BaseException | None = None
        self._n = 0

    def add(self, error: BaseException) -> None:
        """Note that a chunk failed."""
        self._first = self._first or error
        self._n += 1

    def check(self, n_chunks: int) -> None:
        """Raise a ``PredictionError`` where chunks failed; it names the job, how many and the first reason."""
        from whycad.errors import PredictionError, WhyCadError

        if self._first is None:
            return
        # What an error of other software says may quote data.
        why = str(self._first) if isinstance(self._first, WhyCadError) else type(self._first).__name__
        raise PredictionError(
            f"{self._job}: {self._n} of {n_chunks} chunks failed ({why})",
            remedy="what was computed is kept; once the reason is gone, go on with --resume",
        ) from self._first


def map_batches(job: BatchJob, rows: Sequence[int], options: EngineOptions) -> Chunks:
    """Compute a job for rows; what is on disk already is not computed again.

    A chunk of an earlier run in which a row failed in a way that may pass is, once per ``options``.

    Raises
    ------
    JobCancelledError
        When ``options.stopped`` says so; finished chunks stay.
    StoreError
        When the cache cannot be written.
    PredictionError
        When chunks failed; the others are on disk.
    WhyCadError
        What ``job.open`` raised.
    """
    chunks = chunks_of(job, rows, options)
    todo = [chunk for chunk in chunks if not is_sound(chunk, tried=chunk.file in options.tried)]
    options.tried.update(chunk.file for chunk in todo)
    done = sum(len(chunk.rows) for chunk in chunks) - sum(len(chunk.rows) for chunk in todo)
    options.told(job.name, done, len(rows))
    run = _run_on_ray if options.engine == "ray" else _run_here
    for n_rows in run(job, todo, options) if todo else ():
        done += n_rows
        options.told(job.name, done, len(rows))
    return Chunks(tuple(chunk.file for chunk in chunks))


def chunks_of(job: BatchJob, rows: Sequence[int], options: EngineOptions) -> list[Chunk]:
    """Cut rows into chunks and name each one's file by what it depends on."""
    folder = options.cache / f"{job.name}-{job.digest[:16]}"
    found = []
    for start in range(0, len(rows), options.chunk):
        part = tuple(int(row) for row in rows[start : start + options.chunk])
        key = hashlib.sha256("\n".join(job.content(part)).encode()).hexdigest()[:32]
        found.append(Chunk(part, folder / f"{key}.parquet"))
    return found


def parts_of(rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut a chunk's rows into what a worker is given at once; the same on every engine."""
    return [tuple(rows[start : start + PART]) for start in range(0, len(rows), PART)]


def staged(worker: Worker) -> StagedWorker:
    """Return a worker in two steps; one that has a single step reads nothing ahead."""
    return worker if isinstance(worker, StagedWorker) else StagedWorker(lambda rows: rows, worker)


def stopped_error() -> WhyCadError:
    """Return what is raised where somebody asked the audit to stop."""
    from whycad.errors import JobCancelledError

    return JobCancelledError("the audit was stopped", remedy="--resume goes on where it was")


def _run_here(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[int]:
    from whycad.audit.run.local_engine import run_here

    yield from run_here(job, todo, options)


def _run_on_ray(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[int]:
    from whycad.audit.run.ray_engine import run_on_ray

    yield from run_on_ray(job, todo, options)
