"""Batch augmentation on tensors: one resampling per image, then colour, then cut-out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random changes.

    Attributes
    ----------
    rotation_deg : float
        Largest rotation to either side, in degrees.
    scale : tuple of float
        Smallest and largest zoom; above 1 shows more of the lesion's surroundings less.
    aspect : float
        Largest factor between the axes, so that the aspect ratio tells nothing.
    shift : float
        Largest translation as a fraction of half the image.
    brightness, contrast, saturation, channel_gain : float
        Half-widths of the log-uniform gains.
    cutout : float
        Probability that a square of 20 to 45 % of the shorter side is blanked.
    """

    rotation_deg: float = 180.0
    scale: tuple[float, float] = (0.8, 1.4)
    aspect: float = 1.25
    shift: float = 0.15
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    channel_gain: float = 0.1
    cutout: float = 0.5


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def random_affine(n: int, height: int, width: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Draw ``n`` affine maps from output to input, float32 ``(n, 2, 3)`` for ``F.affine_grid``.

    Rotation is about the centre in pixels of an image of ``height`` by ``width``, so that
    shapes are not sheared by the normalised coordinates of an oblong image.
    """
    limit = math.radians(config.rotation_deg)
    angle = _uniform(n, -limit, limit, generator)
    zoom = torch.exp(_uniform(n, math.log(config.scale[0]), math.log(config.scale[1]), generator))
    stretch = torch.exp(_uniform(n, -math.log(config.aspect), math.log(config.aspect), generator) / 2)
    flip = torch.where(torch.rand(n, generator=generator, device=generator.device) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    ratio = height / width
    x_scale, y_scale = flip * stretch / zoom, 1 / (stretch * zoom)
    theta = torch.zeros(n, 2, 3, device=generator.device)
    theta[:, 0, 0], theta[:, 0, 1] = cos * x_scale, -sin * ratio * y_scale
    theta[:, 1, 0], theta[:, 1, 1] = sin / ratio * x_scale, cos * y_scale
    theta[:, :, 2] = torch.stack([_uniform(n, -config.shift, config.shift, generator) for _ in range(2)], dim=1)
    return theta


def jitter_colour(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and white balance of ``(n, 3, H, W)`` in 0..1."""
    n = len(images)

    def gain(width: float, channels: int = 1) -> Tensor:
        return torch.exp(_uniform(n * channels, -width, width, generator)).view(n, channels, 1, 1)

    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * gain(config.saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * gain(config.contrast)
    return (images * gain(config.brightness) * gain(config.channel_gain, 3)).clamp(0, 1)


def cut_out(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Blank one square in some of the images ``(n, C, H, W)`` with that image's mean colour."""
    n, _, height, width = images.shape
    side = _uniform(n, 0.20, 0.45, generator) * min(height, width)
    side = side * (torch.rand(n, generator=generator, device=generator.device) < probability)
    cy, cx = _uniform(n, 0, height, generator), _uniform(n, 0, width, generator)
    ys, xs = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (ys[None] - cy[:, None]).abs() < side[:, None] / 2
    columns = (xs[None] - cx[:, None]).abs() < side[:, None] / 2
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(hole, images.mean(dim=(2, 3), keepdim=True), images)


def augment_batch(
    images: Tensor,
    masks: Tensor,
    size: tuple[int, int],
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Augment a batch of images with their masks.

    Parameters
    ----------
    images : Tensor (n, 3, H, W), float32 in 0..1
    masks : Tensor (n, 1, h, w), float32 in 0..1
        Resampled with the same maps, at a quarter of the output size.
    size : (int, int)
        Output height and width.
    config : AugmentConfig
    generator : torch.Generator
        On the images' device; runs on different devices draw different changes.

    Returns
    -------
    (Tensor, Tensor)
        Images ``(n, 3, *size)`` and masks ``(n, 1, size[0] // 4, size[1] // 4)``.
    """
    n, _, height, width = images.shape
    theta = random_affine(n, height, width, config, generator)
    grid = F.affine_grid(theta, [n, 3, *size], align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    coarse = F.affine_grid(theta, [n, 1, size[0] // 4, size[1] // 4], align_corners=False)
    targets = F.grid_sample(masks, coarse, padding_mode="reflection", align_corners=False)
    warped = jitter_colour(warped, config, generator)
    return cut_out(warped, config.cutout, generator), targets
