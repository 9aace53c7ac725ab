"""The chart of all labels says what the prediction says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures import ALERT, CALM, QUIET, calm_rows, label_chart, label_chart_alt
from whycad.manifest import Manifest, load_manifest
from whycad.testing.examples import ExampleOptions, example_result, example_study
from whycad.types import Prediction


@pytest.fixture(scope="module")
def manifest(repo: Path) -> Manifest:
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def prediction(manifest: Manifest) -> Prediction:
    return example_result(example_study(), manifest, ExampleOptions(leading=4)).prediction


def test_bars_run_from_most_to_least_probable(prediction: Prediction, manifest: Manifest) -> None:
    bar, _ = label_chart(prediction, manifest, ("mel", "nv")).data
    assert bar.y[-1] == "Melanoma"
    assert np.allclose(sorted(prediction.probabilities), bar.x)


def test_colour_marks_the_set_and_what_must_not_be_missed(prediction: Prediction, manifest: Manifest) -> None:
    bar, _ = label_chart(prediction, manifest, ("mel", "nv")).data
    colour = dict(zip(bar.y, bar.marker.color, strict=True))
    assert colour["Melanoma"] == ALERT
    assert colour["Melanocytic nevus"] == CALM
    assert colour["Dermatofibroma"] == QUIET
    narrow, _ = label_chart(prediction, manifest, ("mel",)).data
    assert dict(zip(narrow.y, narrow.marker.color, strict=True))["Melanocytic nevus"] == QUIET


def test_numbers_stand_right_of_the_bars_and_long_titles_in_two_lines(
    prediction: Prediction, manifest: Manifest
) -> None:
    figure = label_chart(prediction, manifest, ("mel", "nv"))
    assert {note.xshift for note in figure.layout.annotations} == {figure.layout.margin.r}
    axis = calm_rows(go.Figure(go.Bar(x=[1.0], y=["Choroidal neovascularisation"])), 1, "black").layout.yaxis
    assert axis.ticktext == ("Choroidal<br>neovascularisation",)
    assert axis.tickvals == ("Choroidal neovascularisation",)


def test_every_member_is_a_dot(prediction: Prediction, manifest: Manifest) -> None:
    _, dots = label_chart(prediction, manifest, ("mel", "nv")).data
    shown = [x for x, y in zip(dots.x, dots.y, strict=True) if y == "Melanoma"]
    assert np.allclose(shown, prediction.member_probabilities[:, 4])


def test_alternative_text_names_every_label(prediction: Prediction, manifest: Manifest) -> None:
    alt = label_chart_alt(prediction, manifest)
    assert all(label.name in alt for label in manifest.labels)
    assert "Melanoma 71 %" in alt
