"""One seam for everything that is computed per image: ``map_batches``, here or on a Ray cluster.

A job is plain data that says how to make a worker; a worker turns row numbers into an Arrow table
with one row each. What it gave is kept as one Parquet file per chunk, named by the job's digest and
by the content of the rows, so that a run that was killed goes on where it was, and another run over
the same images computes nothing again. Memory holds one chunk, however many rows there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

EngineName = Literal["local", "ray"]
Worker = Callable[[Sequence[int]], "pa.Table"]
CHUNK = 64


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
        """Return a worker; called once per process. Its tables have one row per row asked for, in order."""


@dataclass(frozen=True)
class EngineOptions:
    """Where and how batches are computed.

    Attributes
    ----------
    cache : Path
        Folder of the chunks.
    engine : {"local", "ray"}
    chunk : int
        Rows per call of a worker and per file.
    told : callable
        Given the job's name, rows done and rows in all.
    stopped : callable
        Asked before each chunk; a ``JobCancelledError`` follows where it says so.
    """

    cache: Path
    engine: EngineName = "local"
    chunk: int = CHUNK
    told: Callable[[str, int, int], None] = field(default=lambda _name, _done, _total: None)
    stopped: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True)
class Chunk:
    """Some rows, and the file that holds or will hold what was computed of them."""

    rows: tuple[int, ...]
    file: Path


@dataclass(frozen=True)
class Chunks:
    """What a job gave for all rows, on disk."""

    files: tuple[Path, ...]

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the named columns of all rows, in the order in which the rows were asked for."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables(
            [pq.read_table(file, columns=list(columns) if columns else None) for file in self.files]
        )

    def stream(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the chunks one at a time."""
        import pyarrow.parquet as pq

        for file in self.files:
            yield pq.read_table(file, columns=list(columns) if columns else None)


def map_batches(job: BatchJob, rows: Sequence[int], options: EngineOptions) -> Chunks:
    """Compute a job for rows; what is on disk already is not computed again.

    Raises
    ------
    JobCancelledError
        When ``options.stopped`` says so; finished chunks stay.
    StoreError
        When the cache cannot be written.
    """
    chunks = chunks_of(job, rows, options)
    todo = [chunk for chunk in chunks if not chunk.file.exists()]
    done = sum(len(chunk.rows) for chunk in chunks) - sum(len(chunk.rows) for chunk in todo)
    options.told(job.name, done, len(rows))
    run = _run_on_ray if options.engine == "ray" else _run_here
    for chunk in run(job, todo, options):
        done += len(chunk.rows)
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


def write_chunk(table: pa.Table, file: Path) -> None:
    """Write one chunk whole or not at all.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    import os

    import pyarrow.parquet as pq

    from whycad.errors import StoreError

    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial, compression="zstd")
        partial.replace(file)
    except OSError as error:
        raise StoreError(f"the audit's cache cannot be written ({type(error).__name__})") from error
    finally:
        partial.unlink(missing_ok=True)


def _run_here(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[Chunk]:
    from whycad.errors import JobCancelledError

    worker = job.open() if todo else None
    for chunk in todo:
        if options.stopped():
            raise JobCancelledError("the audit was stopped", remedy="--resume goes on where it was")
        assert worker is not None
        write_chunk(worker(chunk.rows), chunk.file)
        yield chunk


def _run_on_ray(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[Chunk]:
    from whycad.audit.run.ray_engine import run_on_ray

    yield from run_on_ray(job, todo, options)
