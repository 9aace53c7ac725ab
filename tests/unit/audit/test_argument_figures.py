"""Figures of the line of argument: counted by hand, with what is too rare left open."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from whycad.audit.argument_figures import ArguedCase, argued_case, argument_figures, reference_rows
from whycad.reference import Distribution, Reference, ReferenceSource, distribution_of
from whycad.testing.examples import ExampleOptions, example_result
from whycad.testing.plugins import make_study, write_plugin
from whycad.types import Finding


def cases(n=80):
    rng = np.random.default_rng(4)
    for index in range(n):
        right = index % 2 == 0
        yield ArguedCase(right, index % 5, index % 2, not right and index % 4 == 1, rng.normal(right), f"g{index // 2}")


def test_shares_are_counted_among_their_own_cases():
    found = argument_figures(list(cases()), n_draws=50)
    assert (found["n"], found["n_groups"], found["n_wrong"]) == (80, 40, 40)
    assert found["three_for"]["value"] == pytest.approx(2 / 5)
    assert found["conflict_right"]["value"] == 0
    assert found["conflict_right"]["interval"][1] > 0.05, "none of 40 groups is not certainly none"
    assert found["conflict_wrong"]["value"] == pytest.approx(0.5)
    low, high = found["conflict_wrong"]["interval"]
    assert low < 0.5 < high


def test_the_balance_has_the_auroc_of_scikit_learn():
    given = list(cases())
    expected = roc_auc_score([case.right for case in given], [case.balance for case in given])
    assert argument_figures(given, n_draws=20)["balance_auroc"]["value"] == pytest.approx(expected, abs=1e-4)


def test_what_rests_on_few_cases_is_not_established():
    found = argument_figures(list(cases(40)), n_draws=20)
    assert found["conflict_wrong"] == {"value": None, "interval": None, "n": 20}
    assert found["balance_auroc"]["value"] is None
    assert found["three_for"]["value"] is not None


def test_a_result_is_counted(tmp_path):
    plugin = write_plugin(tmp_path)
    result = example_result(make_study(), plugin.manifest, ExampleOptions(leading=1))
    findings = (
        Finding("c", False, 1.0, "conflict"),
        Finding("a", True, 0.5, "measurement"),
        Finding("b", False, 0.2, "concept"),
        Finding("m", True, 0.4, "map"),
    )
    object.__setattr__(result, "findings", findings)
    assert argued_case(result, "b", "g") == ArguedCase(True, 2, 1, True, pytest.approx(0.3), "g")
    assert not argued_case(result, "a", "g").right


def test_rows_say_what_is_not_established():
    labels = {"a": distribution_of(np.arange(101.0)), "b": distribution_of(np.arange(7.0))}
    source = ReferenceSource(dataset="x", selection="", n=1, weights_sha256="0" * 64)
    item = Distribution(name="Size", unit="mm", labels=labels)
    rows = reference_rows(Reference(source=source, measurements={"s": item}, concepts={"m": item}), ["a", "b", "c"])
    assert rows[0] == ["Size, mm", "50 (5 to 95)", "not established (n 7)", "not established (n 0)"]
    assert rows[1][0] == "m (rated by the model)"
