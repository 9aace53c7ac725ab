"""Planted truth: images whose class depends on one known structure, and the network that sees it.

The network is built, not trained: matched filters answer to blobs and to stripes, and to nothing
else that these images hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from whycad.explain.fidelity.repeats import OneMember
from whycad.imaging.geometry import resize_geometry
from whycad.manifest import View
from whycad.types import FloatArray, ModelInput

SIDE = 64
BLOB, STRIPES, NEITHER = 0, 1, 2
LAYER = "features"
BLOB_SIGMA, STRIPE_PERIOD, PATCH, KERNEL = 2.5, 4, 11, 15
MARGIN = 9
NOISE = 0.05


@dataclass(frozen=True, eq=False)
class PlantedCase:
    """One image.

    Attributes
    ----------
    inputs : ModelInput
        ``(1, 64, 64)``, baseline 0.
    blob, stripes : ndarray of bool (64, 64)
        Where they are.
    """

    inputs: ModelInput
    blob: NDArray[np.bool_]
    stripes: NDArray[np.bool_]


def planted_case(seed: int) -> PlantedCase:
    """Make noise with a blob, a patch of stripes, and a bright rectangle whose edges mean nothing.

    None of them overlaps another.
    """
    rng = np.random.default_rng(seed)
    centres = _places(rng)
    image = rng.normal(0, NOISE, (SIDE, SIDE))
    rows, columns = np.indices((SIDE, SIDE))
    away = np.hypot(rows - centres[0][0], columns - centres[0][1])
    image += np.exp(-0.5 * (away / BLOB_SIGMA) ** 2)
    stripes = _box(centres[1], PATCH)
    image += np.where(stripes, 0.5 * np.sign(np.sin(2 * np.pi * (columns + 0.5) / STRIPE_PERIOD)), 0)
    image += 0.6 * _box(centres[2], PATCH + 4)
    geometry = resize_geometry((SIDE, SIDE), (SIDE, SIDE))
    return PlantedCase(ModelInput(image[None].astype(np.float32), geometry, 0.0), away <= 2 * BLOB_SIGMA, stripes)


def _places(rng: np.random.Generator) -> NDArray[np.int64]:
    while True:
        centres = rng.integers(MARGIN, SIDE - MARGIN, (3, 2))
        apart = np.abs(centres[:, None] - centres[None]).max(axis=2)
        if apart[np.triu_indices(3, 1)].min() > 2 * MARGIN:
            return centres


def _box(centre: NDArray[np.int64], side: int) -> NDArray[np.bool_]:
    rows, columns = np.indices((SIDE, SIDE))
    return np.asarray(np.maximum(np.abs(rows - centre[0]), np.abs(columns - centre[1])) <= side // 2, np.bool_)


class PlantedNet(nn.Module):
    """Matched filters for blobs and stripes, thresholds, and a mean over places."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, 2, KERNEL, 2, KERNEL // 2)
        self.features = nn.ReLU()
        self.head = nn.Linear(2, 3)
        with torch.no_grad():
            self.filters.weight.copy_(torch.from_numpy(np.stack([_blob_filter(), _stripe_filter()]))[:, None])
            self.filters.bias.fill_(-0.7)  # type: ignore[union-attr]
            self.head.weight.copy_(4.0 * (SIDE // 2) ** 2 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
            self.head.bias.copy_(torch.tensor([-1.0, -1.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 1, H, W)`` to logits ``(n, 3)``: blob, stripes, neither."""
        return torch.as_tensor(self.head(self.features(self.filters(x)).mean(dim=(2, 3))))


def _blob_filter() -> FloatArray:
    """Return a blob less its surroundings, answering 1 to a blob in its middle."""
    spike = np.zeros((KERNEL, KERNEL))
    spike[KERNEL // 2, KERNEL // 2] = 1
    blob = ndimage.gaussian_filter(spike, BLOB_SIGMA)
    return _matched(blob / blob.max())


def _stripe_filter() -> FloatArray:
    columns = np.arange(KERNEL) - KERNEL // 2
    half = PATCH // 2
    wave = np.where(np.abs(columns) <= half, np.sin(2 * np.pi * columns / STRIPE_PERIOD), 0.0)
    window = (np.abs(columns) <= half).astype(float)
    return _matched(0.5 * window[:, None] * wave[None])


def _matched(pattern: NDArray[np.float64]) -> FloatArray:
    centred = pattern - pattern.mean()
    return np.asarray(centred / (centred * pattern).sum(), np.float32)


class PlantedEnsemble(OneMember):
    """One network as an ensemble; ``planted_ensemble()`` has the one that sees the truth."""

    def logits(
        self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None, views: Sequence[View] | None = None
    ) -> Tensor:
        """Map ``(n, C, *shape)`` to ``(1, 1, n, k)``."""
        return super().logits(batch)


def planted_ensemble(net: nn.Module | None = None) -> PlantedEnsemble:
    """Return an ensemble of one network."""
    return PlantedEnsemble((net or PlantedNet()).eval(), torch.device("cpu"))
