"""The disagreement map: what each member alone would have shown, and how far that differs."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.explain import METHODS, ExplainOptions, explain
from whycad.explain.base import ManyExplainer
from whycad.explain.members import disagreement, over_ensemble, over_members

OPTIONS = ExplainOptions(seed=3, gradcam_layer="conv", n_samples=60, noise_samples=6)
MANY = sorted(id_ for id_, method in METHODS.items() if isinstance(method, ManyExplainer))


def test_it_is_the_deviation_of_maps_of_one_peak():
    one, two = np.array([[2.0, 0.0, -1.0]], np.float32), np.array([[0.0, 3.0, 1.5]], np.float32)
    found = disagreement([one, two])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.5]])
    np.testing.assert_allclose(disagreement([one, 7 * one]), 0)
    np.testing.assert_allclose(disagreement([one, -one]), [[1.0, 0.0, 0.5]])
    np.testing.assert_allclose(disagreement([one, 0 * one]), [[0.5, 0.0, 0.25]])
    assert disagreement([one]) is None


def test_all_perturbation_methods_tell_members_apart():
    assert [id_ for id_, method in sorted(METHODS.items()) if method.scope == "ensemble"] == MANY


@pytest.mark.parametrize("method", sorted(METHODS))
def test_it_is_made_of_the_maps_that_members_give_alone(nets, make_inputs, method):
    """On the model's own grid: bringing a map to the source's rounds it."""
    members = [nets.smooth(seed=seed) for seed in range(3)]
    inputs = make_inputs((12, 18))
    joint = explain(method, nets.ensemble(*members), inputs, 1, "b", OPTIONS)
    alone = [explain(method, nets.ensemble(member), inputs, 1, "b", OPTIONS) for member in members]
    assert all(one.disagreement is None for one in alone)
    assert joint.disagreement.shape == joint.map.shape
    assert joint.disagreement.min() >= 0
    explainer = METHODS[method]
    if method in MANY:
        raw = over_ensemble(explainer, nets.ensemble(*members), inputs, 1, OPTIONS)
        maps = [over_ensemble(explainer, nets.ensemble(m), inputs, 1, OPTIONS).map for m in members]
    else:
        raw = over_members(explainer, nets.ensemble(*members).explain_members(), inputs, 1, OPTIONS)
        maps = [explainer.explain(m, inputs, 1, OPTIONS).map for m in members]
    np.testing.assert_allclose(raw.disagreement, disagreement(maps), atol=1e-5)
    np.testing.assert_allclose(raw.map, np.mean(maps, axis=0), atol=1e-6)


def test_members_that_are_the_same_do_not_disagree(nets, make_inputs):
    for method in METHODS:
        joint = explain(method, nets.ensemble(nets.smooth(), nets.smooth()), make_inputs((12, 18)), 1, "b", OPTIONS)
        assert joint.disagreement.max() < 1e-6


def test_members_cost_no_passes_of_their_own(nets, make_inputs):
    one, two = nets.ensemble(nets.smooth()), nets.ensemble(nets.smooth(), nets.smooth(seed=1))
    for ensemble in (one, two):
        explain("occlusion", ensemble, make_inputs(), 1, "b", OPTIONS)
    assert one.n_images == two.n_images > 0


def test_a_perturbation_method_of_one_target_only_gives_no_disagreement(nets, make_inputs):
    class Plain:
        id, name, signed, needs_layer, scope = "plain", "Plain", True, False, "ensemble"

        def explain(self, model, inputs, target, options):
            return METHODS["occlusion"].explain(model, inputs, target, options)

    ensemble = nets.ensemble(nets.smooth(), nets.smooth(seed=1))
    raw = over_ensemble(Plain(), ensemble, make_inputs(), 1, OPTIONS)
    assert raw.disagreement is None
    np.testing.assert_array_equal(raw.map, over_ensemble(METHODS["occlusion"], ensemble, make_inputs(), 1, OPTIONS).map)
