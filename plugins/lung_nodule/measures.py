"""Shape, density and margin of an outline, as numbers that the network reads beside its own features.

They are what radiologists' descriptors are about: size, roundness, how jagged the outline is, how
steep the margin, what lies around. A small net learns them from pixels only slowly.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.lung_nodule.grid import HU_SCALE, KNOWN_ABOVE, LUNG_HU, SENTINEL, SPACING_MM, scale_hu
from plugins.lung_nodule.views import SIDE

PIXEL_MM = SPACING_MM[1]
# Sides of the squares, in pixels, that grow and smooth an outline.
RINGS = (3, 7, 13)
OPENINGS = (3, 5)
DENSE_ABOVE, DENSE_WIDTH = 300.0 / HU_SCALE, 30.0 / HU_SCALE
NAMES = (
    "log_area",
    "log_outline_length",
    "jaggedness",
    "log_long_axis",
    "log_short_axis",
    "elongation",
    "radius_spread",
    "density",
    "density_spread",
    "densest",
    "margin_steepness",
    "margin_unevenness",
    *(f"ring{i}_{what}" for i in range(len(RINGS)) for what in ("density", "spread", "dense_share")),
    *(f"closed{i}" for i in range(1, len(RINGS))),
    *(f"opened{i}" for i in range(len(OPENINGS))),
    "off_centre",
    "certainty",
)
LIMIT = 4.0
# Medians and standard deviations over the training nodules' consensus outlines.
# fmt: off
CENTRE = (
    3.24, 3.01, 0.22, 0.53, 0.24, 0.26, 0.23, 0.1, 0.26, 0.52, 0.4, 0.14, -0.45, 0.21, 0.3, -0.66, 0.16, 0.06,
    -0.68, 0.19, 0.07, 1.0, 1.0, 0.97, 0.84, 1.0, 0.86,
)
SCALE = (
    0.97, 0.53, 0.16, 0.5, 0.49, 0.19, 0.08, 0.35, 0.1, 0.39, 0.19, 0.08, 0.23, 0.12, 0.27, 0.21, 0.18, 0.19,
    0.23, 0.22, 0.18, 0.02, 0.03, 0.07, 0.3, 1.0, 0.07,
)
# fmt: on
_LEAST = 1e-3
# Keeps the slope of square roots finite.
_TINY, _NOTHING = 1e-6, 1e-12


def _total(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return _total(values * weight) / _total(weight).clamp_min(_LEAST)


def _spread(values: Tensor, weight: Tensor) -> Tensor:
    mean = _mean(values, weight)
    return torch.sqrt(_mean((values - mean[:, None, None]) ** 2, weight) + _TINY)


def _grown(mask: Tensor, side: int) -> Tensor:
    """Return the largest value within squares; masks lie side by side as channels, which pools fast."""
    lined = mask[None].contiguous(memory_format=torch.channels_last)
    along = F.max_pool2d(lined, (side, 1), 1, (side // 2, 0))
    return F.max_pool2d(along, (1, side), 1, (0, side // 2))[0]


def _growing(mask: Tensor) -> list[Tensor]:
    """Return a mask and what it grows to in squares of ``RINGS``, each from the one before."""
    grown = [mask]
    for before, side in zip((1, *RINGS[:-1]), RINGS, strict=True):
        grown.append(_grown(grown[-1], side - before + 1))
    return grown


def _shrunk(mask: Tensor, side: int) -> Tensor:
    return 1 - _grown(1 - mask, side)


def _steepness(values: Tensor) -> Tensor:
    """Return the size of the gradient per mm, ``(n, 96, 96)``; central differences."""
    padded = F.pad(values[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    return torch.sqrt(down**2 + across**2 + _NOTHING) / (2 * PIXEL_MM)


def _places(like: Tensor) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(SIDE, device=like.device, dtype=like.dtype) - (SIDE - 1) / 2) * PIXEL_MM
    return axis[:, None].expand(SIDE, SIDE), axis[None].expand(SIDE, SIDE)


def _shape(mask: Tensor) -> list[Tensor]:
    area = _total(mask) * PIXEL_MM**2
    edge = _steepness(mask)
    length = _total(edge) * PIXEL_MM**2
    rows, columns = _places(mask)
    r0, c0 = (_mean(axis.expand_as(mask), mask) for axis in (rows, columns))
    dr, dc = rows[None] - r0[:, None, None], columns[None] - c0[:, None, None]
    rr, cc, rc = (_mean(product, mask) for product in (dr**2, dc**2, dr * dc))
    middle, half = (rr + cc) / 2, torch.sqrt(((rr - cc) / 2) ** 2 + rc**2 + _TINY)
    long, short = torch.sqrt(middle + half + 0.03), torch.sqrt((middle - half).clamp_min(0) + 0.03)
    radius = torch.sqrt(dr**2 + dc**2 + _TINY)
    jagged = length**2 / (4 * math.pi * area.clamp_min(1.0))
    return [
        torch.log(area + 1),
        torch.log(length + 1),
        torch.log(jagged + 0.1),
        torch.log(long),
        torch.log(short),
        torch.log(long / short),
        _spread(radius, edge) / _mean(radius, edge).clamp_min(0.3),
        torch.sqrt(r0**2 + c0**2 + _TINY),
    ]


class Measures(nn.Module):
    """Measures outlines, standardised by what training nodules have; nothing in it is trained."""

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(CENTRE), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE), persistent=False)

    def forward(self, planes: Tensor, mask: Tensor) -> Tensor:
        """Measure outlines.

        Parameters
        ----------
        planes : Tensor (n, 96, 96)
            In the network's grey scale.
        mask : Tensor (n, 96, 96), 0..1

        Returns
        -------
        Tensor (n, len(NAMES))
            Within ``LIMIT``.
        """
        raw = raw_measures(planes.float(), mask.float())
        return ((raw - self.centre) / self.scale).clamp(-LIMIT, LIMIT)


def raw_measures(planes: Tensor, mask: Tensor) -> Tensor:
    """Measure outlines in mm and in units of the grey scale, ``(n, len(NAMES))``."""
    lung = float(scale_hu(torch.tensor(LUNG_HU).numpy()))
    values = torch.where(planes > KNOWN_ABOVE, planes, lung)
    dense = torch.sigmoid((values - lung - DENSE_ABOVE) / DENSE_WIDTH)
    *shape, off_centre = _shape(mask)
    edge, steep = _steepness(mask), _steepness(values)
    inside = [
        _mean(values, mask),
        _spread(values, mask),
        (values * (mask > 0.5) + SENTINEL * (mask <= 0.5)).amax(dim=(1, 2)),
        _mean(steep, edge),
        _spread(steep, edge),
    ]
    grown = _growing(mask)
    rings: list[Tensor] = []
    for inner, outer in itertools.pairwise(grown):
        ring = (outer - inner).clamp_min(0)
        rings += [_mean(values, ring), _spread(values, ring), _mean(dense, ring)]
    area = _total(mask).clamp_min(_LEAST)
    wider = zip(grown[2:], RINGS[1:], strict=True)
    closed = [area / _total(_shrunk(outer, side)).clamp_min(_LEAST) for outer, side in wider]
    opened = [_total(_grown(_shrunk(mask, side), side)) / area for side in OPENINGS]
    certainty = _mean((2 * mask - 1).abs(), mask)
    return torch.stack([*shape, *inside, *rings, *closed, *opened, off_centre, certainty], dim=1)
