"""The written audit: whole, alone, inert, and honest about what it is."""

from __future__ import annotations

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from whycad.audit.findings import Audit, CheckResult, Picture, Severity
from whycad.audit.report.html import AuditContent, html_audit
from whycad.audit.report.pictures import MAX_SIDE, picture_uri
from whycad.audit.report.sections import cases_words, reference_of
from whycad.audit.report.svg import PALETTE
from whycad.audit.report.tables import table_file
from whycad.audit.words import RESEARCH_ONLY, SIMULATED_DATA, SIMULATED_MODEL
from whycad.testing.hostile_audit import HTML, LONG, hostile_audit, hostile_result
from whycad.testing.sample_audit import sample_audit, sample_results


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(audit: Audit, folder: Path, *results: CheckResult, paper: bool = False, pictures: bool = True) -> str:
    return html_audit(AuditContent(audit, results or sample_results(), folder, pictures), paper=paper)


@pytest.fixture(scope="module")
def elements(sample_folder: Path) -> Elements:
    return Elements(report(sample_audit(), sample_folder))


def test_says_all_that_the_audit_found(elements: Elements) -> None:
    audit = sample_audit()
    assert audit.model is not None
    for said in (
        *(finding.message for finding in audit.findings),
        *(text for result in sample_results() for text in (result.title, result.question, result.method)),
        *(chart.title for result in sample_results() for chart in result.charts),
        *(table.title for result in sample_results() for table in result.tables),
        *(case.why for case in audit.failed),
        *(state.why for state in audit.checks),
        audit.model.weights_sha256,
        audit.data.sha256,
        audit.run.command,
        audit.run.created_utc,
        audit.run.trusted["artefact_insertion"],
        "Skin lesion (simulated) 1.0 on Simulated lesions, val split",
        "150 images, 149 groups; the split has been used 2 times",
        "The split val has been used 2 times, this audit included.",
        "Macro AUROC 0.87 (0.81 to 0.92), n = 148",
        "−0.19 (−0.24 to −0.14)",
        "and 118 more",
    ):
        assert said in elements.text, said


def test_the_verdict_comes_first_and_the_most_pressing_first(elements: Elements) -> None:
    sections = [attributes["id"] for attributes in elements.named("section")]
    assert sections[0] == "verdict"
    counts = re.findall(r"(Worrying|Look closer|Fine|Not established) (\d+)", elements.text)
    assert counts == [("Worrying", "3"), ("Look closer", "6"), ("Fine", "7"), ("Not established", "2")]
    table = elements.text[elements.text.index("Verdict") : elements.text.index("Headline figures")]
    order = re.findall(r"[■▲●○] (worrying|look closer|fine|not established)", table)
    assert order == ["worrying"] * 3 + ["look closer"] * 6 + ["fine"] * 7 + ["not established"] * 2


def test_every_line_of_the_contents_leads_to_a_section(elements: Elements) -> None:
    there = {attributes["id"] for attributes in elements.named("section")}
    hrefs = [attributes["href"] or "" for attributes in elements.named("a")]
    links = {href[1:] for href in hrefs if href.startswith("#")}
    assert links == there
    assert len(there) == len(elements.named("section"))


def test_says_what_it_is_for_and_that_data_are_simulated(elements: Elements, sample_folder: Path) -> None:
    assert elements.text.index(RESEARCH_ONLY) < elements.text.index(SIMULATED_DATA) < elements.text.index("Verdict")
    assert SIMULATED_MODEL in elements.text
    sample = sample_audit()
    assert sample.model is not None
    real = sample.model_copy(
        update={
            "data": sample.data.model_copy(update={"simulated": False}),
            "model": sample.model.model_copy(update={"evidence_level": "real"}),
        }
    )
    text = report(real, sample_folder)
    assert RESEARCH_ONLY in text
    assert SIMULATED_DATA not in text
    assert SIMULATED_MODEL not in text


def test_stands_alone_and_runs_nothing(elements: Elements, sample_folder: Path) -> None:
    assert not elements.named("script")
    assert not elements.named("link")
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in elements.named("img"))
    away = {attributes["href"] for attributes in elements.named("a") if not (attributes["href"] or "").startswith("#")}
    assert all((address or "").startswith("https://doi.org/10.") for address in away)
    assert "url(" not in report(sample_audit(), sample_folder)


