"""How close the model comes to an oracle that sees the simulator's latent parameters.

``python -m plugins.liver_fibrosis.oracle --test val.npz --predictions val.csv --out oracle.json``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plugins.liver_fibrosis.evidence import core
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.simulator import STAGES
from plugins.liver_fibrosis.simulator_scanner import NAMED_SCANNERS
from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.measures import auroc_of, ece_of, expected_ece
from whycad.audit.predictions import Predictions, read_predictions
from whycad.datasets.pack import Pack, read_pack
from whycad.errors import DatasetError, WhyCadError
from whycad.files import write_whole
from whycad.types import JsonObject

FloatArray = NDArray[np.float64]
BOUNDARIES = {"at_least_f1": 1, "at_least_f2": 2, "at_least_f3": 3, "f4": 4}
N_ORACLE = 5000
N_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Latents:
    """Latent parameters ``(n, d)``, stages ``(n,)`` and the liver-to-spleen ratios ``(n,)`` of cases."""

    values: FloatArray
    names: tuple[str, ...]
    stages: NDArray[np.int64]


def latents_of_pack(pack: Pack) -> Latents:
    """Read the latents of a simulated pack.

    Raises
    ------
    DatasetError
        When the pack has none.
    """
    if "latents" not in pack.arrays or "latent_names" not in pack.arrays:
        raise DatasetError(f"pack {pack.path.name!r} holds no latents", remedy="make it with make_data")
    names = tuple(str(name) for name in pack.arrays["latent_names"])
    return Latents(pack.arrays["latents"].astype(np.float64), names, pack.arrays["y"].astype(np.int64))


def simulated_latents(n: int, seed: int) -> Latents:
    """Simulate cases for the oracle to learn from, on the scanners of training."""
    order = PackOrder(n, seed, NAMED_SCANNERS, stream="train")
    slices = [order.slice(index) for index in range(n)]
    values = np.array([list(item.latents.values()) for item in slices])
    return Latents(values, tuple(slices[0].latents), np.array([item.stage for item in slices]))


def oracle_probabilities(known: Latents, tested: Latents) -> tuple[str, FloatArray]:
    """Fit the better of two classifiers on known latents and return its probabilities ``(n, 5)``.

    Which is better is decided by cross-validated log loss on the known cases alone.
    """
    candidates = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=4000)),
        "gradient boosting": HistGradientBoostingClassifier(
            max_iter=150, learning_rate=0.05, max_leaf_nodes=8, random_state=0
        ),
    }
    losses = {
        name: log_loss(known.stages, cross_val_predict(model, known.values, known.stages, cv=5, method="predict_proba"))
        for name, model in candidates.items()
    }
    best = min(losses, key=lambda name: losses[name])
    fitted = candidates[best].fit(known.values, known.stages)
    return best, np.asarray(fitted.predict_proba(tested.values))


def measured_ratio(pack: Pack) -> FloatArray:
    """Return the liver-to-spleen ratio ``(n,)`` in the images, within the simulator's own outlines."""
    masks = {
        organ: np.unpackbits(pack.arrays[f"{organ}_mask_packed"].astype(np.uint8), axis=2).astype(bool)
        for organ in ("liver", "spleen")
    }
    images = pack.image_array.astype(np.float64)
    medians = {
        organ: np.array([np.median(image[core(mask)]) for image, mask in zip(images, inside, strict=True)])
        for organ, inside in masks.items()
    }
    return np.asarray(medians["liver"] / np.maximum(medians["spleen"], 1e-6))


def ratio_alone(pack: Pack) -> JsonObject:
    """Return the AUROC of three liver-to-spleen ratios alone: as drawn, as painted, as measured."""
    found = latents_of_pack(pack)
    ratios = {
        "drawn": found.values[:, found.names.index("liver_to_spleen")],
        "painted": found.values[:, found.names.index("realised_liver_to_spleen")],
        "measured in the image": measured_ratio(pack),
    }
    return {
        name: {point: _auroc(-ratio, found.stages >= stage) for point, stage in BOUNDARIES.items()}
        for name, ratio in ratios.items()
    }


def _auroc(scores: FloatArray, positive: NDArray[np.bool_]) -> float:
    return float(auroc_of(scores, positive)(np.ones((1, len(scores))))[0])


