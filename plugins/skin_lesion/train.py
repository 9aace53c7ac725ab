"""Training of the skin lesion ensemble; ``whycad train --task skin_lesion`` calls ``train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.skin_lesion.data import CALIBRATION_FOLD, LABELS, LesionTable, training_table
from plugins.skin_lesion.model import MEAN, STD, LesionNet, NetConfig
from whycad.training.augment import AugmentConfig, augment_batch
from whycad.training.fit import FitConfig, fit

OUTLINE_WEIGHT = 0.4
LABEL_SMOOTHING = 0.05
BALANCE_POWER = 0.7
CYCLES = (18, 10, 10, 10)
N_RUNS = 2


@dataclass(frozen=True)
class Recipe:
    """What varies between trials: resolution by epoch, network, balance and outline weight."""

    sizes: tuple[tuple[int, int], ...] = ((84, 108), (112, 144))
    switch_epoch: int = 10
    net: NetConfig = NetConfig()
    balance_power: float = BALANCE_POWER
    outline_weight: float = OUTLINE_WEIGHT
    augment: AugmentConfig = AugmentConfig()

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Return the input size of an epoch: small first, then full."""
        return self.sizes[0] if epoch < self.switch_epoch else self.sizes[-1]


def normalise(images: Tensor) -> Tensor:
    """Normalise images ``(n, 3, H, W)`` in 0..1 by the fixed channel means and deviations."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std


def sampling_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Weigh rows by class frequency to the minus ``power``: 0 leaves the prior, 1 balances it."""
    counts = np.bincount(labels, minlength=len(LABELS)).astype(np.float64)
    return counts[labels] ** -power


class LesionLoss:
    """Cross-entropy of the class plus binary cross-entropy of the outline where one is known."""

    def __init__(self, table: LesionTable, recipe: Recipe, device: torch.device) -> None:
        self.images = torch.from_numpy(table.images)
        self.masks = torch.from_numpy(table.masks)
        self.has_mask = torch.from_numpy(table.has_mask)
        self.labels = torch.from_numpy(table.labels)
        self.recipe = recipe
        self.device = device

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one augmented batch."""
        assert isinstance(model, LesionNet)
        images = self.images[rows].to(self.device).permute(0, 3, 1, 2).float() / 255
        masks = self.masks[rows].to(self.device)[:, None].float()
        with torch.autocast(self.device.type, enabled=False):
            images, masks = augment_batch(
                images, masks, self.recipe.size_at(epoch), self.recipe.augment, generator
            )
            images = normalise(images).contiguous(memory_format=torch.channels_last)
        logits, outline = model.forward_with_outline(images)
        labels = self.labels[rows].to(self.device)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)
        targets = F.interpolate(masks, size=outline.shape[-2:], mode="area")
        known = self.has_mask[rows].to(self.device).float().view(-1, 1, 1, 1)
        bce = F.binary_cross_entropy_with_logits(outline.float(), targets, reduction="none")
        per_pixel = (bce * known).sum() / (known.sum() * targets[0].numel()).clamp_min(1)
        return loss + self.recipe.outline_weight * per_pixel


def fit_run(data: Path, out: Path, run: int, device: torch.device, seed: int = 0) -> list[Path]:
    """Train one run of snapshots on everything but the calibration fold, resuming in ``out``.

    Returns
    -------
    list of Path
        One state dict per cycle.
    """
    recipe = Recipe()
    table = training_table(data)
    table = table.select(table.fold != CALIBRATION_FOLD)
    loss = LesionLoss(table, recipe, device)
    config = FitConfig(cycles=CYCLES, seed=seed + run)
    weights = sampling_weights(table.labels, recipe.balance_power)
    return fit(lambda: LesionNet(recipe.net), loss, weights, out / f"run{run}", config, device)
