"""The gate's figures count refused images as the strangest, and pairs fairly."""

import numpy as np
import pytest

from whycad.audit.ood_detection import GateScores, detect, missed_rate


def scores(values, decision="report"):
    values = np.asarray(values, float)
    decisions = np.where(np.isinf(values), "reject", decision)
    return GateScores(values, decisions, np.arange(len(values)).astype(str))


def test_what_the_input_gate_refuses_is_strangest_of_all():
    own = scores(np.random.default_rng(0).normal(size=100))
    found = detect("colour", own, scores(np.full(30, np.inf)), n_draws=50)
    assert found.auroc.value == 1
    assert found.refused.value == 1
    assert found.n == 30


def test_equal_scores_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    found = detect("same", scores(rng.normal(size=300)), scores(rng.normal(size=300), "refer"), n_draws=100)
    assert found.auroc.value == pytest.approx(0.5, abs=0.06)
    assert found.auroc.interval[0] < 0.5 < found.auroc.interval[1]
    assert found.refused.value == 0
    assert found.not_reported.value == 1


def test_an_own_image_that_was_refused_counts_against_the_gate():
    own = scores([np.inf, 0.0])
    assert detect("x", own, scores([1.0]), n_draws=10).auroc.value == 0.5


def test_patients_with_many_images_do_not_drown_the_others():
    missed = np.r_[np.ones(90, bool), np.zeros(10, bool)]
    groups = np.r_[np.full(90, "p0"), np.arange(1, 11).astype(str)]
    found = missed_rate("unseen", missed, groups, n_draws=100)
    assert found.missed.value == pytest.approx(0.9)
    assert found.by_patient.value == pytest.approx(1 / 11)
    assert found.n_groups == 11
