"""The benchmark runner: ratios, bounds, and a case that cannot run does not pass."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import run
from benchmarks.case import Case, interleaved
from whycad.errors import WeightsError


def spin(n: int) -> int:
    return sum(range(n))


def test_twice_the_work_takes_about_twice_as_long():
    assert 1.4 < interleaved(lambda: spin(400_000), lambda: spin(200_000), rounds=7) < 2.8


@pytest.mark.parametrize(
    ("ratio", "at_least", "holds"), [(1.0, False, True), (1.3, False, False), (1.3, True, True), (1.0, True, False)]
)
def test_bounds_hold_from_their_side(ratio, at_least, holds):
    assert Case("x", 1.2, float, at_least).holds(ratio) is holds


@pytest.fixture
def with_cases(monkeypatch, tmp_path):
    def run_with(*cases: Case, only: str = "") -> tuple[int, list[dict[str, object]]]:
        monkeypatch.setattr(run, "all_cases", lambda: iter(cases))
        out = tmp_path / "build" / "bench.json"
        threads = torch.get_num_threads()
        status = run.main(["--out", str(out), "--only", only])
        torch.set_num_threads(threads)
        return status, json.loads(out.read_text())

    return run_with


def test_the_file_lists_name_ratio_bound_and_passes(with_cases, capsys):
    status, rows = with_cases(Case("good", 2.0, lambda: 1.5), Case("slow", 1.1, lambda: 1.5))
    assert status == 1
    assert rows == [
        {"name": "good", "ratio": 1.5, "bound": 2.0, "passes": True},
        {"name": "slow", "ratio": 1.5, "bound": 1.1, "passes": False},
    ]
    assert "FAIL" in capsys.readouterr().out
    assert with_cases(Case("good", 2.0, lambda: 1.5), Case("slow", 1.1, lambda: 1.5), only="goo")[0] == 0


@pytest.mark.parametrize("error", [WeightsError("no weights"), AssertionError("differ"), ImportError("lime")])
def test_a_case_that_cannot_run_does_not_pass_and_says_why(with_cases, capsys, error):
    def broken() -> float:
        raise error

    status, rows = with_cases(Case("broken", 1.0, broken))
    assert status == 1
    assert rows == [{"name": "broken", "ratio": None, "bound": 1.0, "passes": False}]
    assert str(error) in capsys.readouterr().err


def test_every_case_module_is_found_and_names_are_unique():
    names = [case.name for case in run.all_cases()]
    assert len(set(names)) == len(names)
    assert any(name.startswith("LIME") for name in names)
    assert any(name.startswith("analyse") for name in names)
