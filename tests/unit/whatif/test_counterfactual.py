"""Counterfactuals: along the weight of a linear task, no longer than needed, honest where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.errors import GeometryError
from whycad.inference import Ensemble, load_members
from whycad.testing.planted import SHAPE, dim_picture, grey_study, write_linear
from whycad.types import Study
from whycad.whatif.counterfactual import LARGEST_RMS, counterfactual, has_moved
from whycad.whatif.scene import Scene

SLOPE = np.cos(np.linspace(0, np.pi, SHAPE[1]))[None, :] * np.ones(SHAPE)


def task(folder: Path, margin: float) -> Ensemble:
    """Return a task whose weight is a smooth slope, and that is ``margin`` above for the background."""
    weights = (0.05 * SLOPE).astype(np.float32)
    bias = margin - float((weights * (2 * dim_picture() - 1)).sum())
    return load_members(write_linear(folder, weights, bias), torch.device("cpu"))


def test_the_change_goes_along_the_weight_and_reaches_the_goal(
    tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    study = grey_study(dim_picture())
    found = counterfactual(open_case(study, task(tmp_path, 1.5)), goal="below")
    change = (found.picture - study.pixels).ravel()
    assert found.after.predicted == "below"
    assert found.parameters["found"] is True
    assert np.corrcoef(change, -SLOPE.ravel())[0, 1] > 0.95
    # The least change along the slope is margin / (2 * |w|); the bisection stops within a few per cent.
    weights = 0.05 * SLOPE
    least = 1.5 / (2 * np.sqrt((weights**2).sum())) / np.sqrt(weights.size)
    assert least * 0.98 < float(found.parameters["rms"]) < 1.25 * least


def test_the_set_may_move_before_the_label(tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    found = counterfactual(open_case(grey_study(dim_picture()), task(tmp_path, 1.5)))
    assert found.set_moved or found.label_moved
    assert has_moved(found.before, found.after, "")


def test_none_within_the_bound_is_a_result(tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    found = counterfactual(open_case(grey_study(dim_picture()), task(tmp_path, 60.0)), goal="below")
    assert found.parameters["found"] is False
    assert found.after.predicted == "above"
    assert f"{100 * LARGEST_RMS:.0f} %" in found.title


def test_a_goal_that_is_no_other_label_is_refused(
    tmp_path: Path, open_case: Callable[[Study, Ensemble], Scene]
) -> None:
    scene = open_case(grey_study(dim_picture()), task(tmp_path, 1.5))
    for goal in ("above", "nothing"):
        with pytest.raises(GeometryError, match="another label"):
            counterfactual(scene, goal=goal)
