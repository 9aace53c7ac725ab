"""``whycad audit-report``: the report again, from JSON alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from whycad.cli import main
from whycad.testing.sample_audit import write_sample_audit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audits") / "sample"
    write_sample_audit(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sample"))


def test_the_report_comes_out_again_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "tables")
    assert main(["audit-report", "--from", str(folder)]) == 0
    assert capsys.readouterr().out == "wrote report.html in sample\n"
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_pictures_can_be_left_out(folder: Path) -> None:
    assert "<img" in (folder / "report.html").read_text(encoding="utf-8")
    assert main(["audit-report", "--from", str(folder), "--without-pictures"]) == 0
    assert "<img" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_pdf_that_cannot_be_made_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("whycad.audit.report.writing.write_pdf", _refuse)
    assert main(["audit-report", "--from", str(folder), "--pdf"]) == 1
    said = capsys.readouterr()
    assert said.out == "wrote report.html in sample\n"
    assert said.err == "no report.pdf: no Pango (install it)\n"


def _refuse(html: str, path: Path) -> None:
    from whycad.errors import ReportError

    assert "<html" in html
    assert path.name == "report.pdf"
    raise ReportError("no Pango", remedy="install it")


def test_a_pdf_is_written_beside_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("whycad.audit.report.pdf.pdf_from_html", lambda html: b"%PDF-1.7")
    assert main(["audit-report", "--from", str(folder), "--pdf"]) == 0
    assert (folder / "report.pdf").read_bytes() == b"%PDF-1.7"
    assert "report.html and report.pdf" in capsys.readouterr().out


def test_a_summary_is_written_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "report.html").unlink()
    assert main(["audit-report", "--from", str(folder), "--summary", str(tmp_path / "s.md")]) == 0
    assert (tmp_path / "s.md").read_text(encoding="utf-8").startswith("# Audit: Skin lesion")
    assert not (folder / "report.html").exists()


def test_the_schema_is_written(tmp_path: Path) -> None:
    assert main(["audit-report", "--schema", str(tmp_path / "s.json")]) == 0
    assert '"CheckResult"' in (tmp_path / "s.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["--from", "a", "--schema", "b"], ["--pdf"]])
def test_wrong_usage_is_refused(arguments: list[str]) -> None:
    assert main(["audit-report", *arguments]) == 2


def test_a_folder_without_an_audit_or_with_half_of_one_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["audit-report", "--from", str(tmp_path / "empty")]) == 1
    assert "'empty' holds no finished audit" in capsys.readouterr().err
    (folder / "checks" / "slice.json").write_text("{}", encoding="utf-8")
    assert main(["audit-report", "--from", str(folder)]) == 1
    assert "'slice' did not run in 'sample'" in capsys.readouterr().err
    body = (folder / "audit.json").read_text(encoding="utf-8")
    (folder / "audit.json").write_text(body.replace('"schema_version": 1', '"schema_version": 0'), encoding="utf-8")
    assert main(["audit-report", "--from", str(folder)]) == 1


@pytest.mark.data
def test_an_audit_writes_its_report(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = str(data_dir / "oct" / "kermany_cnv_normal.npz")
    monkeypatch.setattr("whycad.audit.report.pdf.pdf_from_html", lambda html: b"%PDF-1.7")
    arguments = ["audit-data", "--dataset", pack, "--checks", "missing_metadata", "--draws", "20"]
    assert main([*arguments, "--out", str(tmp_path / "a")]) == 0
    assert {"audit.json", "report.html", "report.pdf", "tables"} <= {path.name for path in (tmp_path / "a").iterdir()}
    assert "worrying" in capsys.readouterr().out
    assert main([*arguments, "--out", str(tmp_path / "b"), "--no-pdf"]) == 0
    assert not (tmp_path / "b" / "report.pdf").exists()
    monkeypatch.setattr("whycad.audit.report.writing.write_pdf", _refuse)
    assert main([*arguments, "--out", str(tmp_path / "c")]) == 0
    assert "no report.pdf: no Pango (install it)" in capsys.readouterr().err
