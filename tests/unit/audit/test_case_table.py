"""Predictions as arrays: what was not scored has no numbers, and the file comes back as it was."""

from dataclasses import fields

import numpy as np
import pytest

from whycad.audit.case_table import CaseTable, LabelledCase, collect, facts_digest, load_table, save_table
from whycad.errors import DatasetError, PredictionError
from whycad.types import Decision, DecisionKind, OutOfDistribution, Prediction, Uncertainty


def prediction(predicted="a", gate=None, kind=DecisionKind.REPORT):
    numbers = np.array([[0.7, 0.3], [0.5, 0.5]], np.float32) if predicted else np.empty((0, 2), np.float32)
    nothing = np.full(2, np.nan, np.float32)
    return Prediction(
        labels=("a", "b"),
        probabilities=numbers.mean(axis=0) if predicted else nothing,
        member_probabilities=numbers,
        predicted=predicted,
        conformal_set=(),
        coverage=0.9,
        conformal_p=np.array([0.5, 0.2], np.float32) if predicted else nothing,
        uncertainty=Uncertainty(0, 0, 0),
        out_of_distribution=gate,
        decision=Decision(kind),
    )


@pytest.fixture
def table():
    gate = OutOfDistribution(2.5, 50.0, 6.0, "distance")
    return collect(
        [
            LabelledCase(prediction("a", gate), "a", "p1"),
            LabelledCase(prediction("", kind=DecisionKind.REJECT), "b", "p1"),
            LabelledCase(PredictionError("no"), "", "p2"),
        ],
        ("a", "b"),
    )


def test_every_case_keeps_its_row(table):
    assert table.members.shape == (2, 3, 2)
    np.testing.assert_allclose(table.probabilities[0], [0.6, 0.4], atol=1e-6)
    assert np.isnan(table.probabilities[1:]).all()
    assert table.scored.tolist() == [True, False, False]
    assert table.label.tolist() == [0, 1, -1]
    assert table.decision.tolist() == ["report", "reject", "failed"]
    assert table.gate_score.tolist() == [2.5, np.inf, np.inf]


def test_a_task_without_a_gate_has_no_gate_score():
    assert np.isnan(collect([LabelledCase(prediction(), "a", "p")], ("a", "b")).gate_score[0])


def test_the_file_comes_back_as_it_was(table, tmp_path):
    path = tmp_path / "new" / "cases.npz"
    save_table(table, path)
    again = load_table(path)
    for field in fields(CaseTable):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(table, field.name))
    assert [file.name for file in path.parent.iterdir()] == ["cases.npz"]


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "cases.npz").write_bytes(b"no zip")
    with pytest.raises(DatasetError, match=r"cases\.npz"):
        load_table(tmp_path / "cases.npz")


def test_some_of_the_cases(table):
    part = table.select(table.scored)
    assert len(part) == 1
    assert part.members.shape == (2, 1, 2)


def test_no_case_is_an_error():
    with pytest.raises(DatasetError, match="no cases"):
        collect([], ("a", "b"))


def test_the_digest_follows_the_facts():
    assert facts_digest({"a": "1", "b": "2"}) == facts_digest({"b": "2", "a": "1"})
    assert facts_digest({"a": "1"}) != facts_digest({"a": "2"})