def test_pictures_are_those_of_the_folder_with_their_captions(elements: Elements, sample_folder: Path) -> None:
    images = elements.named("img")
    assert [image["alt"] for image in images][:2] == [
        "before: p(melanoma) 0.31 (case-0020)",
        "with a patch: p(melanoma) 0.12 (case-0020)",
    ]
    with Image.open(io.BytesIO(base64.b64decode((images[1]["src"] or "").split(",")[1]))) as picture:
        assert picture.size == (96, 96)
        assert picture.convert("RGB").getpixel((88, 4)) == pytest.approx((100, 208, 208), abs=12)
    assert not Elements(report(sample_audit(), sample_folder, pictures=False)).named("img")


def test_everything_hostile_is_escaped_and_cut(sample_folder: Path) -> None:
    text = report(hostile_audit(), sample_folder, hostile_result())
    page = Elements(text)
    assert not page.named("script")
    assert not page.named("img")
    assert not page.named("b")
    assert HTML in page.text
    assert LONG not in page.text
    for character in "\u202e\u202c\x00\r":
        assert character not in text
    assert f"9,800 more rows in {table_file('performance', '../../x')}" in page.text
    assert "more columns in tables/performance-wide.csv" in page.text
    assert "340 more rows in audit.json" in page.text
    assert len(text) < 4_000_000


def test_paper_holds_fewer_rows_and_says_where_the_rest_is(sample_folder: Path) -> None:
    screen, paper = (Elements(report(sample_audit(), sample_folder, paper=paper)) for paper in (False, True))
    assert "more rows in" not in screen.text
    assert "95 more rows in tables/near_duplicate-pairs.csv" in paper.text


def test_the_same_audit_gives_the_same_page(sample_folder: Path) -> None:
    assert report(sample_audit(), sample_folder) == report(sample_audit(), sample_folder)


def test_dark_pages_change_every_colour_of_the_charts(sample_folder: Path) -> None:
    text = report(sample_audit(), sample_folder)
    dark = text[text.index("@media screen and (prefers-color-scheme: dark) {\n.f-") :]
    for name, (_, tone) in PALETTE.items():
        assert f".f-{name} {{ fill: {tone}; }}" in dark


def test_an_audit_of_data_alone_names_no_model(tmp_path: Path) -> None:
    page = Elements(report(sample_audit("data"), tmp_path, *sample_results("data")))
    assert "Weights" not in page.text
    assert "No model was evaluated" in page.text
    assert "Headline figures" not in page.text


def test_an_audit_that_found_nothing_is_written_all_the_same(tmp_path: Path) -> None:
    empty = sample_audit("data").model_copy(update={"findings": (), "failed": (), "checks": ()})
    page = Elements(html_audit(AuditContent(empty, (), tmp_path)))
    assert "No check found anything to report, or none ran." in page.text
    assert "Images that failed" not in page.text


def test_pictures_outside_the_folder_or_broken_are_left_out(sample_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    shutil.copytree(sample_folder, folder)
    secret = tmp_path / "secret.png"
    shutil.copy(folder / "pictures/artefact_insertion/patch-0.png", secret)
    (folder / "pictures/link.png").symlink_to(secret)
    (folder / "pictures/text.png").write_text("no image")
    good = (folder / "pictures/artefact_insertion/patch-0.png").read_bytes()
    (folder / "pictures/short.png").write_bytes(good[: len(good) // 2])
    Image.new("L", (5000, 40)).save(folder / "pictures/wide.png")

    def uri(file: str) -> str:
        return picture_uri(folder, Picture(file=file, caption=""))

    for file in (
        "../secret.png",
        str(secret),
        "pictures/link.png",
        "pictures/text.png",
        "pictures/short.png",
        "pictures",
    ):
        assert uri(file) == "", file
    with Image.open(io.BytesIO(base64.b64decode(uri("pictures/wide.png").split(",")[1]))) as wide:
        assert wide.width == MAX_SIDE


def test_only_a_doi_becomes_a_link() -> None:
    assert reference_of("A. B 1999. https://doi.org/10.1000/x(1).y").address == "https://doi.org/10.1000/x(1).y"
    assert reference_of("Chen 2010, doi:10.1080/036.").address == "https://doi.org/10.1080/036"
    for text in (
        "https://doi.org.evil.org/10.1000/x",
        'https://doi.org/10.1000/x" onclick="y',
        "http://doi.org/10.1000/x",
    ):
        assert reference_of(text).address == ""


def test_cases_are_named_up_to_a_few() -> None:
    finding = sample_audit().findings[0]
    assert cases_words(finding) == ""
    few = finding.model_copy(update={"cases": ("a", "b"), "n_cases": 2, "severity": Severity.OK})
    assert cases_words(few) == "a, b"
