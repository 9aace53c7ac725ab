"""A check that fails is named; what the others found stays. Without predictions the audit fails plainly."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from whycad.audit.checks import Check
from whycad.audit.findings import CheckResult
from whycad.audit.run import runner
from whycad.audit.run.runner import AuditRequest, run_checks
from whycad.audit.run.status import StatusFile
from whycad.errors import DatasetError, PredictionError, StoreError


def run_with(monkeypatch, tmp_path, error, **context):
    def broken(_context):
        raise error

    def sound(_context):
        return CheckResult(check="sound", title="Sound", question="Is it?")

    found = {"broken": broken, "sound": sound}
    monkeypatch.setattr(runner, "chosen", lambda _names, _kind: tuple(found))
    monkeypatch.setattr(runner, "load_check", lambda name: Check(name, name, name, found[name]))
    request = AuditRequest(tmp_path / "pack.npz", tmp_path)
    return run_checks(SimpleNamespace(plugin=None, **context), request, StatusFile(tmp_path))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (DatasetError("nothing there"), "nothing there"),
        (PredictionError("changed: 1 of 4 chunks failed"), "chunks failed"),
        (ZeroDivisionError("patient 7"), "it raised ZeroDivisionError; this is a fault of the check"),
    ],
)
def test_one_failing_check_loses_no_other(monkeypatch, tmp_path, error, why):
    results, states = run_with(monkeypatch, tmp_path, error)
    assert [(state.check, state.status) for state in states] == [("broken", "failed"), ("sound", "done")]
    assert why in states[0].why
    assert "patient 7" not in states[0].why
    assert [result.check for result in results] == ["sound"]


def test_a_full_disk_ends_the_audit(monkeypatch, tmp_path):
    with pytest.raises(StoreError, match="no room"):
        run_with(monkeypatch, tmp_path, StoreError("no room"))


def test_without_predictions_the_audit_fails_plainly(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "chosen", lambda _names, _kind: ("broken",))

    def broken(_context):
        raise PredictionError("predictions: 3 of 4 chunks failed", remedy="go on with --resume")

    monkeypatch.setattr(runner, "load_check", lambda name: Check(name, name, name, broken))
    context = SimpleNamespace(plugin="a task")
    with pytest.raises(PredictionError, match=r"predictions: 3 of 4.*--resume"):
        run_checks(context, AuditRequest(tmp_path / "pack.npz", tmp_path), StatusFile(tmp_path))
