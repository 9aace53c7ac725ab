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
from whycad.testing.examples import (
    ExampleOptions,
    example_evidence,
    example_profile,
    example_result,
    example_study,
)
from whycad.testing.volume_plugins import make_volume
from whycad.types import Attribution, Concept, Decision, DecisionKind, Finding, Measurement, Segmentation, TaskKind
from whycad.wording import GATE_BYPASSED

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


def pictures_of(page: Elements) -> list[np.ndarray]:
    sources = [image["src"] or "" for image in page.named("img")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(s.split(",")[1]))), int) for s in sources]


def test_what_was_seen_is_written_and_drawn(content: ReportContent) -> None:
    evidence = example_evidence(content.study.spatial_shape)
    options = ExampleOptions(leading=4, evidence=evidence, methods=())
    page = Elements(html_report(replace(content, result=example_result(content.study, content.manifest, options))))
    text = " ".join(page.text.split())
    assert "Longest diameter 12.3 mm (usually 4 to 30), from the outline" in text
    assert "1.8 of 2, most likely “sharp” (75 %)" in text
    assert "not a rating by anyone" in text
    assert "Drawn by the model, not by a reader" in text
    plain, drawn = pictures_of(page)
    changed = np.argwhere(np.abs(plain - drawn).sum(axis=2) > 0)
    assert changed.min(axis=0).tolist() == [32, 42]
    assert changed.max(axis=0).tolist() == [63, 84]
    assert "nodule in orange" in (page.named("img")[1]["alt"] or "")


def test_the_line_of_argument_and_places_are_written(content: ReportContent) -> None:
    evidence = example_evidence(content.study.spatial_shape)
    result = example_result(content.study, content.manifest, ExampleOptions(leading=4, evidence=evidence, methods=()))
    measured = replace(evidence.measurements[0], percentiles={"mel": 41.0, "nv": 93.0})
    rated = replace(evidence.concepts[0], percentiles={"nv": 12.0}, readers={"nv": (1.0, 2.0)})
    findings = (
        Finding("Map and measurements disagree: so it is.", False, 1.0, "conflict"),
        Finding("Size 12 mm, above 93 % of nevi.", True, 0.7, "measurement"),
        Finding(f"Against {HOSTILE}.", False, 0.4, "map"),
    )
    result = replace(result, measurements=(measured,), concepts=(rated,), findings=findings)
    page = Elements(html_report(replace(content, result=result)))
    text = " ".join(page.text.split())
    assert "For Melanoma Size 12 mm, above 93 % of nevi." in text
    assert text.index("Map and measurements disagree") < text.index("For Melanoma") < text.index("Against Melanoma")
    assert "above 41 % of melanomas, 93 % of nevi" in text
    assert "12.3 mm (90 % of nevi: 4 to 30)" in text
    assert "radiologists rated Melanocytic nevus 1.0 to 2.0 (central 90 %)" in text
    assert not page.named("script")
    refused = replace(result, prediction=replace(result.prediction, decision=Decision(DecisionKind.REJECT, ("x",))))
    assert "Line of argument" not in html_report(replace(content, result=refused))


def test_hostile_evidence_is_escaped(content: ReportContent) -> None:
    mask = np.ones(content.study.spatial_shape, bool)
    hostile = replace(
        content.result,
        measurements=(Measurement(HOSTILE, 1.0, HOSTILE, None, HOSTILE),),
        concepts=(Concept(HOSTILE, HOSTILE, (HOSTILE, "b"), (0.5, 0.5)),),
        segmentations=(Segmentation(HOSTILE, mask, HOSTILE),),
    )
    page = Elements(html_report(replace(content, result=hostile)))
    assert not page.named("script")
    assert all("onerror" not in attributes for attributes in page.named("img"))


def of_volume(content: ReportContent, shown: int) -> ReportContent:
    study = make_volume((9, 40, 44))
    values = np.zeros(study.spatial_shape, np.float32)
    values[shown, 2:5, 30:40] = 1.0
    result = example_result(content.study, content.manifest, ExampleOptions(leading=4, methods=()))
    volume = replace(
        result,
        source_shape=study.spatial_shape,
        attributions=(Attribution("ig", "mel", values, True),),
        segmentations=example_evidence(study.spatial_shape).segmentations,
        profile=example_profile(9, len(content.manifest.labels), shown=shown),
    )
    return replace(content, study=study, result=volume)


def test_a_volume_shows_its_slice_and_what_the_others_came_to(content: ReportContent) -> None:
    volume = of_volume(content, 5)
    page = Elements(html_report(volume))
    text = " ".join(page.text.split())
    assert "Slice 6 of 9 is shown" in text
    assert "4 would be reported, 4 referred, 1 got no answer" in text
    bars = [rect["class"] for rect in page.named("rect")]
    assert [bars.count(kind) for kind in ("report", "refer", "reject", "shown")] == [4, 4, 1, 1]
    plain, outline, map_over = pictures_of(page)
    assert plain.shape == (40, 44, 3)
    assert (outline != plain).any()
    changed = np.argwhere((map_over != plain).any(axis=2))
    assert (changed[:, 0].max(), changed[:, 1].min()) == (4, 30)
    assert "slice 6 of 9" in (page.named("img")[0]["alt"] or "")
    assert "upper right of slice 6" in (page.named("img")[2]["alt"] or "")
    other = pictures_of(Elements(html_report(of_volume(content, 1))))[0]
    assert (other != plain).any()


def test_a_refused_image_with_numbers_shows_none_but_for_a_bypassed_sample(content: ReportContent) -> None:
    prediction = replace(content.result.prediction, decision=Decision(DecisionKind.REJECT, ("Unlike anything.",)))
    refused = replace(content.result, prediction=prediction, attributions=())
    page = Elements(html_report(replace(content, result=refused)))
    assert "No score" in page.text
    assert "71 %" not in page.text
    shown = Elements(html_report(replace(content, result=replace(refused, warnings=(GATE_BYPASSED,)))))
    assert "71 %" in shown.text
    assert "Unlike anything." in shown.text
    assert shown.text.count(GATE_BYPASSED) == 1


def test_an_ordinal_task_names_its_expected_stage(content: ReportContent) -> None:
    ordinal = content.manifest.model_copy(update={"kind": TaskKind.ORDINAL})
    text = " ".join(Elements(html_report(replace(content, manifest=ordinal))).text.split())
    assert "Expected stage 3.7, between Dermatofibroma and Melanoma" in text
    assert "no stage of this run can be ruled out at 90 %" in text
