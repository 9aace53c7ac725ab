"""The same maps, measured by quantus: flipping pixels, mass and peak inside, similarity, parameter randomisation.

Quantus 0.6.0 asks numpy for ``trapz``, which numpy 2 calls ``trapezoid``.
"""

import itertools
import warnings

import numpy as np
import pytest
import torch

from whycad.explain import ExplainOptions, explain_on_model_grid
from whycad.explain.ensemble import EnsembleProbabilities
from whycad.explain.fidelity.agreement import rank_correlation, scaled, similarity_to_the_eye
from whycad.explain.fidelity.cells import Cells
from whycad.explain.fidelity.curves import CurveOptions, draw_curves, draw_references
from whycad.explain.fidelity.inside import inside
from whycad.testing.planted_maps import BLOB, LAYER, SIDE, PlantedNet, planted_case, planted_ensemble

N_STEPS = 16


@pytest.fixture(scope="module")
def quantus():
    patch = pytest.MonkeyPatch()
    patch.setattr(np, "trapz", np.trapezoid, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("quantus", reason="quantus is not installed: pip install quantus==0.6.0")
        yield found
    patch.undo()


@pytest.fixture(scope="module")
def maps():
    """Ten images and a smooth, signed map of each without two equal pixels."""
    cases = [planted_case(seed) for seed in range(10)]
    noise = np.random.default_rng(0).normal(0, 1e-4, (10, SIDE, SIDE))
    options = ExplainOptions(seed=0, gradcam_layer=LAYER)
    made = [explain_on_model_grid("gradcam", planted_ensemble(), case.inputs, BLOB, options).map for case in cases]
    return cases, (np.stack(made) + noise).astype(np.float32)


def metric(cls, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(disable_warnings=True, display_progressbar=False, **arguments)


def run(found, cases, maps, **arguments):
    return found(
        model=PlantedNet().eval(), x_batch=np.stack([case.inputs.array for case in cases]),
        y_batch=np.full(len(cases), BLOB), a_batch=maps[:, None], device="cpu", **arguments,
    )  # fmt: skip


def test_deletion_curves_are_those_of_pixel_flipping(quantus, maps):
    """With one cell per pixel, hidden pixels at the baseline, and equal steps."""
    cases, values = maps
    flipping = metric(
        quantus.PixelFlipping, features_in_step=SIDE * SIDE // N_STEPS, perturb_baseline=0.0, abs=False,
        normalise=False,
    )  # fmt: skip
    theirs = run(flipping, cases, values, softmax=True)
    options = ExplainOptions(seed=0)
    for case, one, their in zip(cases[:4], values, theirs, strict=False):
        cells = Cells.of(case.inputs, "baseline", n_cells=SIDE * SIDE)
        assert cells.n == SIDE * SIDE
        scorer = EnsembleProbabilities(planted_ensemble(), options, BLOB)
        fineness = CurveOptions(tuple(np.arange(1, N_STEPS) / N_STEPS), 1)
        references = draw_references(scorer, cells, options, fineness)
        ours = draw_curves(scorer, cells, [cells.sums(one)], references, options)[0].deletion
        np.testing.assert_allclose(ours, np.ravel(their)[: N_STEPS - 1], atol=1e-5)


def test_mass_and_peak_inside_are_those_of_attribution_localisation_and_pointing_game(quantus, maps):
    cases, values = maps
    masks = np.stack([case.blob for case in cases])[:, None]
    positive = np.clip(values, 0, None)
    localisation = metric(quantus.AttributionLocalisation, abs=False, normalise=False, positive_attributions=True)
    pointing = metric(quantus.PointingGame, abs=False, normalise=False)
    mass, peak = (run(found, cases, positive, s_batch=masks) for found in (localisation, pointing))
    whole = (slice(0, SIDE), slice(0, SIDE))
    ours = [inside(one, case.blob, whole) for one, case in zip(values, cases, strict=True)]
    np.testing.assert_allclose([found.mass for found in ours], np.ravel(mass), rtol=1e-5)
    assert [bool(found.peak) for found in ours] == [bool(hit) for hit in np.ravel(peak)]


def test_similarities_are_theirs(quantus, maps):
    _, values = maps
    for one, other in itertools.pairwise(values):
        theirs = quantus.similarity_func.correlation_spearman(one.ravel(), other.ravel())
        assert rank_correlation(one.ravel().astype(float), other.ravel().astype(float)) == pytest.approx(theirs)
        pair = [scaled(item) for item in (one, other)]
        assert similarity_to_the_eye(one, other) == pytest.approx(quantus.similarity_func.ssim(*pair), abs=0.02)


def test_both_randomise_the_same_layers_to_weights_of_the_same_spread(quantus):
    from quantus.helpers.model.pytorch_model import PyTorchModel

    from whycad.explain.fidelity.randomised import cascade, layers_with_weights

    net = PlantedNet().eval()
    wrapped = PyTorchModel(net)
    names = [name for name, _ in wrapped.get_random_layer_generator(order="top_down", seed=1)]
    own = {module: name for name, module in net.named_modules()}
    assert names == [own[layer] for layer in layers_with_weights(net)[::-1]]
    *_, (_, theirs) = wrapped.get_random_layer_generator(order="top_down", seed=1)
    ours = next(iter(cascade(net, (1.0,), 1)))
    torch.testing.assert_close(ours.filters.weight.std(), theirs.filters.weight.std(), rtol=0.1, atol=0)
