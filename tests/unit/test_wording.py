"""Numbers in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad import wording
from whycad.manifest import Manifest, load_manifest
from whycad.performance import ClassFigures
from whycad.testing.examples import ExampleOptions, example_profile, example_result, example_study
from whycad.types import AnalysisResult, Concept, Decision, DecisionKind, Measurement, TaskKind, Uncertainty


@pytest.fixture(scope="module")
def manifest(repo: Path) -> Manifest:
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def result(manifest: Manifest) -> AnalysisResult:
    return example_result(example_study(), manifest, ExampleOptions(leading=4))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.712, "71 %"),
        (0.0612, "6.1 %"),
        (0.0004, "< 0.1 %"),
        (0.9996, "> 99.9 %"),
        (0.9949, "99.5 %"),
        (1.0, "100 %"),
        (0.0, "0 %"),
        (float("nan"), "no score"),
    ],
)
def test_percent_is_never_a_false_certainty(value: float, text: str) -> None:
    assert wording.percent(value) == text


def test_set_follows_its_level(result: AnalysisResult) -> None:
    prediction = result.prediction
    assert wording.set_at(prediction, prediction.coverage) == prediction.conformal_set
    assert wording.set_at(prediction, 0.8) == ("mel",)
    assert wording.set_at(prediction, 0.99) == prediction.labels
    assert wording.set_at(replace(prediction, conformal_p=np.zeros(7, np.float32)), 0.9) == ("mel",), "never empty"


def test_p_value_on_the_level_stays_out_after_rounding(result: AnalysisResult) -> None:
    p = np.full(7, 0.1, np.float32)
    assert wording.set_at(replace(result.prediction, conformal_p=p), 0.9) == ("mel",)


def test_refused_image_has_no_score_and_no_set(manifest: Manifest) -> None:
    refused = example_result(example_study(), manifest, ExampleOptions(kind=DecisionKind.REJECT)).prediction
    assert not wording.has_score(refused)
    assert wording.set_at(refused, 0.9) == ()


@pytest.mark.parametrize(
    ("aleatoric", "epistemic", "said"),
    [(0.1, 0.4, "members disagree"), (1.5, 0.01, "ambiguous"), (0.05, 0.005, "not the same as being right")],
)
def test_uncertainty_names_its_source(result: AnalysisResult, aleatoric: float, epistemic: float, said: str) -> None:
    uncertainty = Uncertainty(aleatoric + epistemic, aleatoric, epistemic)
    assert said in wording.uncertainty_sentence(replace(result.prediction, uncertainty=uncertainty))


def test_rule_that_overrules_the_largest_probability_says_so(result: AnalysisResult, manifest: Manifest) -> None:
    assert wording.leading_reason(result, manifest) == ""
    other = replace(result, prediction=replace(result.prediction, predicted="bcc"))
    assert "Melanoma is the most probable, at 71 %" in wording.leading_reason(other, manifest)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (ClassFigures(n=100, sensitivity=0.74, interval=(0.62, 0.84)), "74 % (62 to 84)"),
        (ClassFigures(n=4, sensitivity=0.75, interval=(0.2, 1.0)), "not established (4 cases)"),
        (None, "not established"),
    ],
)
def test_few_cases_give_no_number(figures: ClassFigures | None, text: str) -> None:
    assert wording.share_with_interval(figures) == text


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Measurement("longest_diameter", 12.345, "mm"), ("Longest diameter", "12.3 mm")),
        (Measurement("ratio", 0.5, "1", (0.2, 0.61), "by hand"), ("Ratio", "0.5 (usually 0.2 to 0.61), by hand")),
    ],
)
def test_measurements_have_units_and_ranges(item: Measurement, words: tuple[str, str]) -> None:
    assert wording.measurement_words(item) == words


def test_a_concept_names_its_mean_and_its_most_likely_rating() -> None:
    concept = Concept("spiculation", "?", ("none", "slight", "marked"), (0.2, 0.5, 0.3))
    assert wording.concept_words(concept) == ("Spiculation", "2.1 of 3, most likely “slight” (50 %)")


@pytest.mark.parametrize(
    ("kind", "warned", "shown"), [("report", False, True), ("reject", False, False), ("reject", True, True)]
)
def test_a_refused_case_shows_no_answer_but_a_bypassed_sample_does(
    result: AnalysisResult, kind: str, warned: bool, shown: bool
) -> None:
    prediction = replace(result.prediction, decision=Decision(DecisionKind(kind)))
    warnings = (wording.GATE_BYPASSED,) if warned else ()
    assert wording.shows_answer(replace(result, prediction=prediction, warnings=warnings)) is shown


def test_the_slices_of_a_volume_are_counted() -> None:
    text = wording.profile_words(example_profile(9, 2, shown=3))
    assert text.startswith("Slice 4 of 9 is shown.")
    assert "4 would be reported, 4 referred, 1 got no answer" in text


def test_a_binary_set_may_be_empty(result: AnalysisResult) -> None:
    low = replace(result.prediction, conformal_p=np.full_like(result.prediction.conformal_p, 0.01))
    assert wording.set_at(low, 0.9, TaskKind.BINARY) == ()
    assert len(wording.set_at(low, 0.9)) == 1


@pytest.mark.parametrize(
    ("place", "text"), [(2, "2.0, Benign keratosis"), (2.5, "2.5, between Benign keratosis and Dermatofibroma")]
)
def test_the_expected_stage_lies_between_its_neighbours(
    result: AnalysisResult, manifest: Manifest, place: float, text: str
) -> None:
    p = np.zeros(7, np.float32)
    p[2], p[3] = 1 - (place - 2), place - 2
    assert wording.expected_stage(replace(result.prediction, probabilities=p), manifest) == text


def test_places_name_the_labels_that_are_established(manifest: Manifest) -> None:
    assert wording.places_words({}, manifest) == ""
    assert wording.places_words({"nv": 93.0, "mel": 41.2}, manifest) == "above 41 % of melanomas, 93 % of nevi"


def test_a_range_names_whose_it_is_where_that_is_known() -> None:
    plain = Measurement("size", 12.34, "mm", (4.0, 30.0), "from the outline")
    assert "(usually 4 to 30)" in wording.measurement_words(plain, "nevi")[1]
    placed = replace(plain, percentiles={"nv": 60.0})
    assert wording.measurement_words(placed, "nevi")[1] == "12.3 mm (90 % of nevi: 4 to 30), from the outline"


def test_the_readers_own_ratings_are_given_by_label(manifest: Manifest) -> None:
    rated = Concept("margin", "?", ("poor", "sharp"), (0.5, 0.5), readers={"nv": (1.0, 1.75)})
    expected = "radiologists rated Melanocytic nevus 1.0 to 1.8 (central 90 %)"
    assert wording.readers_words(rated, manifest) == expected
    assert wording.readers_words(replace(rated, readers={}), manifest) == ""
