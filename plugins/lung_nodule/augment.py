"""Training views: planes of 96 x 96 pixels of 0.6 mm, turned, clicked beside the centre, and cut.

Key slices alone are known with all that surrounds a nodule, so coronal and sagittal views are
learned from them: a slice turned by any angle, blurred and resampled along one axis as slices are,
and cut to a strip whose height has nothing to do with the nodule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.lung_nodule.grid import HU_CENTRE, HU_SCALE, MIDDLE, SENTINEL, SHAPE, SPACING_MM
from plugins.lung_nodule.views import MARGIN, SIDE, STRIP_ROWS, strip_to_plane


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random changes.

    Attributes
    ----------
    jitter_mm : float
        Largest distance between the seed and the nodule's centre.
    scale : float
        Largest relative change of size, either way.
    offset_hu, gain, noise_hu : float
        Half-widths of shift and gain of the grey scale; largest standard deviation of noise.
    sharpness : tuple of float
        Range of the mix with a blurred copy; below 0 it sharpens.
    strips : float
        Share of samples that stand for a coronal or sagittal view.
    fewest_slices : int
        Least height of such a strip; odd.
    neighbours : float
        Share of samples taken from a neighbouring slice, where there is one.
    elsewhere : float
        Share of samples that look beside the nodule, for the outline only.
    elsewhere_mm : tuple of float
        How far beside.
    """

    jitter_mm: float = 3.0
    scale: float = 0.06
    offset_hu: float = 30.0
    gain: float = 0.04
    noise_hu: float = 25.0
    sharpness: tuple[float, float] = (-0.3, 0.6)
    strips: float = 0.2
    fewest_slices: int = 17
    neighbours: float = 0.1
    elsewhere: float = 0.08
    elsewhere_mm: tuple[float, float] = (12.0, 28.0)


@dataclass(frozen=True, eq=False)
class Slices:
    """A batch of slices to look at.

    Attributes
    ----------
    hu, mask : Tensor (n, S, S), float32
        Only the first ``side`` rows and columns hold anything.
    side, spacing_mm : Tensor (n,)
    seed : Tensor (n, 2)
        Row and column.
    """

    hu: Tensor
    mask: Tensor
    side: Tensor
    spacing_mm: Tensor
    seed: Tensor


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def draw_shifts(n: int, nearest_mm: float, farthest_mm: float, generator: torch.Generator) -> Tensor:
    """Draw shifts ``(n, 2)`` in mm, evenly over the ring between two distances."""
    angle = _uniform(n, 0, 2 * math.pi, generator)
    radius = torch.sqrt(_uniform(n, nearest_mm**2, farthest_mm**2, generator))
    return torch.stack([radius * torch.sin(angle), radius * torch.cos(angle)], dim=1)


