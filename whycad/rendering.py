"""Pictures of a study and its maps, without a display: for reports and downloads.

References
----------
Diverging map: ColorBrewer RdBu, 11 classes (Harrower & Brewer 2003). Sequential: cividis
(Nunez et al. 2018). Both keep their order for readers with colour vision deficiency.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from whycad.errors import GeometryError
from whycad.imaging.display import default_window, to_uint8
from whycad.types import AnalysisResult, Attribution, Segmentation, Study

Picture = NDArray[np.uint8]
Value = TypeVar("Value", np.float32, np.bool_)

# Okabe and Ito (2008): told apart with colour vision deficiency.
OUTLINE_COLOURS = (("orange", (230, 159, 0)), ("sky blue", (86, 180, 233)), ("yellow", (240, 228, 66)))

DIVERGING = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)  # fmt: skip
SEQUENTIAL = (
    (0, 34, 78), (18, 53, 112), (59, 73, 108), (87, 93, 109), (112, 113, 115), (138, 134, 120),
    (165, 156, 116), (195, 179, 105), (225, 204, 85), (254, 232, 56),
)  # fmt: skip


@dataclass(frozen=True)
class OverlayStyle:
    """How a map lies over its image.

    Attributes
    ----------
    opacity : float
        0..1, of the strongest values.
    threshold : float
        Share of the largest magnitude below which nothing is drawn.
    """

    opacity: float = 0.6
    threshold: float = 0.15


def shown_slice(study: Study, result: AnalysisResult | None = None) -> int | None:
    """Return which slice of a volume stands for it; None for an image.

    That is the slice of the profile, else of what was pointed at, else the one where the maps are
    strongest, else the middle one.
    """
    if len(study.spatial_shape) == 2:
        return None
    n = len(study.pixels)
    if result is not None and result.profile is not None:
        return result.profile.shown
    if result is not None and result.request.region is not None:
        return int(np.clip(round(result.request.region.start[0]), 0, n - 1))
    if result is not None and result.attributions:
        return int(np.argmax([float(np.abs(part).sum()) for part in result.attributions[0].map]))
    return n // 2


def base_picture(study: Study, index: int | None = None) -> Picture:
    """Return a study as the reader sees it first, ``(H, W, 3)``.

    Parameters
    ----------
    study : Study
    index : int or None
        Slice of a volume; the middle one where None.
    """
    if study.is_colour:
        return to_uint8(study)
    shown = study
    if study.pixels.ndim == 3:
        part = study.pixels[len(study.pixels) // 2 if index is None else index]
        shown = replace(study, pixels=part, spacing_mm=None)
    return np.repeat(to_uint8(shown, default_window(study))[..., None], 3, axis=2)


def colours(values: NDArray[np.float32], *, signed: bool, peak: float | None = None) -> Picture:
    """Map values to colour, ``(H, W, 3)``: signed around zero, others from 0, scaled to ``peak``.

    The largest magnitude is the peak where none is given.
    """
    peak = peak or float(np.abs(values).max()) or 1.0
    position = (values / peak + 1) / 2 if signed else np.clip(values / peak, 0, 1)
    table = np.array(DIVERGING if signed else SEQUENTIAL, np.float64)
    grid = np.linspace(0, 1, len(table))
    channels = [np.interp(position, grid, table[:, c]) for c in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def overlay(
    study: Study, attribution: Attribution, style: OverlayStyle | None = None, *, index: int | None = None
) -> Picture:
    """Blend a map over its image, ``(H, W, 3)``.

    Parameters
    ----------
    study : Study
    attribution : Attribution
    style : OverlayStyle or None
    index : int or None
        Slice of a volume; the middle one where None. Colours are scaled to the whole map.

    Raises
    ------
    GeometryError
        When the map is not on the study's grid.
    """
    style = style or OverlayStyle()
    values = on_slice(attribution.map, study, index)
    base = base_picture(study, index)
    peak = float(np.abs(attribution.map).max()) or 1.0
    strength = np.abs(values) / peak
    # Alpha grows with strength, so that weak values do not hide the image.
    alpha = np.where(strength >= style.threshold, style.opacity * np.sqrt(strength), 0.0)[..., None]
    blended = (1 - alpha) * base + alpha * colours(values / np.float32(peak), signed=attribution.signed, peak=1.0)
    return np.asarray(np.rint(blended), np.uint8)


def on_slice(values: NDArray[Value], study: Study, index: int | None) -> NDArray[Value]:
    """Return the part of a map or mask that lies in a slice; all of it for an image.

    Raises
    ------
    GeometryError
        When it is not on the study's grid.
    """
    if values.shape != study.spatial_shape:
        raise GeometryError(f"a map of shape {values.shape} does not fit an image of shape {study.spatial_shape}")
    if values.ndim == 2:
        return values
    return np.asarray(values[len(values) // 2 if index is None else index])


def outlined(
    study: Study, segmentations: Sequence[Segmentation], *, index: int | None = None, thickness: int = 0
) -> Picture:
    """Draw outlines over an image, one colour each, ``(H, W, 3)``.

    ``thickness`` is in pixels; 0 fits the image's size.

    Raises
    ------
    GeometryError
        When a mask is not on the study's grid.
    """
    picture = base_picture(study, index).copy()
    for number, segmentation in enumerate(segmentations):
        mask = on_slice(segmentation.mask, study, index)
        inner = ndimage.binary_erosion(mask, iterations=thickness or max(1, min(mask.shape) // 256), border_value=0)
        picture[mask & ~inner] = OUTLINE_COLOURS[number % len(OUTLINE_COLOURS)][1]
    return picture


def png(picture: Picture, *, max_side: int | None = None) -> bytes:
    """Encode a picture as PNG, shrunk to ``max_side`` pixels where one is given."""
    image = Image.fromarray(picture)
    if max_side is not None and max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(study: Study, side: int = 240) -> bytes:
    """Return a small JPEG of a study, cropped to 4:3 around its middle."""
    image = Image.fromarray(base_picture(study))
    buffer = io.BytesIO()
    ImageOps.fit(image, (side, side * 3 // 4), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def contact_sheet(
    study: Study, attributions: Sequence[Attribution], *, index: int | None = None, max_side: int = 640, gap: int = 8
) -> bytes:
    """Return one PNG: the image or a slice, then every map over it, side by side, without words."""
    maps = (overlay(study, attribution, index=index) for attribution in attributions)
    pictures = [base_picture(study, index), *maps]
    tiles = []
    for picture in pictures:
        tile = Image.fromarray(picture)
        tile.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        tiles.append(tile)
    width, height = tiles[0].size
    sheet = Image.new("RGB", ((width + gap) * len(tiles) - gap, height), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place * (width + gap), 0))
    return png(np.asarray(sheet, np.uint8))


def data_uri(picture: Picture, *, max_side: int | None = 720) -> str:
    """Return a picture as a ``data:`` address, for files that stand alone."""
    return "data:image/png;base64," + base64.b64encode(png(picture, max_side=max_side)).decode("ascii")
