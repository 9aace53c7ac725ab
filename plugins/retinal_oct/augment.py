"""Changes that leave a diagnosis as it is: geometry, scanner, noise, shadows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

Change = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class ScanChanges:
    """Ranges of the random changes.

    Attributes
    ----------
    shift : (float, float)
        Rows and columns.
    slope : float
        Rows per column.
    bow : float
        Rows by which the edges bend up or down.
    row_scale, column_scale : (float, float)
        Of the retina's size in the picture.
    gamma, gain : float
        Half-widths, in log units.
    speckle, noise : float
        Largest multiplicative and additive noise.
    blur : float
        Largest Gaussian width in pixels.
    shadow : float
        Chance of vessel shadows.
    coarse : float
        Chance that the picture loses resolution.
    """

    shift: tuple[float, float] = (6.0, 20.0)
    slope: float = 0.10
    bow: float = 14.0
    row_scale: tuple[float, float] = (0.78, 1.3)
    column_scale: tuple[float, float] = (0.75, 1.5)
    gamma: float = 0.35
    gain: float = 0.15
    speckle: float = 0.35
    noise: float = 0.10
    blur: float = 1.3
    shadow: float = 0.4
    coarse: float = 0.3


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low


def _log_uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.exp(_uniform(generator, math.log(low), math.log(high), *shape))


def random_grid(n: int, shape: tuple[int, int], changes: ScanChanges, generator: torch.Generator) -> Tensor:
    """Draw sampling grids ``(n, H, W, 2)`` for ``F.grid_sample``."""
    height, width = shape
    place = generator.device
    rows = torch.arange(height, device=place).view(1, -1, 1) - (height - 1) * 0.6
    columns = torch.arange(width, device=place).view(1, 1, -1) - (width - 1) / 2
    across = columns / (width / 2)
    flip = torch.where(_uniform(generator, 0, 1, n, 1, 1) < 0.5, -1.0, 1.0)
    x = flip * columns / _log_uniform(generator, *changes.column_scale, n, 1, 1)
    x = x + _uniform(generator, -changes.shift[1], changes.shift[1], n, 1, 1)
    y = rows / _log_uniform(generator, *changes.row_scale, n, 1, 1)
    y = y + _uniform(generator, -changes.shift[0], changes.shift[0], n, 1, 1)
    y = y + _uniform(generator, -changes.slope, changes.slope, n, 1, 1) * columns
    bow = changes.bow * _uniform(generator, -1, 1, n, 1, 1)
    y = y + bow * (across**2 - 0.33)
    y = y + (height - 1) * 0.6
    x = (x + (width - 1) / 2).expand(n, height, width)
    return torch.stack([(2 * x + 1) / width - 1, (2 * y.expand(n, height, width) + 1) / height - 1], dim=-1)


def _apply(images: Tensor, share: float, change: Change, generator: torch.Generator) -> Tensor:
    """Change about this share of the images ``(n, H, W)``."""
    at = torch.nonzero(torch.rand(len(images), generator=generator, device=generator.device) < share)[:, 0]
    return images.index_copy(0, at, change(images[at], generator)) if len(at) else images


def _blur(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(images[:, None], (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(across, kernel.view(1, 1, -1, 1))[:, 0]


def _coarsen(images: Tensor, generator: torch.Generator) -> Tensor:
    shape = images.shape[-2:]
    down = _uniform(generator, 0.4, 0.8, 2)
    small = (max(8, int(shape[0] * float(down[0]))), max(8, int(shape[1] * float(down[1]))))
    reduced = F.interpolate(images[:, None], small, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(reduced, shape, mode="bilinear", align_corners=False)[:, 0]


def _shade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Put shadows of vessels below the retina's surface."""
    n, _, width = images.shape
    columns = torch.arange(width, device=images.device).view(1, 1, -1)
    centre = _uniform(generator, 0, width, n, 4, 1)
    half = _log_uniform(generator, 0.6, 3.0, n, 4, 1)
    depth = _uniform(generator, 0, 0.6, n, 4, 1)
    dark = (depth * torch.exp(-(((columns - centre) / half) ** 2))).amax(dim=1)
    return images * (1 - dark[:, None])


def change_scanner(images: Tensor, changes: ScanChanges, generator: torch.Generator) -> Tensor:
    """Change greys, noise, sharpness and shadows of ``(n, H, W)`` in 0..1.2."""

    def soil(part: Tensor, random: torch.Generator) -> Tensor:
        speckle = _uniform(random, 0, changes.speckle, len(part), 1, 1)
        noise = _uniform(random, 0, changes.noise, len(part), 1, 1)
        grain = torch.randn(part.shape, generator=random, device=random.device)
        if float(torch.rand(1, generator=random, device=random.device)) < 0.4:
            grain = 2.5 * _blur(grain, 0.8)
        return (part + grain * (part * speckle + noise)).clamp_min(0)

    sigma = float(_log_uniform(generator, 0.4, changes.blur, 1))
    images = _apply(images, changes.shadow, _shade, generator)
    images = _apply(images, 0.7, soil, generator)
    images = _apply(images, changes.coarse, _coarsen, generator)
    images = _apply(images, 0.5, lambda part, _random: _blur(part, sigma), generator)
    n = len(images)
    gamma = _log_uniform(generator, math.exp(-changes.gamma), math.exp(changes.gamma), n, 1, 1)
    gain = _log_uniform(generator, math.exp(-changes.gain), math.exp(changes.gain), n, 1, 1)
    haze = _uniform(generator, -0.04, 0.04, n, 1, 1)
    return ((images.clamp_min(1e-4) ** gamma) * gain + haze).clamp(0, 1.2)


def augment_scans(
    images: Tensor, marked: Tensor, changes: ScanChanges, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change a batch of B-scans ``(n, H, W)`` with their masks ``(n, H, W)`` the same way."""
    grid = random_grid(len(images), (images.shape[1], images.shape[2]), changes, generator)
    both = F.grid_sample(torch.stack([images, marked], dim=1), grid, align_corners=False)
    return change_scanner(both[:, 0], changes, generator), both[:, 1]
