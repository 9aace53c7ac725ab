"""Artefacts in a dermoscopy image, found by plain image processing: no network, nothing trained.

Ruler, ink, hair, dark corners and coloured patches are looked for on a copy of 400 x 300 pixels.
Thresholds favour few false alarms over few misses, and were set on one half of ISIC 2017's
training rows; ``artefact_check`` measures on the other half. The border and the bubbles of the gel
are not looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from plugins.skin_lesion.line_shapes import FEWEST_TICKS, Lines, dark_lines, ruler_score, strip_places, tick_row
from whycad.types import FloatArray, Study
from whycad.whatif.artefacts import FoundArtefact

SIZE = (300, 400)
SMALLEST_SIDE = 64
RIM = 5
# Dark corners: darker than this share of the usual light, or than this light at all.
DARK_SHARE, DARK_LIGHT = 0.38, 0.14
CORNER, CORNER_COVER = 8, 0.4
# Patches: as far from the skin's colour as this in CIELAB's a* and b*, at the image's side.
PATCH_COLOUR, PATCH_LIGHT, PATCH_AREA, FULL_PATCH, PATCH_SCORE = 18.0, 0.7, 0.006, 0.02, 22.0
# Ink: bluer than its neighbourhood by this in b*, darker, and more blue than green.
INK_BLUER, INK_TINT, INK_SHARE, NEIGHBOURHOOD = 6.0, 0.03, 0.003, 28.0
# Hairs: dark lines at least so long and at most so wide; all together as long as this.
HAIR_REACH, HAIR_WIDTH, HAIR_SLIM, HAIR_TOTAL = 28.0, 4.5, 5.0, 220.0
# Hairs that cross are one object: at least so long, and nearly nowhere as thick as this.
NET_REACH, HAIR_THICK, NET_THICK = 60.0, 8, 0.15
# Skin's own lines form nets too: only darker ones away from the lesion speak for hair.
NET_LESION, NET_DEPTH = 0.2, 0.09
LONE_SLIM = 12.0
RULER_SCORE = 0.5
FAINT, NUMBERS_REACH = 0.025, 16
RULER_NOT_HAIR = 0.3

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """One image at the size at which artefacts are looked for, and what several detectors need.

    Attributes
    ----------
    image : ndarray of float32 (300, 400, 3)
        0..1.
    """

    image: FloatArray

    @cached_property
    def lab(self) -> FloatArray:
        """The image in CIELAB."""
        from skimage.color import rgb2lab

        return np.asarray(rgb2lab(self.image), np.float32)

    @cached_property
    def light(self) -> FloatArray:
        """Mean of the channels."""
        return np.asarray(self.image.mean(axis=-1), np.float32)

    @cached_property
    def corners(self) -> tuple[BoolArray, int]:
        """What is dark and reaches a corner, and how many corners it reaches."""
        bright = self.image.max(axis=-1)
        bound = max(DARK_LIGHT, DARK_SHARE * float(np.median(bright)))
        labels, n = ndimage.label(ndimage.gaussian_filter(bright, 1.0) < bound, np.ones((3, 3)))
        reached = [found for part in _corners(labels) if (found := _filling(part, n))]
        return np.isin(labels, reached) if reached else np.zeros(bright.shape, bool), len(reached)

    def apart_from_corners(self, distance: int) -> BoolArray:
        """Return what lies this far from dark corners and not at the image's rim."""
        away = ~ndimage.binary_dilation(self.corners[0], iterations=distance)
        inside = np.zeros(away.shape, bool)
        inside[RIM:-RIM, RIM:-RIM] = True
        return np.asarray(away & inside)

    @cached_property
    def lesion(self) -> BoolArray:
        """What is much darker than the brighter skin."""
        # Hairs are filled up first: a net of them would darken the skin below it.
        return np.asarray(ndimage.gaussian_filter(self.light + self.lines.depth, 5.0) < 0.8 * self.skin_light)

    @cached_property
    def skin_light(self) -> float:
        """Light of the brighter skin."""
        seen = self.light[self.apart_from_corners(8)]
        return float(np.quantile(seen, 0.75)) if seen.size else 1.0

    @cached_property
    def lines(self) -> Lines:
        """Dark lines away from dark corners."""
        return dark_lines(self.light, self.apart_from_corners(8))

    @cached_property
    def ruler(self) -> tuple[float, int]:
        """The ruler's score and label."""
        return ruler_score(self.lines)

    @cached_property
    def ticks(self) -> list[int]:
        """Labels of a row of ticks."""
        return tick_row(self.lines)

    @property
    def ruler_labels(self) -> list[int]:
        """Labels of lines that may be a ruler's."""
        score, label = self.ruler
        return [*self.ticks, *([label] if score > RULER_NOT_HAIR else [])]

    @cached_property
    def patch(self) -> tuple[float, BoolArray]:
        """The score of the most foreign coloured area at the image's side, and where that is."""
        where = ~ndimage.binary_dilation(self.corners[0], iterations=8)
        usual = np.median(self.lab[where], axis=0) if where.any() else np.zeros(3)
        foreign = np.hypot(self.lab[..., 1] - usual[1], self.lab[..., 2] - usual[2])
        mask = (foreign > PATCH_COLOUR) & where & (self.lab[..., 0] > PATCH_LIGHT * usual[0])
        labels, _ = ndimage.label(ndimage.binary_opening(mask, iterations=4), np.ones((3, 3)))
        best, found = 0.0, np.zeros(where.shape, bool)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            area = labels[box] == label
            share = float(area.sum()) / labels.size
            if share < PATCH_AREA or not _at_side(box, labels.shape):
                continue
            score = float(np.median(foreign[box][area])) * min(1.0, share / FULL_PATCH)
            if score > best:
                best, found = score, labels == label
        return best, found


