"""KernelSHAP: exact Shapley values on few superpixels, the right sum on many, captum's values."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
import torch
from captum.attr import ShapleyValues
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.kernel_shap import coalitions_of, fit_kernel_shap, shapley_values
from whycad.explain.segment_masks import SegmentedImage
from whycad.explain.superpixels import grid_segments

SHAP = METHODS["kernel_shap"]


def by_definition(game, n):
    """Mean marginal contributions over all orders, ``(n, k)``."""
    values = 0.0
    for order in permutations(range(n)):
        shown = np.zeros(n, bool)
        gains = []
        for player in order:
            before = game(shown)
            shown = shown.copy()
            shown[player] = True
            gains.append((player, game(shown) - before))
        values = values + np.array([gain for _, gain in sorted(gains, key=lambda pair: pair[0])])
    return values / factorial(n)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 5), seed=st.integers(0, 999))
def test_all_coalitions_give_the_shapley_values_by_definition(n, seed):
    scores = np.random.default_rng(seed).normal(size=(2**n, 3))

    def game(shown):
        return scores[int((shown * 2 ** np.arange(n)).sum())]

    coalitions = coalitions_of(n, 2**n, seed)
    assert coalitions.enumerated
    assert len(np.unique(coalitions.masks, axis=0)) == 2**n
    values = shapley_values(coalitions, np.stack([game(mask) for mask in coalitions.masks]))
    np.testing.assert_allclose(values, by_definition(game, n), atol=1e-9)


def test_on_few_superpixels_it_is_captums_exact_values(nets, make_inputs):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    segments = grid_segments((12, 18), 6)
    cut = SegmentedImage(inputs.array, np.zeros_like(inputs.array), segments)
    fit = fit_kernel_shap(model, cut, ExplainOptions(n_samples=64))
    assert cut.n_segments == 6
    assert fit.parameters["coalitions"] == "all"
    with torch.no_grad():
        theirs = [
            ShapleyValues(model).attribute(
                torch.from_numpy(inputs.array)[None], target=k, feature_mask=torch.from_numpy(segments)[None, None]
            )
            for k in range(3)
        ]
    captums = np.stack([[float(t[0, 0][segments == s][0]) for s in range(6)] for t in theirs], axis=1)
    np.testing.assert_allclose(fit.coefficients, captums, atol=1e-4)


@pytest.mark.parametrize("n_samples", [20, 400])
def test_drawn_coalitions_add_up_to_the_change_of_every_output(nets, make_inputs, n_samples):
    """Also with fewer samples than the 40 superpixels."""
    model, inputs = nets.smooth().eval(), make_inputs((24, 36))
    cut = SegmentedImage(inputs.array, np.zeros_like(inputs.array), grid_segments((24, 36), 40))
    fit = fit_kernel_shap(model, cut, ExplainOptions(n_samples=n_samples, seed=3))
    assert cut.n_segments >= 40
    assert fit.parameters["coalitions"] != "all"
    with torch.no_grad():
        ends = model(torch.from_numpy(np.stack([cut.image, cut.hidden]))).double().numpy()
    np.testing.assert_allclose(fit.coefficients.sum(axis=0), ends[0] - ends[1], atol=1e-4)


def test_drawn_coalitions_are_exact_where_superpixels_do_not_interact(nets, make_inputs):
    model, inputs = nets.linear((3, 24, 36)).eval(), make_inputs((24, 36))
    segments = grid_segments((24, 36), 20)
    cut = SegmentedImage(inputs.array, np.zeros_like(inputs.array), segments)
    fit = fit_kernel_shap(model, cut, ExplainOptions(n_samples=200, seed=3))
    parts = (model.head.weight.detach().numpy().reshape(3, 3, 24, 36) * inputs.array).sum(axis=1)
    expected = np.stack([parts[:, segments == s].sum(axis=1) for s in range(cut.n_segments)])
    np.testing.assert_allclose(fit.coefficients, expected, atol=1e-4)
    assert fit.r2.min() > 0.9999


def test_drawn_coalitions_approach_the_exact_values(nets, make_inputs):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    cut = SegmentedImage(inputs.array, np.zeros_like(inputs.array), grid_segments((12, 18), 9))
    assert cut.n_segments == 12
    exact = fit_kernel_shap(model, cut, ExplainOptions(n_samples=4096)).coefficients
    drawn = fit_kernel_shap(model, cut, ExplainOptions(n_samples=2000)).coefficients
    assert np.abs(drawn - exact).max() < 0.1 * np.abs(exact).max()
    assert np.abs(drawn - exact).max() > 0


def test_draws_come_in_pairs_with_the_sizes_of_the_kernel():
    masks = coalitions_of(20, 20_002, 0).masks[2:]
    np.testing.assert_array_equal(masks[::2], ~masks[1::2])
    shares = np.bincount(masks.sum(axis=1), minlength=21)[1:20] / len(masks)
    kernel = np.array([1 / (size * (20 - size)) for size in range(1, 20)])
    np.testing.assert_allclose(shares, kernel / kernel.sum(), atol=0.01)


def test_the_map_gives_pixels_their_superpixels_value_and_says_how_it_was_made(nets, make_inputs):
    raw = SHAP.explain(nets.smooth().eval(), make_inputs((12, 18)), 1, ExplainOptions(n_segments=30, n_samples=100))
    assert len(np.unique(raw.map)) <= raw.parameters["segments"]
    assert raw.parameters["coalitions"] == "drawn in pairs"
    assert raw.parameters["samples"] == 100
    assert raw.fidelity.local_r2 < 1
    assert raw.fidelity.n_samples == raw.parameters["evaluated"]


def test_too_few_samples_are_refused(nets, make_inputs):
    with pytest.raises(ExplanationError, match="at least 4"):
        SHAP.explain(nets.smooth().eval(), make_inputs(), 1, ExplainOptions(n_samples=3))
