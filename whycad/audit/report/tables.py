"""An audit's tables as CSV, safe to open in a spreadsheet, and cut to what a page can hold."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from whycad.audit.findings import Cell, CheckResult, Table
from whycad.audit.words import cell_words
from whycad.files import whole_file
from whycad.predictions_csv import inert
from whycad.wording import printable

FOLDER = "tables"
CASES_COLUMN = "cases"
CASE_SEPARATOR = " | "
TITLE_LIMIT = 60
# A cell with more characters than this needs room.
PHRASE = 24


@dataclass(frozen=True)
class PageLimits:
    """How much of a table a page holds.

    Attributes
    ----------
    rows, columns : int
    cell : int
        Characters of one cell.
    line : int
        Characters side by side. Where the longest words of all columns need more, the words of the
        widest columns may be broken anywhere.
    """

    rows: int
    columns: int
    cell: int
    line: int


@dataclass(frozen=True)
class PageTable:
    """A table as a page shows it.

    Attributes
    ----------
    titles : tuple of (str, str)
        Each column's title and its classes: ``number`` where it holds numbers, ``broken`` where its words
        may be broken anywhere, ``wide`` where it holds phrases.
    rows : tuple of tuple of str
    remark : str
        What was left out and where it is; may be empty.
    """

    title: str
    titles: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    remark: str


def table_file(check: str, key: str) -> str:
    """Return where a table's CSV lies in the audit's folder: ``tables/<check>-<key>.csv``.

    What no file name should hold is replaced, and a hash then keeps two such names apart.
    """
    wanted = f"{check}-{key}"
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", wanted)[:80].lstrip(".")
    if name != wanted:
        name += f"-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    return f"{FOLDER}/{name}.csv"


def write_tables(results: Iterable[CheckResult], folder: Path) -> list[str]:
    """Write every table below an audit's folder and return the files, relative to it.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    written = []
    for result in results:
        for table in result.tables:
            name = table_file(result.check, table.key)
            with whole_file(folder / name, newline="") as stream:
                csv.writer(stream).writerows(csv_rows(table))
            written.append(name)
    return written


def csv_rows(table: Table) -> Iterable[list[str]]:
    """Return a table's rows as text, the titles first; ids of cases stand in a last column of their own."""
    with_cases = any(table.cases)
    yield [inert(column.title) for column in table.columns] + ([CASES_COLUMN] if with_cases else [])
    for index, row in enumerate(table.rows):
        cases = table.cases[index] if index < len(table.cases) else ()
        yield [_csv_cell(cell) for cell in row] + ([inert(CASE_SEPARATOR.join(cases))] if with_cases else [])


def _csv_cell(cell: Cell) -> str:
    # Numbers keep all of their digits; a minus in front of a number is no formula.
    if isinstance(cell, bool) or cell is None:
        return "" if cell is None else str(cell).lower()
    return inert(cell) if isinstance(cell, str) else repr(cell)


def on_page(table: Table, check: str, limits: PageLimits) -> PageTable:
    """Return a table cut to what a page holds, saying where the rest is."""
    columns = table.columns[: limits.columns]
    rows = tuple(
        tuple(cell_words(cell, column.decimals, limits.cell) for cell, column in zip(row, columns, strict=False))
        for row in table.rows[: limits.rows]
    )
    named = [printable(column.title, TITLE_LIMIT) for column in columns]
    titles = tuple(zip(named, _classes(table, named, rows, limits.line), strict=True))
    more = [
        f"{n:,} more {what}{'' if n == 1 else 's'}"
        for n, what in ((len(table.rows) - limits.rows, "row"), (len(table.columns) - limits.columns, "column"))
        if n > 0
    ]
    remark = f"{' and '.join(more)} in {table_file(check, table.key)}" if more else ""
    return PageTable(printable(table.title, 160), titles, rows, printable(table.note, 600), remark)


def _classes(table: Table, titles: Sequence[str], rows: Sequence[Sequence[str]], line: int) -> list[str]:
    columns = [[title, *(row[index] for row in rows if index < len(row))] for index, title in enumerate(titles)]
    widths = [max((len(word) for text in texts for word in text.split()), default=0) for texts in columns]
    full = sum(widths) > line
    share = line / max(1, len(widths)) if full else line
    found = []
    for index, (width, texts) in enumerate(zip(widths, columns, strict=True)):
        number = _is_numeric(table, index)
        wide = not number and not full and max(map(len, texts[1:]), default=0) > PHRASE
        named = (("number", number), ("broken", width > share), ("wide", wide))
        found.append(" ".join(name for name, holds in named if holds))
    return found


def _is_numeric(table: Table, index: int) -> bool:
    cells = [row[index] for row in table.rows[:200] if index < len(row) and row[index] is not None]
    return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)
