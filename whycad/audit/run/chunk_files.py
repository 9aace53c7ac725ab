"""The audit's cache: one Parquet file per chunk of rows, whole or absent, checked before it is trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.errors import may_pass

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.errors import WhyCadError

# How the text of a failure ends that may pass, in the columns that say why rows failed.
TRIED_AGAIN = "; the next run tries it again"
WHY_COLUMNS = ("error", "why")


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
        return joined(list(self.stream(columns)))

    def stream(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the chunks one at a time."""
        for file in self.files:
            yield read_chunk(file, columns)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables of one job, one below the other; a part in which a column is empty takes the others' type."""
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="permissive")


def read_chunk(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one chunk; the checksums of its pages are verified.

    Raises
    ------
    StoreError
        When it is missing or damaged.
    """
    import pyarrow.parquet as pq

    from whycad.errors import StoreError

    try:
        return pq.read_table(file, columns=list(columns) if columns else None, page_checksum_verification=True)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise StoreError(
            f"a file of the audit's cache cannot be read ({type(error).__name__})",
            remedy="run the audit again with --resume: damaged files are computed again",
        ) from error


def failure_text(error: WhyCadError) -> str:
    """Return what a chunk says of a row that failed; it tells whether the failure may pass."""
    return f"{error}{TRIED_AGAIN}" if may_pass(error) else str(error)


def is_sound(chunk: Chunk, *, tried: bool = False) -> bool:
    """Tell whether a chunk's file is there, whole, and has as many rows as it should.

    A failure in it that may pass must have been tried in this run.
    """
    from whycad.errors import StoreError

    if not chunk.file.exists():
        return False
    try:
        table = read_chunk(chunk.file)
    except StoreError:
        return False
    return int(table.num_rows) == len(chunk.rows) and (tried or not _may_pass(table))


def _may_pass(table: pa.Table) -> bool:
    """Tell whether a row failed in a way that may pass."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in set(WHY_COLUMNS) & set(table.column_names):
        texts = table[name]
        texts = pc.list_flatten(texts) if pa.types.is_list(texts.type) else texts
        if pa.types.is_string(texts.type) and pc.any(pc.ends_with(texts, TRIED_AGAIN)).as_py():
            return True
    return False


def write_chunk(table: pa.Table, file: Path) -> None:
    """Write one chunk whole or not at all.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    import pyarrow.parquet as pq

    from whycad.errors import StoreError

    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        partial.replace(file)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StoreError(
            f"the audit's cache cannot be written ({why})",
            remedy="make room or name another folder with --cache, then go on with --resume",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