def _corners(labels: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    ends = (slice(0, CORNER), slice(-CORNER, None))
    return [labels[rows, columns] for rows in ends for columns in ends]


def _filling(part: NDArray[np.int32], n: int) -> int:
    """Return the label that fills a corner; 0 of none."""
    counts = np.bincount(part.ravel(), minlength=n + 1)
    counts[0] = 0
    return int(counts.argmax()) if counts.sum() > CORNER_COVER * part.size else 0


def _at_side(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    return any(part.start <= RIM or part.stop >= side - RIM for part, side in zip(box, shape, strict=True))


def dark_corner(scene: SmallPicture) -> FoundArtefact | None:
    """Find the dark surround of the dermatoscope's aperture."""
    mask, n = scene.corners
    return _found("dark_corner", mask, n, 1, reach=6) if n else None


def patches(scene: SmallPicture) -> FoundArtefact | None:
    """Find a coloured calibration patch at the image's side."""
    score, mask = scene.patch
    return _found("patches", np.asarray(ndimage.binary_fill_holes(mask)), score, PATCH_SCORE, reach=6)


def ink(scene: SmallPicture) -> FoundArtefact | None:
    """Find violet or blue strokes of a skin marker."""
    where = scene.apart_from_corners(22)
    score, patch = scene.patch
    if score > PATCH_SCORE:
        where &= ~ndimage.binary_dilation(patch, iterations=10)
    light, blue = scene.lab[..., 0], scene.lab[..., 2]
    tint = scene.image[..., 2] - scene.image[..., 1]
    near_light, near_blue = (_around(values, where) for values in (light, blue))
    mask = where & (near_blue - blue > INK_BLUER) & (tint > INK_TINT) & (light > 12) & (light < near_light - 1)
    mask = ndimage.binary_opening(mask, np.ones((2, 2))) & ~_dark_lesion(scene)
    return _found("ink", np.asarray(mask), float(mask.mean()), INK_SHARE, reach=3)


def _dark_lesion(scene: SmallPicture) -> BoolArray:
    """Return what is so dark that its blue is pigment's."""
    return np.asarray(ndimage.gaussian_filter(scene.light, 5.0) < 0.6 * scene.skin_light)


def _around(values: FloatArray, where: BoolArray) -> FloatArray:
    """Return the mean of the neighbourhood, of the places that count."""
    weight = where.astype(np.float32)
    below = ndimage.gaussian_filter(weight, NEIGHBOURHOOD, truncate=2.5)
    return np.asarray(ndimage.gaussian_filter(values * weight, NEIGHBOURHOOD, truncate=2.5) / np.maximum(below, 1e-3))


def hair(scene: SmallPicture) -> FoundArtefact | None:
    """Find dark hairs outside of the lesion, single ones and nets of crossing ones."""
    lines = scene.lines
    long = lines.reach >= HAIR_REACH
    thick = ndimage.binary_opening(lines.labels > 0, np.ones((HAIR_THICK, HAIR_THICK)))
    single = long & (lines.area <= HAIR_WIDTH * np.maximum(lines.reach, 1))
    crossing = (lines.reach >= NET_REACH) & (_share(lines, thick) < NET_THICK)
    slender = (single | crossing) & (_share(lines, scene.lesion) < 0.5)
    slender |= single & (lines.reach >= NET_REACH) & (lines.length > LONE_SLIM * np.maximum(lines.width, 1e-3))
    slender[[0, *scene.ruler_labels]] = False
    sure = single & (lines.length > HAIR_SLIM * np.maximum(lines.width, 1e-3))
    sure |= crossing & (_share(lines, scene.lesion) < NET_LESION) & (_mean_depth(lines) > NET_DEPTH)
    score = float(lines.reach[sure & slender].sum())
    return _found("hair", slender[lines.labels], score, HAIR_TOTAL, reach=2)


def _mean_depth(lines: Lines) -> NDArray[np.float64]:
    """Return how much darker than its surroundings each line is on average, ``(n + 1,)``."""
    total = np.bincount(lines.labels.ravel(), lines.depth.ravel(), minlength=len(lines.area))
    return np.asarray(total / np.maximum(lines.area, 1))


def _share(lines: Lines, mask: BoolArray) -> NDArray[np.float64]:
    """Return how much of each line lies in a mask, ``(n + 1,)``."""
    counts = np.bincount(lines.labels[mask], minlength=len(lines.area))
    return np.asarray(counts / np.maximum(lines.area, 1))


def ruler(scene: SmallPicture) -> FoundArtefact | None:
    """Find a millimetre scale: a ticked line, or a row of ticks with its numbers."""
    score, label = scene.ruler
    if scene.ticks:
        return _found("ruler", _about_ticks(scene), len(scene.ticks), FEWEST_TICKS, reach=2)
    if score < RULER_SCORE:
        return None
    strip = _drawn(*strip_places(scene.lines, label))
    mask = (strip & (scene.lines.depth > FAINT)) | (scene.lines.labels == label)
    return _found("ruler", np.asarray(mask), score, RULER_SCORE, reach=2)


def _about_ticks(scene: SmallPicture) -> BoolArray:
    """Return a row of ticks and the dark strokes beside it."""
    ticks = np.isin(scene.lines.labels, scene.ticks)
    ends = scene.lines.centre[[scene.ticks[0], scene.ticks[-1]]]
    along = ends[0] + np.linspace(0, 1, 2 * max(SIZE))[:, None] * (ends[1] - ends[0])
    beside = ndimage.binary_dilation(_drawn(along[:, :1], along[:, 1:]), iterations=NUMBERS_REACH)
    small = scene.lines.reach <= 2 * NUMBERS_REACH
    small[0] = False
    return np.asarray(ticks | (beside & small[scene.lines.labels]))


def _drawn(rows: FloatArray, columns: FloatArray) -> BoolArray:
    """Return places as a mask without gaps."""
    rows, columns = np.rint(rows).astype(int), np.rint(columns).astype(int)
    inside = (rows >= 0) & (rows < SIZE[0]) & (columns >= 0) & (columns < SIZE[1])
    strip = np.zeros(SIZE, bool)
    strip[rows[inside], columns[inside]] = True
    return np.asarray(ndimage.binary_closing(strip))


def _found(name: str, mask: BoolArray, score: float, threshold: float, reach: int) -> FoundArtefact | None:
    """Return what was found, widened a little; None below the threshold."""
    if score < threshold or not mask.any():
        return None
    confidence = float(min(1.0, 0.5 + (score / threshold - 1) / 6))
    return FoundArtefact(name, np.asarray(ndimage.binary_dilation(mask, iterations=reach)), confidence)


DETECTORS = (dark_corner, hair, ink, patches, ruler)


def find(image: FloatArray) -> tuple[FoundArtefact, ...]:
    """Look for every kind of artefact.

    Parameters
    ----------
    image : ndarray of float32 (H, W, 3)
        0..1.

    Returns
    -------
    tuple of FoundArtefact
        Masks ``(H, W)``.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return ()
    picture = Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))
    small = picture.resize(SIZE[::-1], Image.Resampling.BILINEAR)
    scene = SmallPicture(np.asarray(small, np.float32) / np.float32(255))
    found = [item for detect in DETECTORS if (item := detect(scene)) is not None]
    return tuple(FoundArtefact(item.name, _resized(item.mask, (height, width)), item.confidence) for item in found)


def _resized(mask: BoolArray, shape: tuple[int, int]) -> BoolArray:
    return np.asarray(Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST), bool)


def artefacts(study: Study) -> tuple[FoundArtefact, ...]:
    """Return the artefacts of a dermoscopy study; the plugin's ``code.artefacts``."""
    return find(study.pixels) if study.is_colour else ()
