"""Training of the skin lesion ensemble; ``whycad train --task skin_lesion`` calls ``train``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.skin_lesion.data import (
    CALIBRATION_FOLD,
    FOLD_SEED,
    LABELS,
    N_FOLDS,
    LesionTable,
    training_labels,
    training_table,
)
from plugins.skin_lesion.model import MEAN, STD, LesionNet, NetConfig
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.pack_study import row_study
from whycad.datasets.splits import grouped_folds
from whycad.inference import load_members
from whycad.plugin import load_plugin
from whycad.training.augment import AugmentConfig, augment_batch
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.fit import FitConfig, fit
from whycad.training.package import install_plugin, stage_plugin
from whycad.training.parallel import side_by_side
from whycad.training.request import TrainRequest
from whycad.uncertainty.calibration import CalibrationSource

OUTLINE_WEIGHT = 0.4
LABEL_SMOOTHING = 0.05
BALANCE_POWER = 0.7
PLUGIN_FOLDER = Path(__file__).parent
GENTLE = AugmentConfig(
    scale=(0.85, 1.25),
    aspect=1.15,
    shift=0.1,
    brightness=0.12,
    contrast=0.12,
    saturation=0.12,
    channel_gain=0.05,
    cutout=0.25,
)


@dataclass(frozen=True)
class Stage:
    """One stretch of training; it starts from the averaged weights that the stage before ended with.

    Attributes
    ----------
    name : str
        Of its checkpoint folder.
    cycles : tuple of int
        Epochs of each cosine cycle.
    augment : AugmentConfig
    learning_rate, weight_decay : float
    small_until : int
        First epoch at full resolution.
    """

    name: str
    cycles: tuple[int, ...]
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    small_until: int = 0


@dataclass(frozen=True)
class RunPlan:
    """Stages one after the other, and how many of the last one's snapshots become members."""

    stages: tuple[Stage, ...]
    keep: int


def _plan(first: tuple[int, ...], keep: int) -> RunPlan:
    strong = Stage("strong", first, small_until=10)
    gentle = Stage("gentle", (8, 8, 8), GENTLE, 1.5e-3, 0.02)
    long = Stage("long", (10, 10, 10), replace(GENTLE, cutout=0.5), 2e-3, 0.03)
    return RunPlan((strong, gentle, long), keep)


RUNS = (_plan((18, 10, 10), 2), _plan((18, 10), 3))


@dataclass(frozen=True)
class Recipe:
    """What varies between trials: resolution by epoch, network, balance and outline weight."""

    sizes: tuple[tuple[int, int], ...] = ((84, 108), (112, 144))
    switch_epoch: int = 10
    net: NetConfig = field(default_factory=NetConfig)
    balance_power: float = BALANCE_POWER
    outline_weight: float = OUTLINE_WEIGHT
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Return the input size of an epoch: small first, then full."""
        return self.sizes[0] if epoch < self.switch_epoch else self.sizes[-1]


def sampling_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Weigh rows by class frequency to the minus ``power``: 0 leaves the prior, 1 balances it."""
    counts = np.bincount(labels, minlength=len(LABELS)).astype(np.float64)
    return counts[labels] ** -power