def draw_turns(n: int, scale: float, generator: torch.Generator) -> Tensor:
    """Draw turns by any angle, half of them mirrored, with a change of size; ``(n, 2, 2)``."""
    angle = _uniform(n, 0, 2 * math.pi, generator)
    size = torch.exp(_uniform(n, -scale, scale, generator))
    flip = torch.where(torch.rand(n, generator=generator, device=generator.device) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    return torch.stack([torch.stack([cos, -sin * flip], 1), torch.stack([sin, cos * flip], 1)], dim=1)


def sample_planes(slices: Slices, turns: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Resample slices to planes about their shifted seeds.

    Parameters
    ----------
    slices : Slices
    turns : Tensor (n, 2, 2)
        From plane to slice, on (row, column).
    shifts : Tensor (n, 2)
        Of the seed, in mm.

    Returns
    -------
    hu, mask, known : Tensor (n, 96, 96)
    """
    n, size = len(slices.hu), slices.hu.shape[-1]
    axis = (torch.arange(SIDE, device=turns.device) - (SIDE - 1) / 2) * SPACING_MM[1]
    offsets = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    offsets = torch.einsum("nij,hwj->nhwi", turns, offsets) + shifts[:, None, None]
    places = slices.seed[:, None, None] + offsets / slices.spacing_mm[:, None, None, None]
    grid = ((2 * places + 1) / size - 1).flip(-1)
    both = torch.stack([slices.hu, slices.mask], dim=1)
    found = F.grid_sample(both, grid, padding_mode="border", align_corners=False)
    limit = slices.side.view(n, 1, 1, 1) - 0.5
    known = ((places >= -0.5) & (places <= limit)).all(dim=-1)
    return found[:, 0], found[:, 1] * known, known


def change_grey(hu: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change sharpness, gain, offset and noise of planes ``(n, 96, 96)`` in Hounsfield units."""
    n = len(hu)

    def draw(low: float, high: float) -> Tensor:
        return _uniform(n, low, high, generator).view(n, 1, 1)

    blurred = F.avg_pool2d(hu[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    hu = hu + draw(*config.sharpness) * (blurred - hu)
    noise = torch.randn(hu.shape, generator=generator, device=generator.device) * draw(0, config.noise_hu)
    return hu * (1 + draw(-config.gain, config.gain)) + draw(-config.offset_hu, config.offset_hu) + noise


def normalise(hu: Tensor, known: Tensor) -> Tensor:
    """Bring planes to -1..1, with the sentinel where nothing is known."""
    return torch.where(known, ((hu - HU_CENTRE) / HU_SCALE).clamp(-1, 1), SENTINEL)


def draw_heights(n: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Draw how many slices of a strip are known: odd, ``fewest_slices`` to all 25, whatever the nodule; ``(n,)``."""
    steps = (SHAPE[0] - config.fewest_slices) // 2 + 1
    return config.fewest_slices + 2 * torch.randint(0, steps, (n,), generator=generator, device=generator.device)


def as_strip(planes: Tensor, heights: Tensor, generator: torch.Generator) -> Tensor:
    """Make planes ``(n, 96, 96)`` look like coronal ones of a volume cut to ``heights`` slices."""
    n = len(planes)
    rows = planes[:, None, MARGIN : SIDE - MARGIN]
    slices = F.interpolate(rows, (SHAPE[0], SIDE), mode="bilinear", align_corners=False, antialias=True)[:, 0]
    share = _uniform(n, 0.0, 0.3, generator).view(n, 1, 1)
    spread = torch.cat([slices[:, :1], slices[:, :-1]], 1) + torch.cat([slices[:, 1:], slices[:, -1:]], 1)
    strip = strip_to_plane((1 - 2 * share) * slices + share * spread)
    slice_of_row = ((2 * torch.arange(STRIP_ROWS, device=planes.device) + 1) * SHAPE[0]) // (2 * STRIP_ROWS)
    cut = 2 * (slice_of_row - MIDDLE).abs()[None] >= heights[:, None]
    cut = F.pad(cut, (MARGIN, MARGIN), value=True)
    return torch.where(cut[:, :, None], SENTINEL, strip)


@dataclass(frozen=True, eq=False)
class Views:
    """Augmented planes with what is known of them.

    Attributes
    ----------
    planes : Tensor (n, 96, 96)
    mask : Tensor (n, 96, 96), 0..1
    known : Tensor of bool (n, 96, 96)
    centred : Tensor of bool (n,)
        Whether the plane is about the nodule.
    """

    planes: Tensor
    mask: Tensor
    known: Tensor
    centred: Tensor


def augment(slices: Slices, config: AugmentConfig, generator: torch.Generator) -> Views:
    """Draw one view of every slice."""
    n = len(slices.hu)
    centred = torch.rand(n, generator=generator, device=generator.device) >= config.elsewhere
    near = draw_shifts(n, 0.0, config.jitter_mm, generator)
    far = draw_shifts(n, *config.elsewhere_mm, generator)
    shifts = torch.where(centred[:, None], near, far)
    hu, mask, known = sample_planes(slices, draw_turns(n, config.scale, generator), shifts)
    planes = normalise(change_grey(hu, config, generator), known)
    strip = (torch.rand(n, generator=generator, device=generator.device) < config.strips) & (
        slices.side == slices.hu.shape[-1]
    )
    heights = draw_heights(n, config, generator)
    strips = as_strip(planes, heights, generator)
    planes = torch.where(strip[:, None, None], strips, planes)
    return Views(planes, mask, planes > SENTINEL + 0.5, centred)
