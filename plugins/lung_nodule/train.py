"""Training of the nodule ensemble; ``whycad train --task lung_nodule`` calls ``train``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugins.lung_nodule.data import (
    CALIBRATION_FOLD,
    KEY_SLICES,
    LABELS,
    N_FOLDS,
    NoduleTable,
    SliceTable,
    nodule_table,
    slice_table,
)
from plugins.lung_nodule.losses import NoduleLoss, Recipe
from plugins.lung_nodule.model import NoduleNet
from plugins.lung_nodule.rows import read_row
from whycad.datasets.pack import read_pack
from whycad.inference import load_members
from whycad.plugin import load_plugin
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.fit import FitConfig, fit
from whycad.training.package import install_plugin, stage_plugin
from whycad.training.parallel import side_by_side
from whycad.training.request import TrainRequest
from whycad.uncertainty.calibration import CalibrationSource

PLUGIN_FOLDER = Path(__file__).parent
# Of each member; the first was trained longest.
EPOCHS = (90, 45, 45, 45, 45)
EMA_DECAY = 0.998


def without_fold(tables: tuple[NoduleTable, SliceTable], held_out: int) -> tuple[NoduleTable, SliceTable]:
    """Return both tables without the patients of one fold."""
    table, slices = tables
    keep = table.fold != held_out
    place, kept = np.cumsum(keep) - 1, keep[slices.owner]
    return table.select(keep), SliceTable(slices.hu[kept], slices.mask[kept], place[slices.owner[kept]])


@dataclass(frozen=True)
class MemberJob:
    """One member to be trained on all folds but one; ``out`` holds the folders of all members."""

    data: Path
    out: Path
    fold: int
    seed: int
    recipe: Recipe
    device: str = "cpu"

    @property
    def folder(self) -> Path:
        """Where its checkpoints are kept."""
        return self.out / f"{'soft' if self.recipe.soft_labels else 'median'}-fold{self.fold}-seed{self.seed}"


def fit_member(job: MemberJob, tables: tuple[NoduleTable, SliceTable]) -> Path:
    """Train one member, resuming in its folder; returns its state dict."""
    table, slices = without_fold(tables, job.fold)
    recipe, device = job.recipe, torch.device(job.device)
    config = FitConfig(
        cycles=(recipe.epochs,),
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        ema_decay=EMA_DECAY,
        seed=job.seed,
    )
    weights = np.ones(len(table.label))
    build = partial(NoduleNet, recipe.net)
    return fit(build, NoduleLoss(table, slices, recipe, device), weights, job.folder, config, device)[-1]


def fit_alone(job: MemberJob) -> Path:
    """Train one member in a process of its own."""
    logging.basicConfig(level=logging.INFO, format=f"fold {job.fold}, seed {job.seed}: %(message)s")
    return fit_member(job, (nodule_table(job.data), slice_table(job.data)))


def member_jobs(request: TrainRequest, recipe: Recipe, device: str) -> list[MemberJob]:
    """Return the members of the ensemble, none of which sees the calibration fold."""
    return [
        MemberJob(request.data, request.out, CALIBRATION_FOLD, request.seed + i, replace(recipe, epochs=n), device)
        for i, n in enumerate(EPOCHS)
    ]


def sampling_prior(data: Path, recipe: Recipe) -> NDArray[np.float64]:
    """Return how often training saw each class ``(2,)``, soft labels counting in parts."""
    table = nodule_table(data)
    target, weight = recipe.targets(table.select(table.fold != CALIBRATION_FOLD))
    share = float((target * weight).sum() / weight.sum())
    return np.array([1 - share, share])


def calibrate_staged(request: TrainRequest, staged: Path, recipe: Recipe) -> None:
    """Fit the calibration of the staged members with the code that serves them."""
    plugin = load_plugin(staged)
    table, pack = nodule_table(request.data), read_pack(request.data / KEY_SLICES)
    chosen = (table.fold == CALIBRATION_FOLD) & (table.label >= 0)
    rows = pack.rows("train")[chosen]
    ensemble = load_members(plugin, torch.device("cpu"))
    logits, features = run_members((plugin.preprocess(*read_row(pack, int(row))) for row in rows), ensemble)
    groups = table.patient[chosen]
    source = CalibrationSource(
        dataset="LIDC-IDRI",
        selection=f"fold {CALIBRATION_FOLD} of {N_FOLDS} of the train split, cut by patient; median rating not 3",
        n=len(rows),
        n_groups=len(np.unique(groups)),
        weights_sha256=plugin.weights_sha256,
    )
    prior = sampling_prior(request.data, recipe)
    found = CalibrationData(logits, table.label[chosen], groups, features, prior, source)
    trained = table.label[(table.fold != CALIBRATION_FOLD) & (table.label >= 0)]
    counts = dict(zip(LABELS, np.bincount(trained, minlength=2).tolist(), strict=True))
    calibration = fit_calibration(found, plugin.manifest).model_copy(update={"training_counts": counts})
    assert plugin.manifest.calibration is not None
    (staged / plugin.manifest.calibration.file).write_text(calibration.model_dump_json(), encoding="utf-8")


def train(request: TrainRequest) -> Path:
    """Train, package and calibrate; ``out/plugin`` holds the finished files.

    A run that was stopped goes on from its last finished epoch.
    """
    recipe, device = Recipe(), request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    members = side_by_side(fit_alone, member_jobs(request, recipe, device), device)
    staged = stage_plugin(PLUGIN_FOLDER, members, request.out / "plugin")
    calibrate_staged(request, staged, recipe)
    if request.install:
        install_plugin(staged, PLUGIN_FOLDER)
    return staged
