"""The oracle sees latents, the model does not; figures compare the two on the same cases."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plugins.liver_fibrosis.make_data import PackOrder, write_pack
from plugins.liver_fibrosis.oracle import (
    BOUNDARIES,
    against_oracle,
    kappa_of,
    latents_of_pack,
    main,
    measured_ratio,
    oracle_probabilities,
    simulated_latents,
)
from plugins.liver_fibrosis.simulator import STAGES
from whycad.audit.predictions import Predictions
from whycad.datasets.pack import read_pack
from whycad.errors import DatasetError


def predictions_of(probabilities, stages):
    n = len(stages)
    leading = probabilities.argmax(axis=1)
    return Predictions(
        codes=STAGES,
        row=np.arange(n),
        group=np.array([f"p{index}" for index in range(n)]),
        label=stages,
        predicted=leading,
        probabilities=probabilities,
        in_set=np.abs(np.arange(5)[None] - leading[:, None]) <= 1,
        decision=np.full(n, "report"),
        epistemic=np.zeros(n),
        aleatoric=np.zeros(n),
    )


@pytest.fixture(scope="module")
def known():
    return simulated_latents(100, 1)


def test_the_oracle_ranks_stages(known):
    tested = simulated_latents(60, 2)
    name, probabilities = oracle_probabilities(known, tested)
    assert name in ("logistic regression", "gradient boosting")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    found = against_oracle(predictions_of(probabilities, tested.stages), probabilities, n_draws=50)
    for point in BOUNDARIES:
        assert found["auroc"][point]["oracle"]["value"] > 0.85
        assert found["auroc"][point]["share"]["value"] == pytest.approx(1)
        assert found["auroc"][point]["share"]["interval"] == pytest.approx([1, 1])
    assert found["share_contiguous"] == 1


def test_a_guess_falls_short_of_the_oracle(known):
    probabilities = 0.9 * np.eye(5)[known.stages] + 0.02
    guess = np.random.default_rng(0).dirichlet(np.ones(5), len(known.stages))
    found = against_oracle(predictions_of(guess, known.stages), probabilities, n_draws=50)
    assert found["auroc"]["at_least_f2"]["share"]["value"] < 0.75
    assert abs(found["quadratic_weighted_kappa"]["value"]) < 0.3


def test_kappa_is_one_for_the_truth_and_weighs_distance():
    stages = np.arange(50) % 5
    once = np.ones((1, 50))
    assert kappa_of(stages, stages)(once)[0] == pytest.approx(1)
    near, far = np.clip(stages + 1, 0, 4), (stages + 3) % 5
    assert kappa_of(stages, near)(once)[0] > kappa_of(stages, far)(once)[0]


def test_the_ratio_in_the_image_follows_the_painted_one(tmp_path):
    write_pack(PackOrder(20, 1, ("B",)), tmp_path / "p.npz")
    pack = read_pack(tmp_path / "p.npz")
    latents = latents_of_pack(pack)
    painted = latents.values[:, latents.names.index("realised_liver_to_spleen")]
    assert np.corrcoef(measured_ratio(pack), painted)[0, 1] > 0.6


def test_packs_without_latents_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", images=np.zeros((2, 80, 80), np.uint8))
    with pytest.raises(DatasetError, match="no latents"):
        latents_of_pack(read_pack(tmp_path / "p.npz"))


def test_the_command_writes_figures(tmp_path, capsys):
    write_pack(PackOrder(10, 1, ("C",)), tmp_path / "p.npz")
    arguments = ["--test", str(tmp_path / "p.npz"), "--known", "40", "--out", str(tmp_path / "o.json")]
    assert main(arguments) == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert set(found["oracle_auroc"]) == set(BOUNDARIES)
    assert "simulated data" in found["data"]
    assert main(["--test", str(tmp_path / "none.npz"), "--known", "5", "--out", str(tmp_path / "o.json")]) == 1
    assert "not found" in capsys.readouterr().err
