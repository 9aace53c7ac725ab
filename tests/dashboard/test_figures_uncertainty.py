"""Charts of how sure a result is say what the numbers say."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard import figures_uncertainty as charts
from whycad.testing.example_tasks import NODULE, example_calibration
from whycad.testing.examples import ExampleOptions, example_result, example_volume
from whycad.types import Concept, OutOfDistribution, Prediction

CALIBRATION = example_calibration(NODULE)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return example_result(example_volume(), NODULE, ExampleOptions(leading=1)).prediction


def test_every_member_is_a_dot_and_the_mean_a_line(prediction: Prediction) -> None:
    *dots, line = charts.members_chart(prediction, NODULE).data
    assert [len(d.x) for d in dots] == [5, 5]
    shown = dict(zip(line.y, line.x, strict=True))
    assert shown == pytest.approx({"Benign": 0.29, "Malignant": 0.71})
    assert "Malignant members 63 to 79 %" in charts.members_alt(prediction, NODULE)


def test_reliability_leaves_empty_bins_out_and_marks_the_case() -> None:
    assert CALIBRATION.reliability is not None
    figure = charts.reliability_chart(CALIBRATION.reliability, 0.71)
    _, dots = figure.data
    assert list(dots.x) == [0.5, 0.8]
    assert list(dots.y) == [0.4, 0.78]
    assert figure.layout.shapes[0].x0 == 0.71
    assert "this case is here" in figure.layout.annotations[0].text


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.2, "not established"), (0.5, "Of 5 calibration cases"), (1.0, "Of 100 calibration"), (2 / 3, "Of 5 ")],
)
def test_reliability_in_words(confidence: float, said: str) -> None:
    assert CALIBRATION.reliability is not None
    text = charts.reliability_words(CALIBRATION.reliability, confidence)
    assert said in text
    assert ("Few cases" in text) == ("Of 5 " in said)


@pytest.mark.parametrize("score", [0.0, 3.0, 9.0, 500.0])
def test_the_gate_shows_the_case_among_calibration_cases(score: float) -> None:
    assert CALIBRATION.ood is not None
    found = OutOfDistribution(score, 40.0, 7.5, "energy of the logits")
    figure = charts.gate_chart(CALIBRATION.ood, found)
    assert float(np.sum(figure.data[0].y)) == pytest.approx(1.0)
    refer, reject, case = (shape.x0 for shape in figure.layout.shapes)
    assert (refer, reject) == (7.5, 12.0)
    assert case == min(score, 30.0), "a case far away stays in the picture"


def test_concepts_are_whole_bars() -> None:
    concepts = (
        Concept("margin", "How sharp?", ("poor", "fair", "sharp"), (0.2, 0.3, 0.5)),
        Concept("inner_calcification", "Any?", ("no", "yes"), (0.9, 0.1)),
    )
    figure = charts.concept_chart(concepts)
    assert np.sum([bar.x for bar in figure.data], axis=0) == pytest.approx([1.0, 1.0])
    assert list(figure.data[0].y) == ["Inner calcification", "Margin"]
    assert "2.3 of 3" in {a.text for a in figure.layout.annotations}
    assert "sharp" in charts.concept_alt(concepts)
