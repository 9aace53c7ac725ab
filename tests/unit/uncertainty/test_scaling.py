"""Every form gives probabilities, and none turns the order of one class around."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from whycad.uncertainty.calibration_parts import Scaling, StepMap
from whycad.uncertainty.scaling import apply_scaling, normalised, softmax

PRIOR = (0.5, 0.3, 0.2)
EYE = tuple(tuple(row) for row in np.eye(3).tolist())
HALF = tuple(tuple(row) for row in (0.5 * np.eye(3)).tolist())
STEP = StepMap(x=(0.0, 0.4, 1.0), y=(0.05, 0.5, 0.9))
FORMS = [
    Scaling(form="temperature", matrix=HALF, offset=(0.0,) * 3),
    Scaling(form="offset", matrix=HALF, offset=(0.5, -0.5, 0.0), floor=0.01),
    Scaling(form="dirichlet", matrix=((1.1, 0.1, 0.0), (0.0, 0.8, 0.2), (0.1, 0.0, 0.9)), offset=(0.0, 0.1, 0.2)),
    Scaling(form="isotonic", matrix=EYE, offset=(0.0,) * 3, maps=dict.fromkeys("abc", STEP), floor=0.01),
]


@given(arrays(np.float64, (2, 4, 3), elements=st.floats(-20, 0)), st.sampled_from(FORMS))
def test_whatever_comes_in_probabilities_come_out(logs, scaling):
    found = apply_scaling(logs, scaling, PRIOR)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    assert (found >= scaling.floor * min(PRIOR) - 1e-12).all()


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=12), st.sampled_from(FORMS[:2]))
def test_a_larger_log_odds_never_means_a_smaller_probability(odds, scaling):
    odds = np.sort(odds)
    logs = np.log(softmax(np.stack([odds, np.zeros_like(odds), np.zeros_like(odds)], axis=1)))
    first = apply_scaling(logs, scaling, PRIOR)[:, 0]
    assert (np.diff(first) >= -1e-12).all()


def test_isotonic_for_two_classes_keeps_the_order():
    second = StepMap(x=(0.1, 0.5, 0.9), y=(0.0, 0.3, 1.0))
    mirror = StepMap(x=(0.1, 0.5, 0.9), y=(0.0, 0.7, 1.0))
    scaling = Scaling(form="isotonic", matrix=((1, 0), (0, 1)), offset=(0, 0), maps={"a": mirror, "b": second})
    p = np.linspace(0.01, 0.99, 50)
    found = apply_scaling(np.log(np.stack([1 - p, p], axis=1)), scaling, (0.5, 0.5))[:, 1]
    assert (np.diff(found) >= -1e-12).all()
    assert found[0] == 0
    assert found[-1] == 1


def test_the_floor_keeps_every_chance_above_nothing():
    scaling = Scaling(form="temperature", matrix=EYE, offset=(0,) * 3, floor=0.1)
    found = apply_scaling(np.log([[1 - 2e-12, 1e-12, 1e-12]]), scaling, PRIOR)
    np.testing.assert_allclose(found, [[0.95, 0.03, 0.02]], atol=1e-6)


def test_nothing_known_is_spread_evenly():
    np.testing.assert_allclose(normalised(np.zeros((1, 4))), 0.25)


@pytest.mark.parametrize(
    "knots", [{"x": (0.5, 0.1), "y": (0, 1)}, {"x": (0, 1), "y": (1, 0)}, {"x": (0, 1), "y": (0,)}]
)
def test_a_map_that_falls_is_refused(knots):
    with pytest.raises(ValidationError, match="ascending"):
        StepMap(**knots)
