"""Grouped cross-validation inside ``train``: ``python -m plugins.lung_nodule.crossvalidate --help``.

One member per fold, trained on the other four with the recipe of the ensemble; soft and median labels
are compared on one fold. What is written to ``crossvalidation.json`` is what the model card states.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugins.lung_nodule.concepts import SCALES
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
    fit_platt,
    paired_log_loss,
)
from plugins.lung_nodule.data import CALIBRATION_FOLD, KEY_SLICES, N_FOLDS, NoduleTable, nodule_table
from plugins.lung_nodule.evidence import longest_diameter_mm, nodule_mask
from plugins.lung_nodule.grid import MIDDLE, SHAPE, scale_hu
from plugins.lung_nodule.losses import Recipe
from plugins.lung_nodule.model import NoduleNet
from plugins.lung_nodule.preprocess import preprocess
from plugins.lung_nodule.rows import read_row
from plugins.lung_nodule.train import PLUGIN_FOLDER, MemberJob, fit_alone
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.splits import grouped_folds
from whycad.engine import view_of
from whycad.manifest import View
from whycad.training.parallel import side_by_side
from whycad.types import FloatArray, JsonObject, Region, Study

VIEWS: tuple[View, ...] = ("identity", "flip_rows", "flip_columns", "flip_both")
STORED = "crossvalidation.json"
CHUNK = 32
LEAST_READERS = 3
SHIFT_MM = 3.0
N_SHIFTED = 200
# Soft and median labels are compared by two members without the calibration fold, on that fold.
COMPARED_EPOCHS, COMPARED_SEED, N_HALVES = 45, 1, 2


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What models that never saw a nodule's patient say of it.

    Attributes
    ----------
    logit : ndarray (n, views)
        Malignant less benign.
    expected : ndarray (n, descriptors)
        Mean rating, in the order of ``SCALES``.
    mask : ndarray of bool (n, 96, 96)
        The outline on the axial plane.
    """

    logit: NDArray[np.float64]
    expected: NDArray[np.float64]
    mask: NDArray[np.bool_]


def load_member(state: Path, recipe: Recipe) -> NoduleNet:
    """Return a trained member in eval mode."""
    model = NoduleNet(recipe.net)
    model.load_state_dict(torch.load(state, weights_only=True, map_location="cpu"))
    return model.eval()


def patches(pack: Pack, rows: NDArray[np.int64]) -> Iterator[FloatArray]:
    """Yield network inputs of rows ``(<= 32, 1, *SHAPE)``, made as they are when serving."""
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        yield np.stack([preprocess(*read_row(pack, int(row))).array for row in part])


@torch.inference_mode()
def logits_of(model: NoduleNet, batch: FloatArray) -> NDArray[np.float64]:
    """Return malignant less benign of every view, ``(n, views)``."""
    x = torch.from_numpy(batch)
    both = torch.stack([model(view_of(x, view)) for view in VIEWS], dim=1)
    return (both[..., 1] - both[..., 0]).numpy().astype(np.float64)


