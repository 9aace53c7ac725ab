"""Batches of decoded rows: decoding runs ahead in threads while the caller computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from whycad.datasets.source import RowInfo, StudySource
from whycad.errors import DatasetError, WhyCadError
from whycad.types import Region, Study

MAX_BATCH_BYTES = 256 << 20
MAX_WORKERS = 4


@dataclass(frozen=True, eq=False)
class LoadedRow:
    """One row: its study, or the error that stands in its place.

    Attributes
    ----------
    row : int
    info : RowInfo
    study : Study or WhyCadError
    region : Region or None
        What is pointed at in it.
    """

    row: int
    info: RowInfo
    study: Study | WhyCadError
    region: Region | None = None


def load_row(source: StudySource, row: int) -> LoadedRow:
    """Read one row; a broken image becomes its error."""
    info = source.info(row)
    try:
        return LoadedRow(row, info, *source.case(row))
    except WhyCadError as error:
        return LoadedRow(row, info, error)
    except OSError as error:
        return LoadedRow(row, info, DatasetError(f"the file cannot be read ({type(error).__name__})"))


def load_batches(
    source: StudySource, rows: Sequence[int], size: int, *, max_bytes: int = MAX_BATCH_BYTES
) -> Iterator[list[LoadedRow]]:
    """Yield rows in order, in batches of at most ``size`` rows and about ``max_bytes`` of pixels.

    Memory holds one batch and a few rows more, however many rows there are.
    """
    batch: list[LoadedRow] = []
    held = 0
    for item in _load_ahead(source, rows):
        batch.append(item)
        held += item.study.pixels.nbytes if isinstance(item.study, Study) else 0
        if len(batch) >= size or held >= max_bytes:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _load_ahead(source: StudySource, rows: Sequence[int]) -> Iterator[LoadedRow]:
    workers = min(MAX_WORKERS, os.cpu_count() or 1)
    pending: deque[Future[LoadedRow]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for row in rows:
                pending.append(pool.submit(load_row, source, row))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
