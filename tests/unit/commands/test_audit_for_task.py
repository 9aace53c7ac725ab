"""``whycad audit-report --for-task``: what is packaged with a task of its audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycad.audit.case_lines import AuditSummary
from whycad.cli import main
from whycad.testing.sample_audit import write_sample_audit


def test_shortcuts_are_written_without_case_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample_audit(tmp_path / "run")
    out = tmp_path / "audit.json"
    assert main(["audit-report", "--from", str(tmp_path / "run"), "--for-task", str(out)]) == 0
    summary = AuditSummary.model_validate_json(out.read_text())
    assert {f.column for f in summary.findings} == {"coloured patch", "ruler", "ink marking"}
    assert "case-0" not in out.read_text()
    assert "4 findings" in capsys.readouterr().out


def test_an_audit_of_data_alone_says_nothing_of_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample_audit(tmp_path / "run", "data")
    assert main(["audit-report", "--from", str(tmp_path / "run"), "--for-task", str(tmp_path / "out.json")]) == 1
    assert "says nothing of shortcuts" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
