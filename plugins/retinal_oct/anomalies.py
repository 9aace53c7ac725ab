"""Simulated disease painted into normal B-scans: what the network learns to call unknown.

None of it is meant to pass for one particular disease. Together the pieces cover the ways in which
a retina departs from normal: it is lifted, thickened or thinned; holds dark or bright material; a
band fades, the layers lose their order. Training on such outliers keeps a classifier from calling
a disease normal that it was never shown (Hendrycks 2019; Tan 2020; Zavrtanik 2021).

References
----------
Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, ICLR 2019.
Tan et al., Detecting Outliers with Foreign Patch Interpolation, MELBA 2022.
Zavrtanik et al., DRAEM, a discriminatively trained reconstruction embedding, ICCV 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.retinal_oct.align import INPUT_SHAPE

HEIGHT, WIDTH = INPUT_SHAPE


@dataclass(frozen=True, eq=False)
class Scene:
    """A batch that anomalies are painted into.

    Attributes
    ----------
    images : Tensor (n, H, W)
        Levelled B-scans, 0..1.2.
    inner, outer : Tensor (n, W)
        Rows of the retina's borders.
    marked : Tensor (n, H, W)
        How much was changed where, 0..1.
    """

    images: Tensor
    inner: Tensor
    outer: Tensor
    marked: Tensor

    @property
    def n(self) -> int:
        """Images in the batch."""
        return len(self.images)

    @property
    def rows(self) -> Tensor:
        """Row numbers ``(1, H, 1)``."""
        return torch.arange(HEIGHT, dtype=torch.float32, device=self.images.device).view(1, -1, 1)

    @property
    def columns(self) -> Tensor:
        """Column numbers ``(1, W)``."""
        return torch.arange(WIDTH, dtype=torch.float32, device=self.images.device).view(1, -1)

    def depth(self) -> Tensor:
        """Return each pixel's depth in the retina ``(n, H, W)``: 0 at the inner border, 1 at the outer."""
        thickness = (self.outer - self.inner).clamp_min(4)[:, None]
        return (self.rows - self.inner[:, None]) / thickness


Painter = Callable[[Scene, torch.Generator], Scene]


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low


def _log_uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.exp(_uniform(generator, math.log(low), math.log(high), *shape))


def _domes(scene: Scene, generator: torch.Generator, width: tuple[float, float], count: int) -> Tensor:
    """Return ``count`` profiles across the columns ``(n, count, W)``, 0..1, from rounded to flat-topped."""
    centre = _uniform(generator, 4, WIDTH - 4, scene.n, count, 1)
    half = _log_uniform(generator, *width, scene.n, count, 1)
    power = _log_uniform(generator, 1.0, 3.0, scene.n, count, 1)
    return torch.exp(-(((scene.columns[:, None] - centre) / half).abs() ** (2 * power)))


def _some(generator: torch.Generator, n: int, count: int) -> Tensor:
    """Return which of ``count`` pieces each image gets ``(n, count, 1)``: the first always."""
    wanted = torch.exp(_uniform(generator, 0, math.log(count + 0.99), n, 1, 1)).floor()
    return (torch.arange(count, device=wanted.device).view(1, -1, 1) < wanted).float()