@torch.inference_mode()
def evidence_of(model: NoduleNet, batch: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return expected ratings ``(n, descriptors)`` and axial outlines ``(n, 96, 96)``."""
    found = model.forward_evidence(torch.from_numpy(batch))
    levels = [found[scale.name] @ torch.arange(1.0, len(scale.levels) + 1) for scale in SCALES]
    masks = np.stack([nodule_mask(mask)[MIDDLE] for mask in found["mask"].numpy()])
    return torch.stack(levels, dim=1).numpy().astype(np.float64), masks


def of_fold(data: Path, state: Path, recipe: Recipe, fold: int, table: NoduleTable) -> OutOfFold:
    """Run one fold's model on the fold; the rows of others are 0."""
    pack, n = read_pack(data / KEY_SLICES), len(table.label)
    rows = pack.rows("train")
    found = OutOfFold(
        np.zeros((n, len(VIEWS))), np.zeros((n, len(SCALES))), np.zeros((n, SHAPE[1], SHAPE[2]), np.bool_)
    )
    model, at = load_member(state, recipe), np.flatnonzero(table.fold == fold)
    for start, batch in zip(range(0, len(at), CHUNK), patches(pack, rows[at]), strict=True):
        part = at[start : start + CHUNK]
        found.logit[part] = logits_of(model, batch)
        found.expected[part], found.mask[part] = evidence_of(model, batch)
    return found


def select(found: OutOfFold, keep: NDArray[np.bool_]) -> OutOfFold:
    """Return the rows where ``keep`` is True."""
    return OutOfFold(found.logit[keep], found.expected[keep], found.mask[keep])


def out_of_fold(data: Path, states: list[Path], recipe: Recipe) -> OutOfFold:
    """Run each fold's model on the fold."""
    table = nodule_table(data)
    parts = [of_fold(data, state, recipe, fold, table) for fold, state in enumerate(states)]
    return OutOfFold(
        sum((part.logit for part in parts), np.zeros_like(parts[0].logit)),
        sum((part.expected for part in parts), np.zeros_like(parts[0].expected)),
        np.logical_or.reduce([part.mask for part in parts]),
    )


def labelled_probability(found: OutOfFold, table: NoduleTable) -> NDArray[np.float64]:
    """Return calibrated probabilities of all nodules ``(n,)``, each from the other folds' labelled ones."""
    logit, known = found.logit.mean(axis=1), table.label >= 0
    out = np.empty(len(logit))
    for fold in np.unique(table.fold):
        test, fitted = table.fold == fold, known & (table.fold != fold)
        slope, offset = fit_platt(logit[fitted], table.label[fitted] == 1)
        out[test] = 1 / (1 + np.exp(-(slope * logit[test] + offset)))
    return out


def label_figures(found: OutOfFold, table: NoduleTable) -> JsonObject:
    """Return calibration on labelled nodules, and the ambiguity of the indeterminate ones."""
    known = table.label >= 0
    logit, malignant = found.logit.mean(axis=1)[known], table.label[known] == 1
    probability = cross_fitted(logit, malignant, table.fold[known])
    ambiguity = entropy_of(labelled_probability(found, table))
    return {
        **calibration_figures(probability, malignant, table.patient[known]),
        "ambiguity": ambiguity_figures(ambiguity, table.label, table.patient),
    }


def size_figures(found: OutOfFold, table: NoduleTable) -> JsonObject:
    """Return the AUROC beside that of the diameter alone, overall and by band."""
    known = (table.label >= 0) & np.isfinite(table.diameter_mm)
    cases = Scored(
        found.logit.mean(axis=1)[known], table.diameter_mm[known], table.label[known] == 1, table.patient[known]
    )
    return {"overall": auc_figures(cases), "bands": band_figures(cases)}


def concept_figures(found: OutOfFold, table: NoduleTable) -> JsonObject:
    """Return the partial Spearman correlation of every descriptor given diameter."""
    rated = (table.n_readers >= LEAST_READERS) & np.isfinite(table.diameter_mm)
    out: JsonObject = {"n": int(rated.sum())}
    for column, scale in enumerate(SCALES):
        mean = np.asarray(table.ratings[scale.name] @ np.arange(1, len(scale.levels) + 1), np.float64)
        estimate = concept_figure(
            np.asarray(found.expected[rated, column], np.float64),
            mean[rated],
            np.asarray(table.diameter_mm[rated], np.float64),
            table.patient[rated],
        )
        out[scale.name] = estimate.as_json()
    return out


def outline_figures(found: OutOfFold, table: NoduleTable) -> JsonObject:
    """Return overlap with the readers' consensus and the error of the longest diameter."""
    dice, error = [], []
    for index in range(len(table.label)):
        truth = _consensus_plane(table, index)
        dice.append(dice_of(found.mask[index], truth))
        if found.mask[index].any() and truth.any():
            error.append(longest_diameter_mm(found.mask[index]) - longest_diameter_mm(truth))
    return {
        "dice_median": float(np.median(dice)),
        "dice_quartiles": [float(v) for v in np.percentile(dice, (25, 75))],
        "share_without_outline": float(np.mean(~found.mask.any(axis=(1, 2)))),
        "diameter_error_median_mm": float(np.median(error)),
        "diameter_absolute_error_median_mm": float(np.median(np.abs(error))),
    }


def _consensus_plane(table: NoduleTable, index: int) -> NDArray[np.bool_]:
    """Return the readers' consensus on the patch's axial plane."""
    spacing, seed = float(table.spacing_mm[index]), table.seed[index]
    # Air outside the outline, tissue inside: half way between them is its edge.
    painted = np.where(table.mask[index] > 0, np.float32(0), np.float32(-600))
    study = Study(painted, "CT", "", "HU", (spacing, spacing))
    plane = preprocess(study, Region((float(seed[0]), float(seed[1])))).array[0, MIDDLE]
    return np.asarray(plane > float(scale_hu(np.array(-300.0, np.float32))))


def shift_figures(data: Path, states: list[Path], recipe: Recipe, table: NoduleTable) -> JsonObject:
    """Return how far the probability moves when the seed does, by 3 mm in eight directions."""
    pack, generator = read_pack(data / KEY_SLICES), np.random.default_rng(0)
    rows = pack.rows("train")
    chosen = generator.choice(len(table.label), N_SHIFTED, replace=False)
    models = [load_member(state, recipe) for state in states]
    angles = np.arange(8) * np.pi / 4
    moves = []
    for index in chosen:
        study, region = read_row(pack, int(rows[index]))
        assert region is not None
        step = SHIFT_MM / float(table.spacing_mm[index])
        seeds = [
            region.start,
            *((region.start[0] + step * np.sin(a), region.start[1] + step * np.cos(a)) for a in angles),
        ]
        inside = [s for s in seeds if all(0 <= c <= n - 1 for c, n in zip(s, study.spatial_shape, strict=True))]
        batch = np.stack([preprocess(study, Region((float(s[0]), float(s[1])))).array for s in inside])
        p = 1 / (1 + np.exp(-logits_of(models[table.fold[index]], batch).mean(axis=1)))
        moves.append(np.abs(p[1:] - p[0]))
    every = np.concatenate(moves)
    return {"median": float(np.median(every)), "percentile_90": float(np.percentile(every, 90)), "n": len(chosen)}


def compare_labels(data: Path, out: Path, device: str, table: NoduleTable) -> JsonObject:
    """Train on soft and on median labels without the calibration fold and measure both on it."""
    recipes = {"soft": replace(Recipe(), epochs=COMPARED_EPOCHS)}
    recipes["median"] = replace(recipes["soft"], soft_labels=False)
    jobs = [MemberJob(data, out, CALIBRATION_FOLD, COMPARED_SEED, recipe, device) for recipe in recipes.values()]
    states = side_by_side(fit_alone, jobs, device)
    part = table.fold == CALIBRATION_FOLD
    inside = table.select(part)
    halves = grouped_folds(np.maximum(inside.label, 0), inside.patient, N_HALVES, seed=0)
    inside = replace(inside, fold=halves)
    known = inside.label >= 0
    figures: JsonObject = {"n": int(known.sum()), "epochs": COMPARED_EPOCHS}
    fitted = {}
    for (name, recipe), state in zip(recipes.items(), states, strict=True):
        found = select(of_fold(data, state, recipe, CALIBRATION_FOLD, table), part)
        figures[name] = label_figures(found, inside)
        fitted[name] = cross_fitted(found.logit.mean(axis=1)[known], inside.label[known] == 1, halves[known])
    figures["log_loss_soft_less_median"] = paired_log_loss(
        fitted["soft"], fitted["median"], inside.label[known] == 1, inside.patient[known]
    )
    return figures


def run(data: Path, out: Path, device: str = "cpu") -> JsonObject:
    """Train what is missing, measure, and return every figure."""
    table, recipe = nodule_table(data), Recipe()
    states = side_by_side(fit_alone, [MemberJob(data, out, k, 0, recipe, device) for k in range(N_FOLDS)], device)
    found = out_of_fold(data, states, recipe)
    return {
        "command": "python -m plugins.lung_nodule.crossvalidate",
        "dataset": "LIDC-IDRI, split train",
        "size": size_figures(found, table),
        "concepts": concept_figures(found, table),
        "ambiguity": label_figures(found, table),
        "labels": compare_labels(data, out, device, table),
        "outline": outline_figures(found, table),
        "seed_moved_3_mm": shift_figures(data, states, recipe, table),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of image packs")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="checkpoints; shared with training")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--install", action="store_true", help="put the figures into the plugin's folder")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(run(args.data, args.out, args.device), indent=1) + "\n"
    for folder in (args.out, PLUGIN_FOLDER) if args.install else (args.out,):
        (folder / STORED).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
