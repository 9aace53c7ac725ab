"""LIME: the lime package's draws and coefficients, with far fewer steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lime.lime_image import LimeImageExplainer
from sklearn.linear_model import Ridge

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.lime import (
    draw_masks,
    fit_lime,
    proximity,
    weighted_ridge,
)
from whycad.explain.segment_masks import segment_means, unique_rows
from whycad.explain.superpixels import grid_segments, superpixels
from whycad.explain.surrogate import weighted_r2
from whycad.imaging.geometry import resize_geometry
from whycad.types import ModelInput

LIME = METHODS["lime"]


class Softmax(torch.nn.Module):
    """A small convolutional classifier of probabilities."""

    def __init__(self, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = torch.nn.Conv2d(channels, 6, 3, padding=1)
        self.head = torch.nn.Linear(6 * 16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = torch.nn.functional.adaptive_avg_pool2d(torch.relu(self.conv(x)), 4)
        return (4 * self.head(f.flatten(1))).softmax(dim=1)


def with_the_package(model, image, segments, options, hide_color):
    """Coefficients (K, k), intercepts and R2 by label, from the lime package."""

    def classify(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(batch).permute(0, 3, 1, 2).float()).numpy().astype(np.float64)

    explainer = LimeImageExplainer(random_state=options.seed, feature_selection="none")
    explanation = explainer.explain_instance(
        np.moveaxis(image, 0, -1),
        classify,
        top_labels=4,
        hide_color=hide_color,
        num_samples=options.n_samples,
        segmentation_fn=lambda _image: segments,
    )
    coefficients = np.zeros((segments.max() + 1, 4))
    for label, pairs in explanation.local_exp.items():
        for segment, weight in pairs:
            coefficients[segment, label] = weight
    return coefficients, explanation


@pytest.fixture(autouse=True)
def _quiet_package(monkeypatch):
    monkeypatch.setattr("lime.lime_image.tqdm", lambda rows: rows)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(12, 48), st.integers(12, 48)),
    seed=st.integers(0, 2**32 - 1),
    n_segments=st.integers(2, 40),
    n_samples=st.integers(2, 120),
    fill=st.sampled_from(["mean", "baseline"]),
    batch_size=st.integers(0, 33),
)
def test_coefficients_are_those_of_the_package(shape, seed, n_segments, n_samples, fill, batch_size):
    image = np.random.default_rng(seed).random((3, *shape)).astype(np.float32)
    segments = grid_segments(shape, n_segments)
    options = ExplainOptions(seed=seed, n_samples=n_samples, batch_size=batch_size)
    model = Softmax().eval()
    hidden = segment_means(image, segments) if fill == "mean" else np.full_like(image, 0.25)
    ours = fit_lime(model, image, hidden, segments, options)
    theirs, explanation = with_the_package(model, image, segments, options, None if fill == "mean" else 0.25)
    np.testing.assert_allclose(ours.coefficients, theirs, atol=1e-5)
    for label, intercept in explanation.intercept.items():
        assert ours.intercepts[label] == pytest.approx(intercept, abs=1e-5)


def test_r2_is_that_of_the_package():
    image = np.random.default_rng(5).random((3, 32, 40)).astype(np.float32)
    segments, _ = superpixels(image)
    options = ExplainOptions(seed=11, n_samples=200)
    ours = fit_lime(Softmax().eval(), image, segment_means(image, segments), segments, options)
    _, explanation = with_the_package(Softmax().eval(), image, segments, options, None)
    # The package keeps the score of the last label it fits: the least likely of the top ones.
    assert ours.r2[explanation.top_labels[::-1][-1]] == pytest.approx(explanation.score, abs=1e-5)


def test_duplicate_samples_are_evaluated_once():
    """Four superpixels have sixteen masks, however many samples are drawn."""
    seen = []
    model = Softmax().eval()
    model.register_forward_pre_hook(lambda _m, args: seen.append(len(args[0])))
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    fit = fit_lime(model, image, np.zeros_like(image), grid_segments((16, 16), 4), ExplainOptions(n_samples=1000))
    assert sum(seen) == fit.n_evaluated == 16
    assert fit.n_samples == 1000


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 99))
def test_unique_rows_rebuild_the_draws(n, k, seed):
    masks = np.random.default_rng(seed).random((n, k)) < 0.5
    distinct, inverse = unique_rows(masks)
    np.testing.assert_array_equal(distinct[inverse], masks)
    assert len({row.tobytes() for row in distinct}) == len(distinct)
    np.testing.assert_array_equal(distinct[0], masks[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 60), st.integers(1, 30), st.integers(1, 5), st.integers(0, 99))
def test_the_closed_form_is_ridge(n, k, outputs, seed):
    rng = np.random.default_rng(seed)
    masks, scores, weights = rng.random((n, k)) < 0.5, rng.normal(size=(n, outputs)), rng.random(n) + 1e-3
    line = weighted_ridge(masks, scores, weights)
    ridge = Ridge(alpha=1).fit(masks, scores, sample_weight=weights)
    np.testing.assert_allclose(line.coefficients.T, np.atleast_2d(ridge.coef_), atol=1e-8)
    np.testing.assert_allclose(line.intercepts, np.atleast_1d(ridge.intercept_), atol=1e-8)


def test_draws_depend_on_the_seed_and_start_with_the_whole_image():
    masks = draw_masks(50, 30, 4)
    assert masks[0].all()
    np.testing.assert_array_equal(masks, draw_masks(50, 30, 4))
    assert not np.array_equal(masks, draw_masks(50, 30, 5))
    assert np.all(np.diff(proximity(np.tri(10, dtype=bool))) > 0)


def test_a_constant_output_has_no_r2_and_says_so(make_inputs):
    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.full((len(x), 2), 0.5)

    raw = LIME.explain(Constant(), make_inputs(), 0, ExplainOptions(n_samples=50))
    assert raw.fidelity.local_r2 is None
    assert "never changed" in raw.fidelity.remarks[0]
    assert np.abs(raw.map).max() < 1e-9
    assert np.isnan(weighted_r2(np.ones((3, 1)), np.ones((3, 1)), np.ones(3))).all()


def test_a_surrogate_that_follows_poorly_says_so(make_inputs):
    class Chaotic(torch.nn.Module):
        def forward(self, x):
            return torch.sin(1e4 * x.sum(dim=(1, 2, 3)))[:, None].repeat(1, 2)

    raw = LIME.explain(Chaotic(), make_inputs(), 0, ExplainOptions(n_samples=200))
    assert raw.fidelity.local_r2 < 0.3
    assert "poorly" in raw.fidelity.remarks[0]


def test_mean_fill_hides_detail_and_baseline_fill_hides_colour(nets, make_inputs):
    """A net that sees mean colour only is blind to superpixels in their own mean colour."""
    model = nets.quadrant().eval()
    maps = {
        fill: LIME.explain(model, make_inputs(), 1, ExplainOptions(fill=fill, n_samples=200))
        for fill in ("mean", "baseline")
    }
    assert np.abs(maps["mean"].map).max() < 0.1 * np.abs(maps["baseline"].map).max()
    assert maps["mean"].parameters["fill"] == "mean"


def test_a_volume_is_explained():
    class Slab(torch.nn.Module):
        def forward(self, x):
            seen = x[:, 0, :, :, 12:].mean(dim=(1, 2, 3))
            return torch.stack([-seen, seen], dim=1)

    array = np.random.default_rng(0).random((1, 12, 12, 24)).astype(np.float32)
    inputs = ModelInput(array, resize_geometry((12, 12, 24), (12, 12, 24)))
    raw = LIME.explain(Slab(), inputs, 1, ExplainOptions(n_samples=300))
    assert raw.map.shape == (12, 12, 24)
    assert raw.map[..., 12:].clip(0).sum() > 0.8 * raw.map.clip(0).sum()


def test_impossible_requests_are_refused(make_inputs):
    model, inputs = Softmax().eval(), make_inputs()
    with pytest.raises(ExplanationError, match="at least 2 samples"):
        LIME.explain(model, inputs, 0, ExplainOptions(n_samples=1))
    with pytest.raises(ExplanationError, match="one label from 0"):
        fit_lime(model, inputs.array, inputs.array, grid_segments((4, 4), 4) - 2, replace(ExplainOptions()))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("shape", [(40, 56), (64, 64)])
def test_on_slic_superpixels_every_label_has_the_packages_coefficients(shape, seed):
    generator = np.random.default_rng(seed)
    coarse = generator.random((3, 5, 7)).repeat(shape[0] // 5, axis=1).repeat(shape[1] // 7, axis=2)
    image = (coarse + 0.05 * generator.random(coarse.shape)).astype(np.float32)
    segments, kind = superpixels(image)
    assert kind == "SLIC"
    options = ExplainOptions(seed=seed, n_samples=150)
    model = Softmax(seed=seed % 5).eval()
    ours = fit_lime(model, image, segment_means(image, segments), segments, options)
    theirs, _ = with_the_package(model, image, segments, options, None)
    np.testing.assert_allclose(ours.coefficients, theirs, atol=1e-5)


def test_a_fit_that_stopped_early_is_the_packages_of_as_many_samples():
    image = np.random.default_rng(3).random((3, 32, 40)).astype(np.float32)
    segments = grid_segments((32, 40), 12)
    model = Softmax().eval()
    options = ExplainOptions(seed=2, n_samples=3000, stop_when_stable=True)
    ours = fit_lime(model, image, np.zeros_like(image), segments, options)
    assert ours.n_samples < 3000
    theirs, _ = with_the_package(model, image, segments, replace(options, n_samples=ours.n_samples), 0.0)
    np.testing.assert_allclose(ours.coefficients, theirs, atol=1e-5)
