"""The right form is found where there are cases enough to show it, and the simple one where not."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from whycad.datasets.splits import grouped_folds
from whycad.training.scaling_fit import (
    CANDIDATES,
    Candidate,
    ScalingData,
    _Affine,
    candidates_for,
    case_losses,
    choose_scaling,
    fit_scaling,
    grouped_standard_error,
)
from whycad.uncertainty.scaling import apply_scaling, softmax

EVEN = (1 / 3, 1 / 3, 1 / 3)


def made(n, distort, seed=0, k=3, members=2):
    """Cases whose true probabilities are known; the model reports distorted logs of them."""
    rng = np.random.default_rng(seed)
    truth = softmax(1.5 * rng.normal(size=(n, k)))
    labels = np.array([rng.choice(k, p=p) for p in truth])
    noise = 0.05 * rng.normal(size=(members, n, k))
    logs = np.log(softmax(distort(np.log(truth))[None] + noise))
    groups = np.arange(n).astype(str)
    folds = grouped_folds(labels, groups, 5)
    prior = np.full(k, 1 / k)
    return ScalingData(logs, logs[:, None], labels, groups, folds, tuple("abcdefg"[:k]), prior), truth


@pytest.mark.parametrize("form", ["temperature", "offset", "vector", "dirichlet"])
def test_the_gradient_is_that_of_the_loss(form):
    data, _ = made(60, lambda x: 2 * x)
    size = {"temperature": 1, "offset": 4, "vector": 7, "dirichlet": 13}[form]
    problem = _Affine(data.logs, data.labels, form, 3.0)
    start = 0.3 * np.random.default_rng(1).normal(size=size)
    assert check_grad(lambda p: problem(p)[0], lambda p: problem(p)[1], start) < 1e-5


def test_temperature_undoes_overconfidence():
    data, truth = made(1500, lambda x: 2.5 * x)
    scaling = fit_scaling(data, Candidate("temperature"))
    assert scaling.matrix[0][0] == pytest.approx(0.4, abs=0.05)
    np.testing.assert_allclose(apply_scaling(data.logs, scaling, EVEN).mean(axis=0), truth, atol=0.12)


@pytest.mark.parametrize(
    ("distort", "richer"),
    [
        (lambda x: 2 * x, {"temperature"}),
        (lambda x: x + np.array([2.0, 0.0, -2.0]), {"offset"}),
        (lambda x: x * np.array([3.0, 1.0, 0.4]), {"vector", "dirichlet"}),
        (lambda x: x @ np.array([[1.0, 0.9, 0.0], [0.0, 1.0, 0.9], [0.9, 0.0, 1.0]]), {"dirichlet"}),
    ],
)
def test_the_form_that_is_needed_is_chosen(distort, richer):
    data, _ = made(800, distort, seed=3)
    fitted = choose_scaling(data)
    assert fitted.scaling.form in richer
    assert set(fitted.scaling.trials) == {candidate.name for candidate in CANDIDATES}


def test_steps_need_many_cases():
    assert {c.form for c in candidates_for(499)} == {"temperature", "offset", "vector", "dirichlet"}
    assert candidates_for(500) == CANDIDATES


def test_isotonic_keeps_the_order_of_cases():
    data, _ = made(800, lambda x: 2 * x, k=2)
    scaling = fit_scaling(data, Candidate("isotonic"))
    mean = softmax(data.logs @ np.array(scaling.matrix).T).mean(axis=0)[:, 1]
    found = apply_scaling(np.log(np.stack([1 - mean, mean], axis=1)) / scaling.matrix[0][0], scaling, (0.5, 0.5))[:, 1]
    assert (np.diff(found[np.argsort(mean)]) >= -1e-12).all()
    assert len(np.unique(np.round(found, 9))) > 0.9 * len(np.unique(np.round(mean, 9)))


def test_few_cases_favour_one_parameter():
    chosen = [choose_scaling(made(60, lambda x: 2 * x, seed=seed)[0]).scaling.form for seed in range(2)]
    assert chosen == ["temperature"] * 2


def test_isotonic_wins_where_no_line_fits():
    def saturate(x):
        odds = x[:, 1] - x[:, 0]
        bent = np.where(odds > 0, 4 + odds, np.where(odds < -1, -4 + odds, 0.2 * odds))
        return np.stack([-bent / 2, bent / 2], axis=1)

    data, _ = made(2500, saturate, seed=5, k=2)
    fitted = choose_scaling(data, (Candidate("temperature"), Candidate("isotonic")))
    assert fitted.scaling.form == "isotonic"
    p = np.linspace(0.01, 0.99, 60)
    mapped = apply_scaling(np.log(np.stack([1 - p, p], axis=1)), fitted.scaling, (0.5, 0.5))
    assert (np.diff(mapped[:, 1]) >= -1e-12).all()
    np.testing.assert_allclose(mapped.sum(axis=1), 1)


def test_classes_that_a_line_separates_get_no_certainty():
    data, _ = made(200, lambda x: x, k=2)
    labels = data.logs[0].argmax(axis=1)
    sure = ScalingData(
        np.stack([data.logs[0]] * 2), data.passes, labels, data.groups, data.folds, data.codes, data.prior
    )
    p = apply_scaling(sure.logs, fit_scaling(sure, Candidate("temperature")), (0.5, 0.5))
    assert p.max() < 1 - 0.4 / 202


def test_cross_fitted_probabilities_know_nothing_of_their_own_group():
    """A group whose label is turned around changes the others' probabilities, not its own."""
    data, _ = made(300, lambda x: 2 * x)
    group = np.repeat(np.arange(150), 2).astype(str)
    folds = grouped_folds(data.labels, group, 5)
    base = ScalingData(data.logs, data.passes, data.labels, group, folds, data.codes, data.prior)
    turned_labels = np.where(folds == 0, (data.labels + 1) % 3, data.labels)
    turned = ScalingData(data.logs, data.passes, turned_labels, group, folds, data.codes, data.prior)
    only = (Candidate("offset", 1.0),)
    before, after = choose_scaling(base, only).members, choose_scaling(turned, only).members
    np.testing.assert_allclose(before[:, folds == 0], after[:, folds == 0])
    assert np.abs(before[:, folds != 0] - after[:, folds != 0]).max() > 0.01


def test_groups_widen_the_standard_error():
    values = np.repeat(np.random.default_rng(0).normal(size=50), 4)
    alone = grouped_standard_error(values, np.arange(200).astype(str))
    grouped = grouped_standard_error(values, np.repeat(np.arange(50), 4).astype(str))
    assert grouped == pytest.approx(2 * alone)


def test_log_loss_is_that_of_the_mean():
    members = np.array([[[0.5, 0.5]], [[0.9, 0.1]]])
    assert case_losses(members, np.array([0]))[0] == pytest.approx(-np.log(0.7))
