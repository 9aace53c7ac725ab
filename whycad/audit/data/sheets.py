"""CSV, TSV and Parquet files as plain columns of cells, with what is wrong with them said in a sentence."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.audit.data.cells import plain_text
from whycad.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_SHEET_BYTES = 512 << 20
MAX_COLUMNS = 2000
AS_UTF8 = "save it as CSV in UTF-8"


@dataclass(frozen=True)
class Sheet:
    """A table of cells.

    Attributes
    ----------
    name : str
        Of the file.
    columns : dict of str to list
        Cells by column name, all of one length.
    broken : tuple of int
        Numbers of the lines that have more or fewer cells than the header, from 1; 0 where not known.
    warnings : tuple of str
    """

    name: str
    columns: dict[str, list[object]]
    broken: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def read_sheet(path: Path) -> Sheet:
    """Read a table.

    Raises
    ------
    DatasetError
        When it cannot be read, is empty, too large, not UTF-8, or names a column twice.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DatasetError(f"table {path.name!r} cannot be read ({type(error).__name__})") from error
    if size > MAX_SHEET_BYTES:
        raise DatasetError(f"table {path.name!r} is larger than {MAX_SHEET_BYTES >> 20} MB")
    sheet = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text(path)
    if not len(sheet) and not sheet.broken:
        raise DatasetError(f"table {path.name!r} has no rows", remedy="it needs a header and one row per image")
    return sheet


def _read_parquet(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"table {path.name!r} is no Parquet file that can be read") from error
    names = _names(table.column_names, path)
    flat = {name: i for i, name in enumerate(names) if not pa.types.is_nested(table.schema.field(i).type)}
    nested = len(names) - len(flat)
    cells = {name: _plain_cells(table.column(i)) for name, i in flat.items()}
    return Sheet(path.name, cells, (), (f"{nested} nested columns were left out",) if nested else ())


def _plain_cells(column: pa.ChunkedArray) -> list[object]:
    return ["" if cell is None else cell for cell in column.to_pylist()]


def _read_text(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    text = _text_of(path)
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(text)
    broken: list[int] = []

    def skip(row: object) -> str:
        broken.append(int(getattr(row, "number", None) or 0))
        return "skip"

    data = text.encode("utf-8")
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, autogenerate_column_names=True),
            pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=skip),
            pa_csv.ConvertOptions(default_column_type=pa.string(), strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError) as error:
        raise DatasetError(f"table {path.name!r} cannot be read as CSV", remedy="check its quotes") from error
    header = [str(cell) for row in table.slice(0, 1).to_pylist() for cell in row.values()]
    names = _names(header, path)
    cells = {name: list(column.to_pylist()[1:]) for name, column in zip(names, table.columns, strict=True)}
    return Sheet(path.name, cells, tuple(broken))


def _text_of(path: Path) -> str:
    """Return the file's text; UTF-16 is known by its mark, everything else must be UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"table {path.name!r} cannot be read ({type(error).__name__})") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"table {path.name!r} is not written in UTF-8", remedy=AS_UTF8) from error
    if "\x00" in text:
        raise DatasetError(f"table {path.name!r} holds bytes that are no text", remedy=AS_UTF8)
    if not text.strip():
        raise DatasetError(f"table {path.name!r} is empty", remedy="it needs a header and one row per image")
    return text


def _separator(text: str) -> str:
    """Return the header's separator: a comma, or a semicolon or tab where the header has no comma."""
    header = next(csv.reader([text.lstrip().splitlines()[0][:100_000]], strict=False), [])
    if len(header) > 1:
        return ","
    return next((mark for mark in (";", "\t") if mark in (header[0] if header else "")), ",")


def _names(header: list[str], path: Path) -> list[str]:
    names = [plain_text(name) for name in header]
    if len(names) > MAX_COLUMNS:
        raise DatasetError(f"table {path.name!r} has more than {MAX_COLUMNS} columns")
    lower = [name.casefold() for name in names]
    twice = next((name for i, name in enumerate(names) if lower[i] in lower[:i]), None)
    if twice is not None:
        what = f"names column {twice!r} twice" if twice else "has two columns without a name"
        raise DatasetError(f"table {path.name!r} {what}", remedy="name each column once")
    return names
