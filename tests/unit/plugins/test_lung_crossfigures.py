"""Cross-validation figures: what they should be where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from plugins.lung_nodule.crossfigures import (
    Scored,
    ambiguity_figures,
    auc_figures,
    band_figures,
    calibration_figures,
    concept_figure,
    cross_fitted,
    dice_of,
    entropy_of,
    paired_log_loss,
    partial_spearman,
)


def made(n=400, seed=0):
    """Nodules whose risk depends on size and on something the score also sees."""
    rng = np.random.default_rng(seed)
    size, other = rng.normal(size=n), rng.normal(size=n)
    malignant = rng.random(n) < 1 / (1 + np.exp(-(1.5 * size + 1.5 * other)))
    diameter = np.exp(2.2 + 0.5 * size)
    patient = np.array([f"p{i // 2}" for i in range(n)])
    return Scored(size + other, diameter, malignant, patient), size, other


def test_the_model_is_set_beside_the_diameter():
    cases, _, _ = made()
    found = auc_figures(cases)
    assert found["model"]["value"] > found["diameter"]["value"] > 0.6
    assert found["difference"]["value"] == pytest.approx(found["model"]["value"] - found["diameter"]["value"])
    low, high = found["difference"]["interval"]
    assert 0 < low < found["difference"]["value"] < high
    assert found["n_benign"] + found["n_malignant"] == 400


def test_a_band_that_cannot_carry_a_figure_is_not_established():
    cases, _, _ = made()
    bands = {band["from_mm"]: band for band in band_figures(cases)}
    assert bands[6.0]["established"]
    assert sum(band["n_benign"] + band["n_malignant"] for band in bands.values()) == 400
    few = Scored(*(getattr(cases, name)[:40] for name in Scored.__dataclass_fields__))
    assert not any(band["established"] for band in band_figures(few))


def test_partial_correlation_takes_size_out():
    _, size, other = made(2000)
    assert abs(partial_spearman(size + 0.01 * other, size, size)) < 0.2
    assert partial_spearman(size + other, 3 * size + other, size) > 0.9
    alone = partial_spearman(other, other + size, np.zeros(2000) + np.arange(2000) % 2)
    assert alone == pytest.approx(spearmanr(other, other + size)[0], abs=0.03)


def test_a_concept_has_an_interval_around_its_value():
    cases, _, other = made()
    rng = np.random.default_rng(1)
    estimate = concept_figure(other + rng.normal(size=400), other, cases.diameter_mm, cases.patient)
    assert estimate.interval is not None
    assert estimate.interval[0] < estimate.value < estimate.interval[1]
    assert 0.5 < estimate.value < 0.85


def test_cross_fitting_calibrates_a_stretched_logit():
    cases, size, other = made(2000)
    fold = (np.arange(2000) // 2) % 5
    honest = cross_fitted(5 * 1.5 * (size + other) - 3, cases.malignant, fold)
    found = calibration_figures(honest, cases.malignant, cases.patient)
    assert abs(found["ece_beyond_chance"]) < 0.02
    raw = 1 / (1 + np.exp(-(5 * 1.5 * (size + other) - 3)))
    assert calibration_figures(raw, cases.malignant, cases.patient)["ece_beyond_chance"] > 0.05
    worse = paired_log_loss(raw, honest, cases.malignant, cases.patient)
    assert worse["interval"][0] > 0


def test_ambiguity_is_compared_between_indeterminate_and_labelled():
    label = np.repeat([-1, 0, 1], 50)
    ambiguity = np.where(label < 0, 0.6, 0.2)
    found = ambiguity_figures(ambiguity, label, np.arange(150).astype(str))
    assert found["auroc"]["value"] == 1
    assert found["difference"]["value"] == pytest.approx(0.4)


def test_entropy_is_largest_at_a_half_and_zero_when_sure():
    assert entropy_of(np.array([0.5]))[0] == pytest.approx(np.log(2))
    assert entropy_of(np.array([0.0, 1.0])) == pytest.approx([0, 0], abs=1e-9)


def test_overlap_of_masks():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice_of(a, b) == 0
    a[:2], b[1:3] = True, True
    assert dice_of(a, b) == 0.5
    assert dice_of(a, a) == 1
