"""The decoder that draws fluid, trained on experts' masks and on fluid simulated in normal scans.

It reads the members' feature maps and changes nothing in them: the Duke scans that it learns from
never touch the prediction, so that they can test it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.retinal_oct.anomalies import Scene, cysts, subretinal_fluid
from plugins.retinal_oct.augment import ScanChanges, augment_scans
from plugins.retinal_oct.data import FluidTable, ScanTable, fluid_table
from plugins.retinal_oct.model import MEAN, STD, ScanNet
from whycad.types import FloatArray

logger = logging.getLogger(__name__)

THRESHOLD = 0.5
MILD = ScanChanges(shift=(5.0, 16.0), row_scale=(0.85, 1.2), column_scale=(0.8, 1.3), gamma=0.25, speckle=0.25)


@dataclass(frozen=True)
class FluidRecipe:
    """How the decoder is trained.

    Attributes
    ----------
    steps : int
    learning_rate : float
    n_real, n_simulated, n_normal : int
        Images of each kind in a batch.
    """

    steps: int = 160
    learning_rate: float = 4e-3
    n_real: int = 12
    n_simulated: int = 6
    n_normal: int = 4


def _dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * targets).sum() + 1) / (p.sum() + targets.sum() + 1)


def _simulated(images: Tensor, inner: Tensor, outer: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put cysts into one half of the scans and fluid below the retina into the other."""
    half = len(images) // 2
    scenes = [
        painter(Scene(images[at], inner[at], outer[at], torch.zeros_like(images[at])), generator)
        for painter, at in ((cysts, slice(0, half)), (subretinal_fluid, slice(half, None)))
    ]
    made = torch.cat([scene.images for scene in scenes])
    # Swelling is marked too, but only what became dark is fluid.
    dark = torch.cat([scene.marked for scene in scenes]) * (made < 0.2)
    return made, dark


@dataclass(frozen=True)
class Place:
    """Where a decoder is trained, and its seed."""

    device: torch.device
    seed: int

    def load(self, state: Path) -> ScanNet:
        """Build a member from its state dict, and seed what is drawn next."""
        torch.manual_seed(self.seed)
        model = ScanNet()
        model.load_state_dict(torch.load(state, weights_only=True, map_location="cpu"))
        return model.to(self.device)


class FluidBatches:
    """Draws batches of real, simulated and normal scans with masks."""

    def __init__(self, real: FluidTable, normal: ScanTable, recipe: FluidRecipe, place: Place) -> None:
        def put(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(values).to(place.device)

        self.images, self.masks = put(real.images), put(real.masks)
        keep = np.flatnonzero(normal.labels == 1)
        self.normal = put(normal.images[keep])
        self.inner, self.outer = put(normal.inner[keep]), put(normal.outer[keep])
        self.recipe = recipe
        self.generator = torch.Generator(place.device).manual_seed(place.seed)

    def _pick(self, n_of: int, n: int) -> Tensor:
        return torch.randint(n_of, (n,), generator=self.generator, device=self.generator.device)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return augmented images and masks ``(n, H, W)``."""
        real = self._pick(len(self.images), self.recipe.n_real)
        n_other = self.recipe.n_simulated + self.recipe.n_normal
        other = self._pick(len(self.normal), n_other)
        made, plain = other[: self.recipe.n_simulated], other[self.recipe.n_simulated :]
        simulated, dark = _simulated(self.normal[made].float(), self.inner[made], self.outer[made], self.generator)
        untouched = self.normal[plain].float()
        images = torch.cat([self.images[real], simulated, untouched])
        masks = torch.cat([self.masks[real], dark, torch.zeros_like(untouched)])
        return augment_scans(images, masks, MILD, self.generator)


def fit_decoder(model: ScanNet, batches: FluidBatches) -> None:
    """Train the model's fluid decoder in place; everything else stays as it is."""
    recipe = batches.recipe
    model.eval()
    optimizer = torch.optim.AdamW(model.fluid.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps)
    for _ in range(recipe.steps):
        images, masks = batches.draw()
        with torch.no_grad():
            maps = model.outputs(((images - MEAN) / STD)[:, None]).maps
        logits = model.fluid(maps)
        targets = F.avg_pool2d(masks[:, None], 2)
        loss = F.binary_cross_entropy_with_logits(logits, targets) + _dice_loss(logits, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def add_decoder(state: Path, normal: ScanTable, data: Path, place: Place) -> Path:
    """Train the decoder of one member on all Duke scans and write the state with it."""
    target = state.with_name("with_fluid.pt")
    if not target.exists():
        model = place.load(state)
        fit_decoder(model, FluidBatches(fluid_table(data), normal, FluidRecipe(), place))
        torch.save(model.cpu().state_dict(), target)
        logger.info("fluid decoder of %s written", state.parent.name)
    return target


@torch.no_grad()
def draw_fluid(models: list[ScanNet], images: FloatArray) -> FloatArray:
    """Return the mean probability of fluid ``(n, 56, 96)`` of levelled scans ``(n, 112, 192)``."""
    x = ((torch.from_numpy(images) - MEAN) / STD)[:, None]
    drawn = [model.cpu().forward_evidence(x)["fluid"].numpy() for model in models]
    return np.asarray(np.mean(drawn, axis=0), np.float32)


def cross_validate(states: list[Path], normal: ScanTable, data: Path, first: Place) -> dict[str, NDArray[np.float64]]:
    """Draw each patient's fluid with decoders that never saw that patient.

    Returns
    -------
    dict
        ``dice`` (n,) per scan (1 where neither holds fluid), ``drawn`` and ``true`` (n,) areas as
        shares of the image, ``pooled`` (p,) Dice per patient over all its pixels.
    """
    table = fluid_table(data)
    drawn = np.zeros((len(table.images), 56, 96), np.float32)
    for patient in np.unique(table.patients):
        out = table.patients == patient
        rest = FluidTable(table.images[~out], table.masks[~out], table.patients[~out])
        models = []
        for index, state in enumerate(states):
            place = Place(first.device, first.seed + index)
            models.append(place.load(state))
            fit_decoder(models[-1], FluidBatches(rest, normal, FluidRecipe(), place))
        drawn[out] = draw_fluid(models, table.images[out])
    found = drawn >= THRESHOLD
    true = F.avg_pool2d(torch.from_numpy(table.masks)[:, None], 2)[:, 0].numpy() >= THRESHOLD
    both, total = (found & true).sum(axis=(1, 2)), found.sum(axis=(1, 2)) + true.sum(axis=(1, 2))
    pooled = [2 * both[table.patients == p].sum() / total[table.patients == p].sum() for p in np.unique(table.patients)]
    return {
        "dice": np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0),
        "drawn": found.mean(axis=(1, 2)),
        "true": true.mean(axis=(1, 2)),
        "pooled": np.array(pooled),
    }
