"""No lesion is on two sides of a split."""

import numpy as np
import pytest

from plugins.skin_lesion.data import (
    CALIBRATION_FOLD,
    FOLD_SEED,
    LABELS,
    N_FOLDS,
    isic_training_rows,
    training_labels,
)
from plugins.skin_lesion.train import calibration_cases, sampling_prior, sampling_weights
from whycad.datasets.pack import read_pack
from whycad.datasets.splits import grouped_folds
from whycad.manifest import load_manifest

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def ham(data_dir):
    return read_pack(data_dir / "skin" / "ham10000.npz")


@pytest.fixture(scope="module")
def calibration(data_dir):
    return calibration_cases(data_dir)


def test_calibration_lesions_are_not_trained_on(calibration):
    pack, rows = calibration
    train = pack.rows("train")
    trained = np.setdiff1d(train, rows)
    groups = pack.arrays["group_id"]
    assert len(rows) == 998
    assert not set(groups[rows]) & set(groups[trained])


def test_calibration_lesions_are_not_tested_on(calibration):
    pack, rows = calibration
    groups = pack.arrays["group_id"]
    assert set(rows) <= set(pack.rows("train"))
    assert not set(groups[rows]) & set(groups[pack.rows("val")])


def test_every_class_has_calibration_cases(calibration):
    pack, rows = calibration
    assert np.bincount(pack.arrays["y"][rows], minlength=7).min() >= 10


def test_near_duplicates_of_external_validation_are_not_trained_on(data_dir):
    pack = read_pack(data_dir / "skin" / "isic2017.npz")
    rows = isic_training_rows(pack)
    groups = pack.arrays["group_id"]
    assert not set(groups[rows]) & set(groups[pack.rows("val")])
    assert len(rows) < len(pack.rows("train"))


def test_labels_of_the_packs_are_those_of_the_manifest(ham, repo):
    manifest = load_manifest(repo / "plugins" / "skin_lesion")
    assert manifest.label_codes == LABELS == tuple(str(n) for n in ham.arrays["class_names"])


def test_the_sampling_prior_is_what_training_draws(data_dir):
    labels = training_labels(data_dir)
    prior = sampling_prior(data_dir)
    weights = sampling_weights(labels, 0.7)
    drawn = np.random.default_rng(0).choice(labels, 200_000, p=weights / weights.sum())
    np.testing.assert_allclose(np.bincount(drawn) / 200_000, prior, atol=0.005)


def test_folds_are_the_same_each_time(ham):
    rows = ham.rows("train")
    args = (ham.arrays["y"][rows], ham.arrays["group_id"][rows], N_FOLDS)
    first, second = (grouped_folds(*args, seed=FOLD_SEED) for _ in range(2))
    assert np.array_equal(first, second)
    assert CALIBRATION_FOLD in first
