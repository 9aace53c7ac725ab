"""The PDF: numbered pages, a contents that knows them, nothing cut off, and a word where it cannot be made."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from whycad.audit.findings import Column, Table
from whycad.audit.report.html import AuditContent, html_audit
from whycad.audit.report.pdf import pdf_from_html, write_pdf
from whycad.audit.report.writing import ReportOptions, write_report
from whycad.errors import ReportError
from whycad.testing.hostile_audit import hostile_audit, hostile_result
from whycad.testing.sample_audit import sample_audit, sample_results

POINTS_PER_MM = 72 / 25.4
A4 = (210 * POINTS_PER_MM, 297 * POINTS_PER_MM)
SIDE_MARGIN = 13 * POINTS_PER_MM


@pytest.fixture(scope="module")
def laid_out() -> Callable[[str], bytes]:
    """Lay out HTML; where the libraries are missing the tests are skipped, but not in the build."""

    def make(html: str) -> bytes:
        try:
            return pdf_from_html(html)
        except ReportError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))

    return make


@pytest.fixture(scope="module")
def sample_pdf(laid_out: Callable[[str], bytes], sample_folder: Path) -> bytes:
    return laid_out(html_audit(AuditContent(sample_audit("data"), sample_results("data"), sample_folder), paper=True))


def page_texts(body: bytes) -> list[str]:
    pdfium = pytest.importorskip("pypdfium2")
    return [page.get_textpage().get_text_range() for page in pdfium.PdfDocument(body)]


def assert_nothing_is_cut_off(body: bytes) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    for number, page in enumerate(pdfium.PdfDocument(body), start=1):
        assert page.get_size() == pytest.approx(A4, abs=1)
        text = page.get_textpage()
        for index in range(text.count_chars()):
            left, _, right, _ = text.get_charbox(index)
            inside = left >= SIDE_MARGIN - 2 and right <= A4[0] - SIDE_MARGIN + 2
            assert inside or not text.get_text_range(index, 1).strip(), (number, text.get_text_range(index, 20))


def test_pages_have_numbers_a_header_and_all_the_text(sample_pdf: bytes) -> None:
    pages = page_texts(sample_pdf)
    assert len(pages) >= 3
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in text
        assert ("WhyCAD audit: Simulated lesions" in text) is (number > 1)
    whole = " ".join(" ".join(pages).split())
    for said in ("Melanoma is 16 times rarer", "Odds ratio of melanoma", "coloured patch", "95 more rows in"):
        assert said in whole, said


def test_the_contents_know_their_pages(sample_pdf: bytes) -> None:
    pages = page_texts(sample_pdf)
    listed = dict(re.findall(r"^(Near duplicates|Where it comes from)[ .]+(\d+)\s*$", "\n".join(pages), re.M))
    assert set(listed) == {"Near duplicates", "Where it comes from"}
    for title, number in listed.items():
        assert re.search(rf"^{title}\s*$", pages[int(number) - 1], re.M), title


def test_nothing_is_cut_off(sample_pdf: bytes) -> None:
    assert_nothing_is_cut_off(sample_pdf)


def test_hostile_text_and_wide_tables_are_not_cut_off(laid_out: Callable[[str], bytes], tmp_path: Path) -> None:
    result = hostile_result(40)
    few = result.model_copy(update={"findings": result.findings[:8], "charts": result.charts[:2]})
    audit = hostile_audit().model_copy(update={"findings": result.findings[:8]})
    assert_nothing_is_cut_off(laid_out(html_audit(AuditContent(audit, (few,), tmp_path), paper=True)))


def test_a_table_of_phrases_and_many_numbers_is_not_cut_off(laid_out: Callable[[str], bytes], tmp_path: Path) -> None:
    titles = ("Images", "Figure", "Class", "n", "In the subgroup", "Difference to the rest", "from", "to")
    columns = [Column(key=f"c{i}", title=title) for i, title in enumerate((*titles, "q (Benjamini-Hochberg)"))]
    row = ("with orig size 512x496 and white frac 0.0004988 to <0.04253", "sensitivity", "Choroidal neovascularisation")
    table = Table(key="t", title="Gaps", columns=tuple(columns), rows=((*row, 120, 1.0, 0.006, -0.018, 0.029, 0.634),))
    result = sample_results("data")[0].model_copy(update={"tables": (table,), "charts": (), "pictures": ()})
    assert_nothing_is_cut_off(laid_out(html_audit(AuditContent(sample_audit("data"), (result,), tmp_path), paper=True)))


def test_the_same_audit_gives_the_same_bytes(laid_out: Callable[[str], bytes], tmp_path: Path) -> None:
    html = html_audit(AuditContent(sample_audit("data"), (), tmp_path), paper=True)
    assert laid_out(html) == laid_out(html)


def test_nothing_is_fetched(laid_out: Callable[[str], bytes], tmp_path: Path) -> None:
    picture = tmp_path / "secret.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text y="9">secret</text></svg>', encoding="utf-8")
    body = laid_out(f'<p>a</p><img src="{picture.as_uri()}">')
    assert "secret" not in " ".join(page_texts(body))


def test_images_that_are_cut_short_are_still_refused_afterwards() -> None:
    code = (
        "from PIL import ImageFile\n"
        "from whycad.audit.report.pdf import _weasyprint\n"
        "from whycad.errors import ReportError\n"
        "try:\n    _weasyprint()\nexcept ReportError:\n    pass\n"
        "assert ImageFile.LOAD_TRUNCATED_IMAGES is False"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("error", "said"), [(OSError("cannot load library 'libpango-1.0-0'"), "libpango"), (ImportError(), "pip install")]
)
def test_a_missing_library_is_said_with_a_remedy_and_the_rest_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, said: str
) -> None:
    def missing(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", missing)
    (tmp_path / "report.pdf").write_bytes(b"of an earlier run")
    why = write_report(sample_audit("data"), sample_results("data"), tmp_path, ReportOptions(pdf=True))
    assert said in why
    assert "cannot load" not in why
    assert (tmp_path / "report.html").exists()
    assert not (tmp_path / "report.pdf").exists()


def test_a_folder_that_cannot_be_written_to_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("whycad.audit.report.pdf.pdf_from_html", lambda html: b"%PDF")
    write_pdf("", tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]
    with pytest.raises(ReportError, match=r"'b\.pdf' cannot be written"):
        write_pdf("", tmp_path / "nowhere" / "b.pdf")