class LesionLoss:
    """Cross-entropy of the class plus binary cross-entropy of the outline where one is known."""

    def __init__(self, table: LesionTable, recipe: Recipe, device: torch.device) -> None:
        self.images = torch.from_numpy(table.images).to(device)
        self.masks = torch.from_numpy(table.masks).to(device)
        self.has_mask = torch.from_numpy(table.has_mask).to(device)
        self.labels = torch.from_numpy(table.labels).to(device)
        self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
        self.recipe = recipe
        self.device = device
        self.capturable = recipe.switch_epoch == 0

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one augmented batch."""
        assert isinstance(model, LesionNet)
        images = self.images[rows].permute(0, 3, 1, 2).float() / 255
        masks = self.masks[rows][:, None].float()
        with torch.autocast(self.device.type, enabled=False):
            images, masks = augment_batch(images, masks, self.recipe.size_at(epoch), self.recipe.augment, generator)
            images = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        logits, outline = model.forward_with_outline(images)
        labels = self.labels[rows]
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)
        targets = F.interpolate(masks, size=outline.shape[-2:], mode="area")
        known = self.has_mask[rows].float().view(-1, 1, 1, 1)
        bce = F.binary_cross_entropy_with_logits(outline.float(), targets, reduction="none")
        per_pixel = (bce * known).sum() / (known.sum() * targets[0].numel()).clamp_min(1)
        return loss + self.recipe.outline_weight * per_pixel


def fit_run(data: Path, out: Path, run: int, device: str, seed: int) -> list[Path]:
    """Train one run on everything but the calibration fold, resuming in ``out``.

    Returns
    -------
    list of Path
        State dicts of the run's members.
    """
    plan, place = RUNS[run], torch.device(device)
    table = training_table(data)
    table = table.select(table.fold != CALIBRATION_FOLD)
    weights = sampling_weights(table.labels, BALANCE_POWER)
    states: list[Path] = []
    for index, stage in enumerate(plan.stages):
        recipe = Recipe(switch_epoch=stage.small_until, augment=stage.augment)
        config = FitConfig(
            cycles=stage.cycles,
            learning_rate=stage.learning_rate,
            weight_decay=stage.weight_decay,
            seed=seed + 100 * index + run,
        )
        start = states[-1] if states else None
        loss = LesionLoss(table, recipe, place)
        states = fit(partial(_start, recipe.net, start), loss, weights, out / f"run{run}-{stage.name}", config, place)
    return states[-plan.keep :]


def _start(net: NetConfig, state: Path | None) -> LesionNet:
    """Build the network, with the weights of a snapshot where one is given."""
    model = LesionNet(net)
    if state is not None:
        model.load_state_dict(torch.load(state, weights_only=True, map_location="cpu"))
    return model


def _fit_run_alone(job: tuple[Path, Path, int, str, int]) -> list[Path]:
    """Train one run in a process of its own, on one thread: two such runs outpace one on two."""
    logging.basicConfig(level=logging.INFO, format=f"run {job[2]}: %(message)s")
    return fit_run(*job)


def fit_all(request: TrainRequest, device: str) -> list[Path]:
    """Train every run and return the members."""
    jobs = [(request.data, request.out, run, device, request.seed) for run in range(len(RUNS))]
    runs = side_by_side(_fit_run_alone, jobs, device)
    return [path for members in runs for path in members]


def calibration_cases(data: Path) -> tuple[Pack, NDArray[np.int64]]:
    """Return HAM10000 and its calibration rows: one grouped fold of ``train``."""
    pack = read_pack(data / "skin" / "ham10000.npz")
    rows = pack.rows("train")
    folds = grouped_folds(pack.arrays["y"][rows], pack.arrays["group_id"][rows], N_FOLDS, seed=FOLD_SEED)
    return pack, rows[folds == CALIBRATION_FOLD]


def sampling_prior(data: Path) -> NDArray[np.float64]:
    """Return how often training draws each class ``(7,)``."""
    labels = training_labels(data)
    weights = sampling_weights(labels, Recipe().balance_power)
    drawn = np.bincount(labels, weights=weights, minlength=len(LABELS))
    return np.asarray(drawn / drawn.sum())


def calibrate_staged(request: TrainRequest, staged: Path, device: str) -> None:
    """Fit the calibration of the staged members with the code that serves them."""
    plugin = load_plugin(staged)
    pack, rows = calibration_cases(request.data)
    ensemble = load_members(plugin, torch.device(device))
    logits, features = run_members(
        (plugin.preprocess(row_study(pack, int(row), plugin.manifest), None) for row in rows), ensemble
    )
    groups = pack.arrays["group_id"][rows].astype(str)
    source = CalibrationSource(
        dataset="HAM10000",
        selection=f"fold {CALIBRATION_FOLD} of {N_FOLDS} of the train split, cut by lesion group",
        n=len(rows),
        n_groups=len(np.unique(groups)),
        weights_sha256=plugin.weights_sha256,
    )
    found = CalibrationData(
        logits, pack.arrays["y"][rows].astype(np.int64), groups, features, sampling_prior(request.data), source
    )
    counts = np.bincount(training_labels(request.data), minlength=len(LABELS))
    calibration = fit_calibration(found, plugin.manifest).model_copy(
        update={"training_counts": dict(zip(LABELS, counts.tolist(), strict=True))}
    )
    assert plugin.manifest.calibration is not None
    (staged / plugin.manifest.calibration.file).write_text(calibration.model_dump_json(), encoding="utf-8")


def train(request: TrainRequest) -> Path:
    """Train, package and calibrate; ``out/plugin`` holds the finished files.

    A run that was stopped goes on from its last finished epoch.
    """
    device = request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    members = fit_all(request, device)
    staged = stage_plugin(PLUGIN_FOLDER, members, request.out / "plugin")
    calibrate_staged(request, staged, device)
    if request.install:
        install_plugin(staged, PLUGIN_FOLDER)
    return staged