def _pull(images: Tensor, source_rows: Tensor) -> Tensor:
    """Read every pixel from another row of its column: ``source_rows`` ``(n, H, W)``."""
    x = torch.linspace(-1 + 1 / WIDTH, 1 - 1 / WIDTH, WIDTH, device=images.device).expand(len(images), HEIGHT, WIDTH)
    y = (2 * source_rows + 1) / HEIGHT - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(images[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


@dataclass(frozen=True, eq=False)
class Lift:
    """How tissue moves up: all above ``split`` by ``gap``, the inner border by ``rise``; each ``(n, W)``."""

    split: Tensor
    gap: Tensor
    rise: Tensor


def lift(scene: Scene, how: Lift, filling: Tensor) -> Scene:
    """Part the tissue at a border and fill the gap with ``filling`` ``(n, H, W)``."""
    rows, split, inner = scene.rows, how.split[:, None], scene.inner[:, None]
    gap, rise = how.gap[:, None], how.rise[:, None]
    new_split, new_inner = split - gap, inner - rise
    share = (rows - new_inner) / (new_split - new_inner).clamp_min(2)
    within = inner + share * (split - inner)
    source = torch.where(rows < new_inner, rows + rise, torch.where(rows < new_split, within, rows))
    moved = _pull(scene.images, source)
    opened = ((rows - new_split + 0.5).clamp(0, 1) * (split - rows + 0.5).clamp(0, 1)) * (gap > 0.3)
    images = moved * (1 - opened) + filling * opened
    bend = (rise - gap).abs().clamp(0, 4) / 4 * ((rows >= new_inner) & (rows < new_split))
    marked = torch.maximum(scene.marked, torch.maximum(opened, bend))
    return Scene(images, scene.inner - how.rise, scene.outer, marked)


def _texture(scene: Scene, generator: torch.Generator, grain: int) -> Tensor:
    """Return smooth noise ``(n, H, W)`` of mean 0 and deviation about 1."""
    coarse = torch.randn(scene.n, 1, HEIGHT // grain, WIDTH // grain, generator=generator, device=generator.device)
    return F.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[:, 0]


def _filling(scene: Scene, generator: torch.Generator, grey: tuple[float, float]) -> Tensor:
    level = _uniform(generator, *grey, scene.n, 1, 1)
    return (level * (1 + 0.25 * _texture(scene, generator, 4))).clamp(0, 1.2)


def subretinal_fluid(scene: Scene, generator: torch.Generator) -> Scene:
    """Lift the retina off the pigment epithelium over a dark gap."""
    dome = _domes(scene, generator, (8, 45), 1)[:, 0]
    gap = dome * _log_uniform(generator, 3, 20, scene.n, 1)
    rise = gap * _uniform(generator, 0.5, 1.1, scene.n, 1)
    split = scene.outer - _uniform(generator, 0.5, 3.5, scene.n, 1)
    return lift(scene, Lift(split, gap, rise), _filling(scene, generator, (0.0, 0.12)))


def bumps(scene: Scene, generator: torch.Generator) -> Scene:
    """Lift the pigment epithelium by one to ten bumps: drusen, detachments."""
    count = 10
    domes = _domes(scene, generator, (2.0, 14), count) * _some(generator, scene.n, count)
    height = _log_uniform(generator, 2.0, 9, scene.n, count, 1)
    gap = (domes * height).amax(dim=1)
    rise = gap * _uniform(generator, 0.0, 1.0, scene.n, 1)
    split = scene.outer + _uniform(generator, 2.0, 5.0, scene.n, 1)
    return lift(scene, Lift(split, gap, rise), _filling(scene, generator, (0.1, 0.75)))


def thickening(scene: Scene, generator: torch.Generator) -> Scene:
    """Swell the retina, thin it, or fill the foveal pit, over part of its width."""
    dome = _domes(scene, generator, (15, 90), 1)[:, 0]
    thickness = (scene.outer - scene.inner).clamp_min(4)
    swell = thickness * _uniform(generator, 0.25, 1.0, scene.n, 1)
    thin = -thickness * _uniform(generator, 0.3, 0.6, scene.n, 1)
    level = F.max_pool1d(thickness[:, None], 61, 1, 30)[:, 0] - thickness
    pit = level + thickness * _uniform(generator, 0.05, 0.3, scene.n, 1)
    which = torch.randint(0, 4, (scene.n, 1), generator=generator, device=generator.device)
    rise = dome * torch.where(which < 2, swell, torch.where(which == 2, thin, pit))
    return lift(scene, Lift(scene.outer - 3, torch.zeros_like(rise), rise), torch.zeros_like(scene.images))


def _ellipses(scene: Scene, generator: torch.Generator, size: tuple[float, float], count: int) -> Tensor:
    """Return soft ellipses in the retina ``(n, count, H, W)``; some images get fewer than ``count``."""
    column = _uniform(generator, 4, WIDTH - 4, scene.n, count)
    if count > 1:
        near = column[:, :1] + torch.randn(scene.n, count, generator=generator, device=generator.device) * 18
        together = torch.rand(scene.n, 1, generator=generator, device=generator.device) < 0.6
        column = torch.where(together, near, column).clamp(0, WIDTH - 1)
    depth = _uniform(generator, 0.12, 0.88, scene.n, count)
    at = column.round().long()
    inner, outer = scene.inner.gather(1, at), scene.outer.gather(1, at)
    row = inner + depth * (outer - inner)
    high = _log_uniform(generator, *size, scene.n, count)
    room = (torch.minimum(row - inner, outer - row)).clamp_min(size[0])
    high = torch.minimum(high, room)
    wide = high * _log_uniform(generator, 0.6, 2.5, scene.n, count)
    dy = (scene.rows[None] - row[..., None, None]) / high[..., None, None]
    dx = (scene.columns[None, None] - column[..., None, None]) / wide[..., None, None]
    soft = ((1.3 - torch.sqrt(dx * dx + dy * dy + 1e-6)) / 0.6).clamp(0, 1)
    return soft * _some(generator, scene.n, count)[..., None]


def cysts(scene: Scene, generator: torch.Generator) -> Scene:
    """Put dark round spaces into the retina, often in a cluster, often with swelling."""
    if float(torch.rand(1, generator=generator, device=generator.device)) < 0.6:
        dome = _domes(scene, generator, (12, 50), 1)[:, 0]
        rise = dome * (scene.outer - scene.inner) * _uniform(generator, 0.0, 0.8, scene.n, 1)
        scene = lift(scene, Lift(scene.outer - 3, rise * 0, rise), torch.zeros_like(scene.images))
    holes = _ellipses(scene, generator, (2.0, 11), 8).amax(dim=1)
    left = _uniform(generator, 0.0, 0.3, scene.n, 1, 1)
    images = scene.images * (1 - holes * (1 - left))
    return Scene(images, scene.inner, scene.outer, torch.maximum(scene.marked, holes))


def bright_foci(scene: Scene, generator: torch.Generator) -> Scene:
    """Put small bright spots into the retina, some with a shadow below."""
    spots = _ellipses(scene, generator, (0.8, 2.5), 8).amax(dim=1)
    grey = _uniform(generator, 0.8, 1.2, scene.n, 1, 1)
    images = torch.maximum(scene.images, spots * grey)
    shadow = (spots.cumsum(dim=1) / 4).clamp(0, 1) * (1 - spots) * _uniform(generator, 0, 0.7, scene.n, 1, 1)
    return Scene(images * (1 - shadow), scene.inner, scene.outer, torch.maximum(scene.marked, spots))


def faded_band(scene: Scene, generator: torch.Generator) -> Scene:
    """Dim the outer bands over part of the width; more or less light reaches the choroid there."""
    dome = _domes(scene, generator, (5, 40), 1)[:, 0][:, None]
    distance = (scene.rows - scene.outer[:, None]).abs()
    band = ((6 - distance) / 3).clamp(0, 1) * dome
    below = ((scene.rows - scene.outer[:, None] - 3) / 2).clamp(0, 1) * dome
    dim = _uniform(generator, 0.45, 0.95, scene.n, 1, 1)
    beyond = _log_uniform(generator, 0.4, 2.5, scene.n, 1, 1)
    images = scene.images * (1 - band * dim) * (1 + below * (beyond - 1))
    return Scene(images.clamp(0, 1.2), scene.inner, scene.outer, torch.maximum(scene.marked, band))


def disorder(scene: Scene, generator: torch.Generator) -> Scene:
    """Blend a stretch of the retina with tissue of another place and image, or smear its layers."""
    dome = _domes(scene, generator, (8, 35), 1)[:, 0][:, None]
    depth = scene.depth()
    low, high = _uniform(generator, -0.1, 0.5, scene.n, 1, 1), _uniform(generator, 0.2, 0.6, scene.n, 1, 1)
    where = dome * ((depth > low) & (depth < low + high)).float()
    where = F.avg_pool2d(where[:, None], 3, 1, 1)[:, 0]
    shift = int(torch.randint(10, WIDTH - 10, (1,), generator=generator, device=generator.device))
    drop = int(torch.randint(-14, 15, (1,), generator=generator, device=generator.device))
    foreign = torch.roll(scene.images.roll(1, 0), (drop, shift), (1, 2))
    smeared = F.avg_pool2d(scene.images[:, None], (13, 5), 1, (6, 2))[:, 0]
    smeared = smeared * (1 + 0.3 * _texture(scene, generator, 2)).clamp(0.2, 2)
    pick = (torch.rand(scene.n, 1, 1, generator=generator, device=generator.device) < 0.5).float()
    other = pick * foreign + (1 - pick) * smeared
    images = scene.images * (1 - where) + other * where
    return Scene(images, scene.inner, scene.outer, torch.maximum(scene.marked, where))


def surface(scene: Scene, generator: torch.Generator) -> Scene:
    """Wrinkle the inner border under a bright membrane."""
    dome = _domes(scene, generator, (15, 80), 1)[:, 0]
    waves = torch.zeros(scene.n, WIDTH, device=scene.images.device)
    for _ in range(3):
        turns = _uniform(generator, 4, 22, scene.n, 1)
        phase = _uniform(generator, 0, 2 * math.pi, scene.n, 1)
        waves = waves + torch.sin(2 * math.pi * turns * scene.columns / WIDTH + phase)
    rise = dome * waves * _uniform(generator, 0.8, 2.5, scene.n, 1)
    scene = lift(scene, Lift(scene.outer - 8, rise * 0, rise), torch.zeros_like(scene.images))
    line = ((1.6 - (scene.rows - scene.inner[:, None] + 0.5).abs()) / 1.0).clamp(0, 1) * dome[:, None]
    images = torch.maximum(scene.images, line * _uniform(generator, 0.5, 1.0, scene.n, 1, 1))
    return Scene(images, scene.inner, scene.outer, torch.maximum(scene.marked, 0.6 * line))


PAINTERS: tuple[Painter, ...] = (
    subretinal_fluid,
    bumps,
    thickening,
    cysts,
    bright_foci,
    faded_band,
    disorder,
    surface,
)
# Chance of each painter to be an image's main change.
SHARES = (0.15, 0.24, 0.13, 0.20, 0.09, 0.08, 0.07, 0.04)
SECOND = 0.35
# A change of less than this much grey, averaged over 7 x 7 pixels, is not asked to be seen.
VISIBLE = 0.03


def paint(images: Tensor, inner: Tensor, outer: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paint one or two kinds of simulated disease into every image.

    Parameters
    ----------
    images : Tensor (n, H, W)
    inner, outer : Tensor (n, W)
        The retina's borders.
    generator : torch.Generator

    Returns
    -------
    (Tensor, Tensor)
        The images, and how much was visibly changed where ``(n, H, W)``, 0..1.
    """
    before, images, marked = images, images.clone(), torch.zeros_like(images)
    weights = torch.tensor(SHARES, device=images.device)
    inner, outer = inner.clone(), outer.clone()
    first = torch.multinomial(weights, len(images), replacement=True, generator=generator)
    second = torch.multinomial(weights, len(images), replacement=True, generator=generator)
    twice = torch.rand(len(images), generator=generator, device=generator.device) < SECOND
    for chosen, active in ((first, torch.ones_like(twice)), (second, twice)):
        for index, painter in enumerate(PAINTERS):
            at = torch.nonzero((chosen == index) & active)[:, 0]
            if len(at):
                scene = painter(Scene(images[at], inner[at], outer[at], marked[at]), generator)
                images[at], inner[at], marked[at] = scene.images, scene.inner, scene.marked
    change = F.avg_pool2d((images - before).abs()[:, None], 7, 1, 3)[:, 0]
    return images, marked * (change > VISIBLE)
