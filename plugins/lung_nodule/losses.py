"""What training minimises: malignancy, descriptors and outline of an augmented batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.lung_nodule.augment import AugmentConfig, Slices, Views, augment
from plugins.lung_nodule.data import STORED_SIDE, NoduleTable, SliceTable, beyond_size, suspicion_share
from plugins.lung_nodule.model import NetConfig, NoduleNet
from plugins.lung_nodule.views import scales_of

OVERLAP_WEIGHT = 0.3
STACK_SIDE = 48
STACK_MM = 1.0


@dataclass(frozen=True)
class Recipe:
    """What varies between trials.

    Attributes
    ----------
    soft_labels : bool
        Learn the share of readers who found a nodule suspicious (indeterminate ratings count
        half, and indeterminate nodules take part) instead of the median label.
    net : NetConfig
    augment : AugmentConfig
    epochs : int
        Of the one cosine cycle of a run.
    batch_size : int
    learning_rate, weight_decay : float
    descriptor_weight, beyond_size_weight, outline_weight : float
        Of the other heads' losses.
    """

    soft_labels: bool = True
    net: NetConfig = field(default_factory=NetConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    epochs: int = 90
    batch_size: int = 48
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    descriptor_weight: float = 0.15
    beyond_size_weight: float = 0.15
    outline_weight: float = 1.0

    def targets(self, table: NoduleTable) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the malignancy target 0..1 and its weight, both ``(n,)``."""
        if self.soft_labels:
            return suspicion_share(table.ratings["suspicion"]), np.ones(len(table.label), np.float32)
        return (table.label == 1).astype(np.float32), (table.label >= 0).astype(np.float32)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy ``(n,)`` of logits and target distributions ``(n, k)``."""
    return -(target * F.log_softmax(logits.float(), dim=1)).sum(dim=1)


def outline_loss(logits: Tensor, views: Views) -> Tensor:
    """Return cross-entropy plus lack of overlap of the outline ``(2, n, 48, 48)`` where it is known."""
    target, known = scales_of(views.mask)[:, :, 0], scales_of(views.known.float())[:, :, 0]
    per_pixel = F.binary_cross_entropy_with_logits(logits.float(), target.clamp(0, 1), reduction="none")
    entropy = (per_pixel * known).sum() / known.sum().clamp_min(1)
    drawn, wanted = torch.sigmoid(logits.float()) * known, target * known
    overlap = (2 * (drawn * wanted).sum(dim=(2, 3)) + 1) / ((drawn + wanted).sum(dim=(2, 3)) + 1)
    return entropy + OVERLAP_WEIGHT * (1 - overlap).mean()


class NoduleLoss:
    """Malignancy, descriptors and outline of one augmented batch."""

    capturable = True

    def __init__(self, table: NoduleTable, slices: SliceTable, recipe: Recipe, device: torch.device) -> None:
        def put(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(values).to(device)

        self.table = {name: put(getattr(table, name)) for name in ("hu", "mask", "spacing_mm", "seed")}
        self.ratings = {name: put(values) for name, values in table.ratings.items()}
        self.readers = put(table.n_readers).float()
        self.beyond_size = put(beyond_size(table))
        self.target, self.weight = (put(values) for values in recipe.targets(table))
        self.slice_hu, self.slice_mask = put(slices.hu), put(slices.mask)
        order = np.argsort(slices.owner, kind="stable")
        self.order = put(order)
        self.first = put(np.searchsorted(slices.owner[order], np.arange(len(table.label) + 1)))
        self.recipe, self.device = recipe, device

    def _slices(self, rows: Tensor, generator: torch.Generator) -> Slices:
        """Return key slices, a few of them replaced by a neighbouring slice from the stack."""
        parts = Slices(
            hu=self.table["hu"][rows].float(),
            mask=self.table["mask"][rows].float(),
            side=torch.full((len(rows),), STORED_SIDE, device=self.device),
            spacing_mm=self.table["spacing_mm"][rows].float(),
            seed=self.table["seed"][rows].float(),
        )
        count = self.first[rows + 1] - self.first[rows]
        chance, place = torch.rand(2, len(rows), generator=generator, device=generator.device)
        swap = (chance < self.recipe.augment.neighbours) & (count > 0)
        draw = (place * count).long()
        chosen = self.order[(self.first[rows] + draw).clamp_max(len(self.order) - 1)]
        room = (0, STORED_SIDE - STACK_SIDE) * 2
        there = swap[:, None, None]
        return Slices(
            hu=torch.where(there, F.pad(self.slice_hu[chosen].float(), room), parts.hu),
            mask=torch.where(there, F.pad(self.slice_mask[chosen].float(), room), parts.mask),
            side=torch.where(swap, STACK_SIDE, parts.side),
            spacing_mm=torch.where(swap, STACK_MM, parts.spacing_mm),
            seed=torch.where(swap[:, None], (STACK_SIDE - 1) / 2, parts.seed),
        )

    def _beyond_size_loss(self, found: Tensor, rows: Tensor, centred: Tensor) -> Tensor:
        """Return the squared error of what goes beyond size, summed over heads."""
        wanted = self.beyond_size[rows]
        counted = torch.isfinite(wanted).all(dim=1) * centred * self.readers[rows]
        each = (found.float() - wanted.nan_to_num()).square().sum(dim=1)
        return (each * counted).sum() / counted.sum().clamp_min(1)

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one augmented batch."""
        assert isinstance(model, NoduleNet)
        with torch.autocast(self.device.type, enabled=False):
            views = augment(self._slices(rows, generator), self.recipe.augment, generator)
        found, outline = model.forward_planes(views.planes)
        target, centred = self.target[rows], views.centred.float()
        pair = torch.stack([1 - target, target], dim=1)
        weight = self.weight[rows] * centred
        loss = (soft_cross_entropy(found["malignancy"], pair) * weight).sum() / weight.sum().clamp_min(1)
        for name, shares in self.ratings.items():
            counted = centred * self.readers[rows]
            each = soft_cross_entropy(found[name], shares[rows]) * counted
            loss = loss + self.recipe.descriptor_weight * each.sum() / counted.sum().clamp_min(1)
        loss = loss + self.recipe.beyond_size_weight * self._beyond_size_loss(found["beyond_size"], rows, centred)
        return loss + self.recipe.outline_weight * outline_loss(outline, views)
