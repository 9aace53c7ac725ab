"""Linear surrogates: honest standard errors, intervals in words, and samples saved where the ranking is stable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from whycad.explain import METHODS, ExplainOptions
from whycad.explain.segment_masks import SegmentedImage
from whycad.explain.superpixels import grid_segments
from whycad.explain.surrogate import SurrogateFit, until_stable

BOTH = ("lime", "kernel_shap")
N_SEGMENTS = 16
CUT = SegmentedImage(np.ones((1, 8, 8), np.float32), np.zeros((1, 8, 8), np.float32), grid_segments((8, 8), N_SEGMENTS))


class Cells(nn.Module):
    """Sees sixteen cells; output 0 is nearly additive, output 1 is a product of sums, output 2 is constant.

    Products of three: KernelSHAP's pairs are exact for those of two.
    """

    def __init__(self, curved: float = 0.3) -> None:
        super().__init__()
        self.curved = curved

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = torch.nn.functional.avg_pool2d(x[:, 0], 2).flatten(1).double()
        weights = torch.linspace(-1, 2, N_SEGMENTS, dtype=torch.float64)
        line = cells @ weights
        triples = self.curved * (cells[:, :8] * cells[:, 8:] * cells[:, 4:12]).sum(dim=1)
        product = cells[:, :4].sum(dim=1) * cells[:, 4:10].sum(dim=1) * cells[:, 10:].sum(dim=1)
        return torch.stack([line + triples, product, 0 * line], dim=1)


def fitted(method: str, seed: int, n_samples: int = 160, *, curved: float = 0.3, early: bool = False) -> SurrogateFit:
    options = ExplainOptions(seed=seed, n_samples=n_samples, stop_when_stable=early)
    return METHODS[method].fit(Cells(curved).eval(), CUT, options)


@pytest.mark.parametrize("method", BOTH)
def test_standard_errors_are_the_deviation_over_seeds(method):
    fits = [fitted(method, seed) for seed in range(150)]
    coefficients = np.stack([fit.coefficients[:, :2] for fit in fits])
    told = np.sqrt(np.mean([fit.errors[:, :2] ** 2 for fit in fits], axis=0))
    ratio = told.mean(axis=0) / coefficients.std(axis=0).mean(axis=0)
    assert np.all((ratio > 0.85) & (ratio < 1.25))
    centre = coefficients.mean(axis=0)
    inside = [(low[:, :2] < centre) & (centre < high[:, :2]) for low, high in (fit.intervals() for fit in fits)]
    assert 0.92 < np.mean(inside) < 0.99


@pytest.mark.parametrize("method", BOTH)
def test_reliability_does_not_overstate_the_correlation_of_two_draws(method):
    fits = [fitted(method, seed, 120) for seed in range(80)]
    pairs = zip(fits[::2], fits[1::2], strict=True)
    measured = np.mean([np.corrcoef(a.coefficients[:, 1], b.coefficients[:, 1])[0, 1] for a, b in pairs])
    told = np.mean([fit.reliability()[1] for fit in fits])
    # Jackknifed residuals err on the safe side.
    assert measured - 0.2 < told < measured + 0.1
    assert np.isnan(fits[0].reliability()[2])


def test_exact_values_have_no_error_and_too_few_samples_no_end():
    cut = SegmentedImage(CUT.image, CUT.hidden, grid_segments((8, 8), 4))
    exact = METHODS["kernel_shap"].fit(Cells().eval(), cut, ExplainOptions(n_samples=64))
    assert exact.parameters["coalitions"] == "all"
    assert np.all(exact.errors == 0)
    assert np.isinf(fitted("kernel_shap", 0, 20).errors).all()
    assert "strongest" not in fitted("kernel_shap", 0, 20).summary(0)


@pytest.mark.parametrize("method", BOTH)
def test_the_summary_names_the_strongest_superpixel_and_how_many_are_clear_of_zero(method):
    words = fitted(method, 3, 400, curved=0.0).summary(0)
    assert str(words["strongest"]).startswith("+" if method == "kernel_shap" else "+1.")
    assert int(str(words["clear_of_zero"]).split()[0]) >= 14
    assert float(words["ranking_reliability"]) > 0.95


@pytest.mark.parametrize("method", BOTH)
def test_a_stable_ranking_ends_the_draws_and_is_that_of_all_of_them(method):
    early, whole = fitted(method, 5, 800, early=True), fitted(method, 6, 800)
    assert 48 <= early.n_samples < 400
    assert early.n_evaluated <= early.n_samples
    assert spearmanr(early.coefficients[:, 0], whole.coefficients[:, 0]).statistic > 0.85


@pytest.mark.parametrize("method", BOTH)
def test_what_stopped_early_is_what_as_many_samples_give(method):
    early = fitted(method, 5, 800, early=True)
    again = fitted(method, 5, early.n_samples)
    np.testing.assert_allclose(early.coefficients, again.coefficients, atol=1e-12)
    np.testing.assert_allclose(early.errors, again.errors, atol=1e-12)


@pytest.mark.parametrize("method", BOTH)
def test_a_ranking_that_never_settles_takes_all_samples(method):
    class Noise(nn.Module):
        def forward(self, x):
            return torch.sin(1e4 * (x.flatten(1) @ torch.linspace(0, 1, 64)))[:, None].double()

    options = ExplainOptions(n_samples=200, stop_when_stable=True)
    assert METHODS[method].fit(Noise(), CUT, options).n_samples == 200


def test_stopping_early_saves_passes_and_the_reader_is_told_how_many_were_used(make_inputs):
    seen, told = [], []
    model = Bright()
    model.register_forward_pre_hook(lambda _m, args: seen.append(len(args[0])))
    options = ExplainOptions(n_samples=2000, stop_when_stable=True, progress=told.append)
    raw = METHODS["lime"].explain(model, make_inputs(), 0, options)
    assert sum(seen) == raw.fidelity.n_samples == raw.parameters["evaluated"] < 1000
    assert raw.parameters["samples"] < 1000
    assert raw.parameters["most_samples"] == 2000
    whole = METHODS["lime"].explain(model, make_inputs(), 0, ExplainOptions(n_samples=40))
    assert "most_samples" not in whole.parameters
    assert told == sorted(told)
    assert told[-1] == 1.0


class Bright(nn.Module):
    """Brightness, weighed from left to right."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean(dim=(1, 2)) @ torch.linspace(0, 1, x.shape[-1]))[:, None]


def test_without_the_wish_nothing_is_checked():
    asked = []

    def first(n: int) -> str:
        asked.append(n)
        return "fit"

    assert until_stable(first, 500, 10, 0, early=False) == "fit"
    assert asked == [500]
