"""Tables are written whole and inert, and cut to the page with a word of where the rest is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.audit.findings import Cell, CheckResult, Column, Table
from whycad.audit.report.tables import PageLimits, csv_rows, on_page, table_file, write_tables
from whycad.predictions_csv import FORMULA_STARTS
from whycad.testing.hostile_audit import hostile_result
from whycad.testing.sample_audit import sample_results

LIMITS = PageLimits(rows=3, columns=2, cell=20, line=40)


def table(*rows: tuple[Cell, ...], **facts: object) -> Table:
    columns = tuple(Column(key=f"c{i}", title=f"Column {i}") for i in range(len(rows[0]) if rows else 0))
    return Table.model_validate({"key": "k", "title": "T", "columns": columns, "rows": rows, **facts})


def written(result: CheckResult, folder: Path) -> dict[str, list[list[str]]]:
    found = {}
    for name in write_tables([result], folder):
        with (folder / name).open(encoding="utf-8", newline="") as stream:
            found[name] = list(csv.reader(stream))
    return found


def test_every_table_of_every_check_is_written(tmp_path: Path) -> None:
    names = write_tables(sample_results(), tmp_path)
    assert "tables/subgroup-gaps.csv" in names
    assert sorted(f"tables/{path.name}" for path in (tmp_path / "tables").iterdir()) == sorted(names)


def test_rows_come_back_with_all_digits_and_their_cases(tmp_path: Path) -> None:
    one = table(("a", 0.123456789, None, True), ("b", -2, 1e-12, False), cases=(("x", "y"), ()))
    result = CheckResult(check="c", title="", question="", tables=(one,))
    assert written(result, tmp_path)["tables/c-k.csv"] == [
        ["Column 0", "Column 1", "Column 2", "Column 3", "cases"],
        ["a", "0.123456789", "", "true", "x | y"],
        ["b", "-2", "1e-12", "false", ""],
    ]


def test_ten_thousand_nasty_rows_are_written_and_inert(tmp_path: Path) -> None:
    files = written(hostile_result(), tmp_path)
    assert {Path(name).parent for name in files} == {Path("tables")}
    assert len(list(tmp_path.iterdir())) == 1, "nothing is written outside the folder of tables"
    rows = files[table_file("performance", "../../x")]
    assert len(rows) == 10_001
    for row in rows:
        for cell in row:
            assert not cell.startswith(FORMULA_STARTS)
            assert "\n" not in cell


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=30), st.none() | st.floats(allow_nan=False, allow_infinity=False), st.booleans()),
        max_size=5,
    )
)
def test_no_text_becomes_a_formula_and_numbers_stay(rows: list[tuple[Cell, ...]]) -> None:
    for row, cells in zip(rows, list(csv_rows(table(*rows) if rows else table()))[1:], strict=True):
        assert not cells[0].startswith(FORMULA_STARTS)
        assert row[1] is None or float(cells[1]) == row[1]


@pytest.mark.parametrize("key", ["../../etc", "a/b", "..", ".hidden", "x" * 500, "", "ключ"])
def test_a_table_stays_in_its_folder(key: str) -> None:
    name = table_file("check", key)
    assert Path(name).parent == Path("tables")
    assert len(Path(name).name) < 120
    assert name != table_file("check", f"{key} ")


def test_a_page_cuts_rows_columns_and_cells_and_says_so() -> None:
    shown = on_page(table(*((f"name {i} " * 9, float(i), i) for i in range(9))), "c", LIMITS)
    assert len(shown.rows) == 3
    assert shown.titles == (("Column 0", ""), ("Column 1", "number"))
    assert shown.rows[1][1] == "1.000"
    assert all(len(row[0]) <= 20 for row in shown.rows)
    assert shown.remark == "6 more rows and 1 more column in tables/c-k.csv"
    assert on_page(table(("a", 1)), "c", LIMITS).remark == ""


def test_words_are_broken_only_where_the_page_is_too_narrow_for_them() -> None:
    def classes(line: int) -> list[str]:
        limits = PageLimits(rows=9, columns=9, cell=80, line=line)
        return [found for _, found in on_page(table(("seborrheic_keratosis", "x", 1)), "c", limits).titles]

    assert classes(60) == ["", "", "number"]
    assert classes(24) == ["broken", "", "number"]


def test_a_column_of_phrases_gets_room_where_the_page_has_it() -> None:
    phrase = "0.3 % of the shorter side (standard deviation)"
    roomy = PageLimits(rows=3, columns=2, cell=60, line=60)
    assert on_page(table(("blur", phrase)), "c", roomy).titles[1][1] == "wide"
    assert on_page(table(("blur" * 20, phrase)), "c", roomy).titles[1][1] == ""