def kappa_of(stages: NDArray[np.int64], said: NDArray[np.int64]) -> Statistic:
    """Return the quadratic-weighted kappa of stages ``(n,)`` and answers ``(n,)``."""

    def statistic(weights: FloatArray) -> FloatArray:
        labels = np.arange(len(STAGES))
        return np.array(
            [cohen_kappa_score(stages, said, labels=labels, weights="quadratic", sample_weight=w) for w in weights]
        )

    return statistic


def _ratio_of(model: Statistic, oracle: Statistic) -> Statistic:
    def statistic(weights: FloatArray) -> FloatArray:
        return np.asarray(model(weights) / oracle(weights))

    return statistic


def against_oracle(predictions: Predictions, oracle: FloatArray, n_draws: int = N_DRAWS) -> JsonObject:
    """Compare predictions with the oracle's probabilities ``(n, 5)`` of the same rows."""
    stages = predictions.label
    statistics: dict[str, Statistic] = {"kappa": kappa_of(stages, predictions.predicted)}
    for point, stage in BOUNDARIES.items():
        positive = stages >= stage
        model = auroc_of(predictions.probabilities[:, stage:].sum(axis=1), positive)
        best = auroc_of(oracle[:, stage:].sum(axis=1), positive)
        statistics |= {f"{point} model": model, f"{point} oracle": best, f"{point} share": _ratio_of(model, best)}
    estimates = GroupBootstrap(predictions.group, n_draws).estimate(statistics)
    return {
        "quadratic_weighted_kappa": _json(estimates["kappa"]),
        "auroc": {
            point: {part: _json(estimates[f"{point} {part}"]) for part in ("model", "oracle", "share")}
            for point in BOUNDARIES
        },
        **_sets(predictions),
    }


def _json(estimate: Estimate) -> JsonObject:
    return {"value": estimate.value, "interval": list(estimate.interval) if estimate.interval else None}


def _sets(predictions: Predictions) -> JsonObject:
    """Return calibration error beyond chance, sizes, coverage and contiguity of the sets."""
    top = predictions.probabilities.max(axis=1)
    hit = predictions.probabilities.argmax(axis=1) == predictions.label
    inside = predictions.in_set
    runs = np.abs(np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1)
    covered = inside[np.arange(len(inside)), predictions.label]
    return {
        "ece_excess": float(ece_of(top, hit)(np.ones((1, len(top))))[0]) - expected_ece(top, n_draws=N_DRAWS),
        "mean_set_size": float(inside.sum(axis=1).mean()),
        "share_contiguous": float((runs == 2).mean()),
        "coverage": {code: float(covered[predictions.label == index].mean()) for index, code in enumerate(STAGES)},
        "share_rejected": float(np.mean(predictions.decision == "reject")),
    }


def measure(test: Path, predictions: Path | None, known: Latents) -> JsonObject:
    """Return everything that ``--out`` holds."""
    pack = read_pack(test)
    tested = latents_of_pack(pack)
    name, probabilities = oracle_probabilities(known, tested)
    scanners = ", ".join(sorted({str(scanner) for scanner in pack.arrays["scanner"]}))
    found: JsonObject = {
        "data": f"simulated data, {len(tested.stages)} slices, scanner {scanners}",
        "oracle": f"{name} on {len(known.names)} latent parameters of {len(known.stages)} simulated slices",
        "oracle_auroc": {
            point: _auroc(probabilities[:, stage:].sum(axis=1), tested.stages >= stage)
            for point, stage in BOUNDARIES.items()
        },
        "liver_to_spleen_alone": ratio_alone(pack),
    }
    if predictions is not None:
        table = read_predictions(predictions, STAGES)
        found["model"] = against_oracle(table, probabilities[table.row])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="oracle", description="Compare liver_fibrosis with an oracle on its latents.")
    parser.add_argument("--test", required=True, type=Path, metavar="PACK.npz")
    parser.add_argument("--predictions", type=Path, metavar="PREDICTIONS.csv", help="of the same pack")
    parser.add_argument("--known", type=int, default=N_ORACLE, help=f"slices it learns from (default {N_ORACLE})")
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.json")
    args = parser.parse_args(arguments)
    try:
        found = measure(args.test, args.predictions, simulated_latents(args.known, args.seed))
        write_whole(args.out, json.dumps(found, indent=1) + "\n")
    except WhyCadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"oracle AUROC: {found['oracle_auroc']}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
