"""The table: its columns, and cells that no spreadsheet runs."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.batch import Outcome
from whycad.datasets.source import RowInfo
from whycad.errors import DatasetError
from whycad.manifest import load_manifest
from whycad.predictions_csv import PredictionTable, columns, inert
from whycad.testing.examples import ExampleOptions, example_result, example_study
from whycad.types import DecisionKind


@pytest.fixture(scope="module")
def manifest(repo):
    return load_manifest(repo / "plugins" / "skin_lesion")


def written(manifest, info, outcome):
    stream = io.StringIO(newline="")
    PredictionTable(stream, manifest.label_codes).write(4, info, outcome)
    stream.seek(0)
    rows = list(csv.DictReader(stream))
    assert len(rows) == 1
    return rows[0]


def test_the_columns_are_those_that_are_promised():
    assert ",".join(columns(["a", "b"])) == (
        "row,id,group,label,pred,p_a,p_b,set,decision,reasons,epistemic,aleatoric,error"
    )


def test_a_prediction_fills_its_row(manifest):
    prediction = example_result(example_study(), manifest, ExampleOptions(leading=4)).prediction
    row = written(manifest, RowInfo("x1", "g1", "nv", {}), Outcome(prediction))
    assert (row["row"], row["id"], row["group"], row["label"], row["pred"]) == ("4", "x1", "g1", "nv", "mel")
    assert sum(float(row[f"p_{code}"]) for code in manifest.label_codes) == pytest.approx(1, abs=1e-5)
    assert row["set"] == "mel|nv"
    assert row["decision"] == "refer"
    assert float(row["epistemic"]) == pytest.approx(0.09)
    assert row["error"] == ""


def test_a_declined_case_has_reasons_and_no_numbers(manifest):
    options = ExampleOptions(kind=DecisionKind.REJECT, reasons=("The image is one flat value.", "It is grey."))
    prediction = example_result(example_study(), manifest, options).prediction
    row = written(manifest, RowInfo("x", "g", "", {}), Outcome(prediction))
    assert (row["pred"], row["p_mel"], row["set"], row["epistemic"]) == ("", "", "", "")
    assert (row["decision"], row["reasons"]) == ("reject", "The image is one flat value. | It is grey.")


def test_an_error_is_a_row(manifest):
    row = written(manifest, RowInfo("x", "g", "mel", {}), DatasetError('broken,\n"badly"', remedy="mend it"))
    assert row["error"] == 'broken, "badly" (mend it)'
    assert {row[name] for name in ("pred", "p_nv", "set", "decision", "aleatoric")} == {""}


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", " =1", "＝1"]
)
def test_formulas_are_neutralised_in_every_text_column(manifest, text):
    row = written(manifest, RowInfo(text, text, text, {}), DatasetError(text))
    for name in ("id", "group", "label", "error"):
        assert row[name].startswith("'")


@given(st.text())
def test_no_cell_starts_a_formula_or_breaks_the_line(text):
    cell = inert(text)
    assert not cell.strip().startswith(("=", "+", "-", "@"))
    assert not set(cell) & set("\r\n\0")


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_plain_text_is_left_alone(text):
    assert inert(text) == text
