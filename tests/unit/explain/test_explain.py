"""Every method: right place, right sign, same again, and nothing left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from whycad.errors import ExplanationError, JobCancelledError, PredictionError
from whycad.explain import METHODS, ExplainOptions, explain
from whycad.wording import METHOD_NAMES

OPTIONS = ExplainOptions(seed=3, gradcam_layer="features", n_samples=300, noise_samples=8)
GRADIENT = ["gradcam", "gradcam_pp", "gradient_shap", "ig", "input_x_gradient", "smoothgrad"]
PERTURBATION = ["kernel_shap", "lime", "occlusion", "rise"]
RANDOM = ["gradient_shap", "kernel_shap", "lime", "rise"]
ALL = sorted(GRADIENT + PERTURBATION)
CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def positive_share(values: np.ndarray, corner: tuple[int, int]) -> float:
    h, w = values.shape[0] // 2, values.shape[1] // 2
    rows = slice(0, h) if corner[0] == 0 else slice(h, None)
    columns = slice(0, w) if corner[1] == 0 else slice(w, None)
    positive = np.clip(values, 0, None)
    return float(positive[rows, columns].sum() / positive.sum())


def test_the_methods_are_found_with_their_modules():
    assert set(METHODS) >= set(ALL)
    assert {id_: METHODS[id_].name for id_ in ALL} == METHOD_NAMES
    with pytest.raises(TypeError):
        METHODS["gradcam"] = None


@pytest.mark.parametrize(
    ("method", "share"),
    [
        ("ig", 0.95),
        ("gradient_shap", 0.95),
        ("input_x_gradient", 0.95),
        ("smoothgrad", 0.95),
        ("occlusion", 0.85),
        ("lime", 0.75),
        ("kernel_shap", 0.75),
        ("rise", 0.6),
    ],
)
@pytest.mark.parametrize("corner", CORNERS)
def test_the_mass_lies_where_the_model_looks(nets, make_inputs, method, share, corner):
    """Windows and superpixels straddle the border. Grad-CAM weighs channels, not places: see below."""
    result = explain(method, nets.ensemble(nets.quadrant(corner)), make_inputs(), 1, "mel", OPTIONS)
    assert result.map.shape == (64, 96)
    assert result.map.dtype == np.float32
    assert positive_share(result.map, corner) > share
    opposite = (1 - corner[0], 1 - corner[1])
    assert positive_share(result.map, opposite) < 0.05


@pytest.mark.parametrize("method", ["gradcam", "gradcam_pp"])
@pytest.mark.parametrize("corner", CORNERS)
def test_gradcam_lies_over_the_bright_spot(nets, make_inputs, method, corner):
    inputs = make_inputs()
    array = inputs.array * 0.01
    rows = slice(2, 8) if corner[0] == 0 else slice(22, 28)
    columns = slice(4, 12) if corner[1] == 0 else slice(36, 44)
    array[:, rows, columns] = 1.0
    result = explain(method, nets.ensemble(nets.quadrant(corner)), replace(inputs, array=array), 1, "mel", OPTIONS)
    assert not result.signed
    assert result.map.min() >= 0
    peak = np.array(np.unravel_index(int(result.map.argmax()), result.map.shape)) / 2
    assert rows.start <= peak[0] < rows.stop
    assert columns.start <= peak[1] < columns.stop
    assert positive_share(result.map, corner) > 0.8


@pytest.mark.parametrize("method", sorted({*ALL} - {"gradcam", "gradcam_pp", "smoothgrad"}))
def test_a_label_that_brightness_speaks_against_has_a_negative_map(nets, make_inputs, method):
    result = explain(method, nets.ensemble(nets.quadrant((1, 0))), make_inputs(), 2, "nv", OPTIONS)
    assert result.signed
    assert result.map[40:, :40].mean() < 0
    assert positive_share(-result.map, (1, 0)) > 0.6


@pytest.mark.parametrize("method", ALL)
def test_the_map_is_zero_outside_the_field_of_view(nets, make_inputs, method):
    inputs = make_inputs(box=(0, 48, 32, 96))
    result = explain(method, nets.ensemble(nets.quadrant()), inputs, 1, "mel", OPTIONS)
    assert np.abs(result.map[:, :48]).max() == 0
    assert np.abs(result.map[32:]).max() == 0
    assert np.abs(result.map[:32, 48:]).max() > 0


@pytest.mark.parametrize("method", ALL)
def test_the_same_seed_gives_the_same_map_and_records_itself(nets, make_inputs, method):
    ensemble = nets.ensemble(nets.quadrant(), nets.quadrant(scale=2.0))
    first, second = (explain(method, ensemble, make_inputs(), 1, "mel", OPTIONS) for _ in range(2))
    np.testing.assert_array_equal(first.map, second.map)
    assert (first.method, first.target, first.seed) == (method, "mel", 3)
    assert "explains" in first.parameters
    assert first.parameters == second.parameters


@pytest.mark.parametrize("method", RANDOM)
def test_another_seed_gives_another_map(nets, make_inputs, method):
    maps = [
        explain(method, nets.ensemble(nets.quadrant()), make_inputs(), 1, "mel", replace(OPTIONS, seed=s)).map
        for s in (0, 1)
    ]
    assert not np.array_equal(*maps)


def test_gradient_maps_are_the_mean_over_members(nets, make_inputs):
    one, two = nets.quadrant(scale=1.0), nets.quadrant(scale=3.0)
    maps = [
        explain("ig", nets.ensemble(*m), make_inputs(), 1, "mel", OPTIONS).map for m in ((one,), (two,), (one, two))
    ]
    np.testing.assert_allclose(maps[2], (maps[0] + maps[1]) / 2, atol=1e-6)


def test_perturbation_methods_explain_the_probability_that_they_are_given(nets, make_inputs):
    """A calibrated probability that is twice another gives twice the map."""
    ensemble = nets.ensemble(nets.quadrant(), nets.quadrant(scale=2.0))

    seen: set[tuple[int, int]] = set()

    def halved(logits):
        seen.add(tuple(logits.shape[:2]))
        return logits.softmax(-1).mean(dim=(0, 1)).numpy() / 2

    for method in PERTURBATION:
        plain = explain(method, ensemble, make_inputs(), 1, "mel", OPTIONS)
        half = explain(method, ensemble, make_inputs(), 1, "mel", replace(OPTIONS, probabilities=halved))
        np.testing.assert_allclose(half.map, plain.map / 2, atol=1e-6)
        assert str(plain.parameters["explains"]).startswith("uncalibrated")
        assert str(half.parameters["explains"]).startswith("calibrated")
    assert seen == {(2, 1), (1, 1)}


def snapshot(model: torch.nn.Module) -> list[object]:
    state: list[object] = []
    for module in model.modules():
        state += [module.training, len(module._forward_hooks), len(module._forward_pre_hooks)]
        state += [len(module._backward_hooks), len(module._backward_pre_hooks)]
    return state + [(p.requires_grad, p.grad is None) for p in model.parameters()]


@pytest.mark.parametrize("method", GRADIENT)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was_even_after_a_failure(nets, make_inputs, method, fails, monkeypatch):
    model = nets.quadrant().train()
    model.features.requires_grad_(False)
    model.features.weight.grad = torch.ones_like(model.features.weight)
    before = snapshot(model)
    if fails:

        def broken(x):
            model.features.register_forward_hook(lambda *_: None)
            raise RuntimeError("broken inside the dropout")

        monkeypatch.setattr(model.dropout, "forward", broken)
        with pytest.raises((ExplanationError, RuntimeError)):
            METHODS[method].explain(model, make_inputs(), 1, OPTIONS)
    else:
        METHODS[method].explain(model, make_inputs(), 1, OPTIONS)
    assert snapshot(model) == before


def test_a_train_mode_model_is_explained_in_eval_mode(nets, make_inputs):
    """In train mode the dropout would make two maps differ."""
    model = nets.quadrant().train()
    first, second = (METHODS["ig"].explain(model, make_inputs(), 1, OPTIONS).map for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_eight_threads_get_the_maps_of_one(nets, make_inputs):
    ensemble = nets.ensemble(nets.quadrant(), nets.quadrant((1, 1), scale=2.0))
    options = replace(OPTIONS, n_samples=40, ig_steps=8)
    tasks = [(method, seed) for seed in range(6) for method in ALL]
    alone = [explain(m, ensemble, make_inputs(seed=s), 1, "mel", options).map for m, s in tasks]
    gate = threading.Barrier(8)

    def work(index: int) -> np.ndarray:
        if index < 8:
            gate.wait(timeout=30)
        method, seed = tasks[index]
        return explain(method, ensemble, make_inputs(seed=seed), 1, "mel", options).map

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(len(tasks))))
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_allclose(many, one, atol=1e-6)
    assert all(not module._forward_hooks for member in ensemble.members for module in member.modules())


@pytest.mark.parametrize("method", ALL)
def test_progress_rises_to_one(nets, make_inputs, method):
    seen: list[float] = []
    options = replace(OPTIONS, progress=seen.append, batch_size=16)
    explain(method, nets.ensemble(nets.quadrant(), nets.quadrant()), make_inputs(), 1, "mel", options)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert all(0 <= fraction <= 1 for fraction in seen)


@pytest.mark.parametrize("method", ALL)
def test_cancelling_stops_within_a_pass(nets, make_inputs, method):
    ensemble = nets.ensemble(nets.quadrant(), nets.quadrant())
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(JobCancelledError):
        explain(method, ensemble, make_inputs(), 1, "mel", replace(OPTIONS, cancelled=cancelled, batch_size=8))
    assert ensemble.n_images <= 16


def test_an_unknown_method_is_named(nets, make_inputs):
    with pytest.raises(ExplanationError, match=r"'guided'.*gradcam, .*ig"):
        explain("guided", nets.ensemble(nets.quadrant()), make_inputs(), 1, "mel")


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("target", [-1, 3])
def test_a_target_that_is_not_there_is_refused(nets, make_inputs, method, target):
    with pytest.raises(ExplanationError, match="no target"):
        explain(method, nets.ensemble(nets.quadrant()), make_inputs(), target, "x", OPTIONS)


@pytest.mark.parametrize("method", ALL)
def test_inputs_that_are_not_finite_are_refused(nets, make_inputs, method):
    inputs = make_inputs()
    inputs.array[0, 0, 0] = np.nan
    with pytest.raises(ExplanationError, match="NaN or infinite"):
        explain(method, nets.ensemble(nets.quadrant()), inputs, 1, "mel", OPTIONS)
    with pytest.raises(ExplanationError, match="baseline does not broadcast"):
        explain(method, nets.ensemble(nets.quadrant()), replace(make_inputs(), baseline=np.zeros(7)), 1, "m", OPTIONS)


def test_a_model_that_returns_nan_only_for_perturbed_images_is_an_error(nets, make_inputs):
    class Nan(nets.quadrant):
        def forward(self, x):
            return torch.where((x == 0).any(), torch.nan, 1.0) * super().forward(x)

    for method in PERTURBATION:
        with pytest.raises(PredictionError, match="perturbed"):
            explain(method, nets.ensemble(Nan()), make_inputs(), 1, "mel", OPTIONS)


@pytest.mark.parametrize("method", ["gradcam", "gradcam_pp"])
@pytest.mark.parametrize("layer", ["", "nowhere", "features.7"])
def test_a_layer_that_is_not_there_is_named(nets, make_inputs, method, layer):
    with pytest.raises(ExplanationError, match="no layer"):
        explain(method, nets.ensemble(nets.quadrant()), make_inputs(), 1, "mel", replace(OPTIONS, gradcam_layer=layer))


def test_a_layer_without_places_is_refused(nets, make_inputs):
    ensemble = nets.ensemble(nets.linear((3, 32, 48)))
    for method in ("gradcam", "gradcam_pp"):
        with pytest.raises(ExplanationError, match="not an image of features"):
            explain(method, ensemble, make_inputs(), 1, "mel", replace(OPTIONS, gradcam_layer="head"))


def test_a_model_that_cannot_be_differentiated_is_an_error(nets, make_inputs):
    class Detached(nets.quadrant):
        def forward(self, x):
            return super().forward(x).detach()

    for method in GRADIENT:
        with pytest.raises(ExplanationError, match="cannot differentiate"):
            explain(method, nets.ensemble(Detached()), make_inputs(), 1, "mel", OPTIONS)
