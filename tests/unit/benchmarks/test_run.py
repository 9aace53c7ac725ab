"""The benchmark runner: ratios, bounds, and a case that cannot run does not pass."""

from __future__ import annotations

import json
import platform
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from benchmarks import case, run
from benchmarks.case import Case, between_processes, interleaved
from whycad.errors import WeightsError


def spin(n: int) -> int:
    return sum(range(n))


def test_the_ratio_is_of_median_times(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("benchmarks.case.time.process_time", lambda: clock[0])

    def working(seconds):
        turns = iter([9.0, *seconds])
        return lambda: clock.__setitem__(0, clock[0] + next(turns))

    assert interleaved(working([2.0, 7.0, 2.0]), working([1.0, 1.0, 5.0]), rounds=3) == 2.0


@pytest.mark.parametrize(
    ("ratio", "at_least", "holds"), [(1.0, False, True), (1.3, False, False), (1.3, True, True), (1.0, True, False)]
)
def test_bounds_hold_from_their_side(ratio, at_least, holds):
    assert Case("x", 1.2, float, at_least).holds(ratio) is holds


@pytest.fixture
def with_cases(monkeypatch, tmp_path):
    def run_with(*cases: Case, only: str = "", doc=None) -> tuple[int, list[dict[str, object]]]:
        monkeypatch.setattr(run, "all_cases", lambda: iter(cases))
        out = tmp_path / "build" / "bench.json"
        threads = torch.get_num_threads()
        status = run.main(["--out", str(out), "--only", only, *(["--doc", str(doc)] if doc else [])])
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


class Sum:
    """Work that another process can make: the sum of the first n numbers as an array."""

    def __init__(self, n: int, shift: float = 0.0) -> None:
        self.n, self.shift = n, shift

    def __call__(self):
        return lambda: np.array([spin(self.n) + self.shift])


def test_sides_in_processes_of_their_own_are_timed():
    # A hundred times the work: no load on the machine turns that round.
    assert between_processes(Sum(2_000_000), Sum(20_000), rounds=5) > 5


def test_sides_that_differ_are_not_timed(monkeypatch):
    monkeypatch.setattr(case, "_side", lambda maker: nullcontext((None, maker()())))
    with pytest.raises(AssertionError, match="Not equal"):
        between_processes(Sum(10), Sum(10, shift=1e-3), tolerance=1e-5)


def test_the_page_lists_every_case_with_its_bound_and_no_host(with_cases, tmp_path):
    page = tmp_path / "benchmarks.md"
    cases = (Case("good", 2.0, lambda: 1.5), Case("slow", 1.6, lambda: 1.5, at_least=True), Case("none", 1.0, bad))
    assert with_cases(*cases, doc=page)[0] == 1
    text = page.read_text()
    assert "| good | 1.50 | <= 2.0 | pass |" in text
    assert "| slow | 1.50 | >= 1.6 | **fail** |" in text
    assert "| none | - | <= 1.0 | **fail** |" in text
    assert "1 of 3 pass" in text
    assert platform.node() not in text
    assert "/" + str(tmp_path).split("/")[1] + "/" not in text


def bad() -> float:
    raise AssertionError("results differ")


# What issue 4 asks for, in its order; a missing or softened bound fails here.
BARS = {
    "LIME 224 px, ResNet-18: / its forward passes alone": 1.10,
    "LIME 224 px, ResNet-18: lime package / ours": 1.2,
    "LIME 224 px, free classifier: lime package / ours": 2.0,
    "LIME 224 px, free classifier, segments known: lime package / ours": 2.5,
    "LIME 64 px, SLIC, small net: lime package / ours": 2.0,
    "LIME 64 px, SLIC, small net: / its forward passes alone": 1.5,
    "LIME 64 px, 8 segments, free classifier: lime package / ours": 10.0,
    "occlusion 224 px, ResNet-18: per window / forward": 1.1,
    "occlusion 64 px, pooled net: per window / forward": 1.1,
    "integrated gradients of a data set, 224 px, ResNet-18: / passes": 1.15,
    "integrated gradients of a data set, 224 px, ResNet-18: captum's default call / ours": 1.4,
    "Grad-CAM of a batch, 224 px, ResNet-18: / forward passes": 1.1,
    "inference 224 px, ResNet-18: eager NCHW batches of 10 / ours": 1.35,
    "inference 64 px, pooled net: eager NCHW batches of 10 / ours": 3.0,
    "ensemble of five, 224 px, ResNet-18: / one member": 4.7,
    "ensemble of five, 64 px, small net: / one member": 4.5,
    "OCT volume of 49 B-scans, five members: / bare passes": 1.5,
    "point in a CT, five members: / bare passes": 1.5,
    # Issue 5.
    "predictions of an audit, 224 px, three members: / bare passes": 1.3,
    "predictions of an audit, 64 px, three members: / bare passes": 1.3,
}


def test_every_bar_is_a_case_with_its_bound():
    cases = {one.name: one for one in run.all_cases()}
    for name, bound in BARS.items():
        assert cases[name].bound == bound
        assert cases[name].at_least is name.endswith("/ ours")
