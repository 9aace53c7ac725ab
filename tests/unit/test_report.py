"""The written report: whole, alone, and inert."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whycad.errors import GeometryError
from whycad.manifest import Manifest, load_manifest
from whycad.performance import Performance
from whycad.report import ReportContent, html_report
from whycad.testing.examples import ExampleOptions, example_result, example_study
from whycad.types import Decision, DecisionKind

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def manifest(repo: Path) -> Manifest:
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture
def content(manifest: Manifest) -> ReportContent:
    study = example_study()
    return ReportContent(example_result(study, manifest, ExampleOptions(leading=4)), study, manifest)


def test_says_what_the_card_says(content: ReportContent) -> None:
    text = " ".join(Elements(html_report(content)).text.split())
    for said in (
        "Melanoma",
        "71 %",
        "members 63 to 79 %",
        "Refer to a specialist",
        "The set holds what must not be missed: melanoma.",
        "90 % set",
        "not for clinical use",
        "Simulated",
        "Weights, SHA-256",
        "Training images of Melanoma not established",
    ):
        assert said in text, said


def test_stands_alone_and_runs_nothing(content: ReportContent) -> None:
    page = Elements(html_report(content))
    assert not page.named("script")
    assert not page.named("link")
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    for image in page.named("img"):
        assert (image["src"] or "").startswith("data:image/png;base64,")
        assert len(image["alt"] or "") > 20
    assert not re.search(r"https?://", html_report(content))


def test_pictures_are_the_image_and_its_maps(content: ReportContent) -> None:
    sources = [image["src"] or "" for image in Elements(html_report(content)).named("img")]
    pictures = [Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) for source in sources]
    assert [picture.size for picture in pictures] == [(128, 96)] * 3
    plain, map_over = (np.asarray(p, int) for p in pictures[:2])
    changed = np.abs(plain - map_over).sum(axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert (row < 48, column > 64) == (True, True), "the map lies over the dark blob"


def test_everything_is_escaped(content: ReportContent) -> None:
    result = content.result
    hostile = replace(
        result,
        warnings=(HOSTILE,),
        metadata={HOSTILE: HOSTILE, "site": HOSTILE},
        prediction=replace(result.prediction, decision=Decision(DecisionKind.REFER, (HOSTILE,))),
        provenance=replace(result.provenance, calibration_set=HOSTILE, notes=(HOSTILE, "a\u202eb\x00")),
    )
    page = Elements(html_report(replace(content, result=hostile)))
    assert not page.named("script")
    assert len(page.named("img")) == 3
    assert HOSTILE in page.text
    assert "\u202e" not in page.text
    assert "\x00" not in page.text
    assert r"a\u202eb" in page.text


def test_refused_image_has_no_number(content: ReportContent) -> None:
    options = ExampleOptions(kind=DecisionKind.REJECT, reasons=("The image is one flat value.",))
    refused = replace(content, result=example_result(content.study, content.manifest, options))
    page = Elements(html_report(refused))
    assert "No score" in page.text
    assert "No answer for this image" in page.text
    assert not re.search(r"\bnan\b", page.text.lower())


def test_set_follows_the_level_that_is_asked_for(content: ReportContent) -> None:
    assert "Melanoma, Melanocytic nevus" in Elements(html_report(content)).text
    at_80 = Elements(html_report(replace(content, coverage=0.8))).text
    assert "80 % set Melanoma" in at_80
    assert "Melanoma, Melanocytic nevus" not in at_80


def test_stored_figures_are_used(content: ReportContent) -> None:
    stored = Performance.model_validate(
        {
            "training_counts": {"mel": 767, "nv": 6213},
            "per_class": {"mel": {"n": 100, "sensitivity": 0.74, "interval": [0.62, 0.84]}},
            "operating_points": {"malignant": {"threshold": 0.2, "sensitivity": 0.95, "specificity": 0.61}},
        }
    )
    text = Elements(html_report(replace(content, performance=stored))).text
    assert "767 of 6,980" in text
    assert "74 % (62 to 84)" in text
    assert "specificity 61 %" in text


def test_map_of_another_image_is_refused(content: ReportContent) -> None:
    with pytest.raises(GeometryError, match="does not fit"):
        html_report(replace(content, study=example_study((96, 100))))
