"""The plain score stays unless another one's sets are surely smaller and keep their promise."""

import numpy as np
import pytest

from whycad.datasets.splits import grouped_folds
from whycad.training.conformal_fit import ScoreData, choose_score, cross_fitted_p, scores_by_class
from whycad.types import TaskKind
from whycad.uncertainty.calibration_parts import ScoreRule


def made(n, kind, spread, seed=0):
    """Stages 0..4 along a line, seen with noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, n)
    x = y + spread * rng.normal(size=n)
    likelihood = np.exp(-0.5 * ((x[:, None] - np.arange(5)) / spread) ** 2)
    groups = np.arange(n).astype(str)
    p = likelihood / likelihood.sum(axis=1, keepdims=True)
    return ScoreData(p, y, groups, grouped_folds(y, groups, 5), tuple("abcde"), kind)


def test_the_plain_score_is_kept_where_nothing_beats_it():
    rule = choose_score(made(600, TaskKind.MULTICLASS, 0.7))
    assert rule.form == "plain"
    assert {"plain", "aps"} <= set(rule.trials)
    assert all(trial.macro_coverage >= 0.87 for trial in rule.trials.values())


def test_stages_have_a_score_of_their_own():
    rule = choose_score(made(400, TaskKind.ORDINAL, 0.7))
    assert "ordinal_aps" in rule.trials
    chosen = rule.trials[rule.form]
    assert chosen.mean_set_size <= min(trial.mean_set_size for trial in rule.trials.values()) + 0.1


def test_another_score_wins_where_probabilities_mislead():
    """Half of the cases say 0.34 for a right label, half 0.02, others in equal shares: ranks tell more."""
    rng = np.random.default_rng(0)
    n, k = 1500, 10
    y = rng.integers(0, k, n)
    p = np.full((n, k), 0.0)
    sharp = rng.random(n) < 0.5
    p[sharp] = 0.001
    p[sharp, y[sharp]] = 0.5
    p[~sharp] = rng.dirichlet(np.ones(k) * 50, size=(~sharp).sum())
    best = p[~sharp].argmax(axis=1)
    own = y[~sharp]
    rows = np.flatnonzero(~sharp)
    p[rows, best], p[rows, own] = p[rows, own], p[rows, best].copy()
    p /= p.sum(axis=1, keepdims=True)
    groups = np.arange(n).astype(str)
    rule = choose_score(ScoreData(p, y, groups, grouped_folds(y, groups, 5), tuple("abcdefghij"), TaskKind.MULTICLASS))
    assert rule.trials["aps"].mean_set_size != rule.trials["plain"].mean_set_size
    assert rule.trials[rule.form if rule.form != "raps" else _raps(rule)].mean_set_size == pytest.approx(
        min(t.mean_set_size for t in rule.trials.values() if t.macro_coverage >= 0.89), abs=0.2
    )


def _raps(rule):
    return f"raps {rule.penalty:g} from rank {rule.free_ranks + 1}"


def test_cross_fitted_sets_cover_each_class_as_promised():
    data = made(3000, TaskKind.MULTICLASS, 1.0, seed=2)
    for rule in (ScoreRule(), ScoreRule(form="aps")):
        p = cross_fitted_p(data, rule)
        for label in range(5):
            mine = data.labels == label
            assert np.mean(p[mine, label] > 0.1) == pytest.approx(0.9, abs=0.04)


def test_scores_are_kept_by_class_in_order():
    scores = np.array([[0.3, 0.9], [0.1, 0.8], [0.5, 0.2]])
    assert scores_by_class(scores, np.array([0, 0, 1]), ("a", "b")) == {"a": (0.1, 0.3), "b": (0.2,)}


def test_with_strata_every_stratum_is_covered_by_itself():
    rng = np.random.default_rng(0)
    n = 4000
    y, strata = np.arange(n) % 2, np.where(rng.random(n) < 0.3, "hard", "easy")
    scores = rng.random((n, 2)) + np.where(strata == "hard", 0.5, 0.0)[:, None]
    for given, covered in ((strata, 0.9), (None, 2 / 3)):
        ordered = scores_by_class(scores[::2], y[::2] * 0, ("a", "b"), None if given is None else given[::2])["a"]
        threshold = np.quantile(ordered, 0.9)
        hard = scores[1::2, 0][strata[1::2] == "hard"] <= threshold
        assert abs(hard.mean() - covered) < 0.04
        assert (np.diff(ordered) >= 0).all()


def test_one_stratum_alone_changes_nothing():
    scores = np.random.default_rng(1).random((40, 2))
    y = np.arange(40) % 2
    assert scores_by_class(scores, y, ("a", "b"), np.full(40, "s")) == scores_by_class(scores, y, ("a", "b"))
