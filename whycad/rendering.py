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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from whycad.errors import GeometryError
from whycad.imaging.display import to_uint8
from whycad.types import Attribution, Study

Picture = NDArray[np.uint8]

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


def base_picture(study: Study) -> Picture:
    """Return a study as the reader sees it first, ``(H, W, 3)``; the middle slice of a volume."""
    picture = to_uint8(study)
    if study.is_colour:
        return picture
    grey = picture if picture.ndim == 2 else picture[len(picture) // 2]
    return np.repeat(grey[..., None], 3, axis=2)


def colours(values: NDArray[np.float32], *, signed: bool) -> Picture:
    """Map values to colour, ``(H, W, 3)``: signed around zero, others from 0, scaled to the largest magnitude."""
    peak = float(np.abs(values).max()) or 1.0
    position = (values / peak + 1) / 2 if signed else np.clip(values / peak, 0, 1)
    table = np.array(DIVERGING if signed else SEQUENTIAL, np.float64)
    grid = np.linspace(0, 1, len(table))
    channels = [np.interp(position, grid, table[:, c]) for c in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def overlay(study: Study, attribution: Attribution, style: OverlayStyle | None = None) -> Picture:
    """Blend a map over its image, ``(H, W, 3)``.

    Raises
    ------
    GeometryError
        When the map is not on the study's grid.
    """
    style = style or OverlayStyle()
    if attribution.map.shape != study.spatial_shape:
        raise GeometryError(
            f"a map of shape {attribution.map.shape} does not fit an image of shape {study.spatial_shape}"
        )
    base = base_picture(study)
    values = attribution.map if attribution.map.ndim == 2 else attribution.map[len(attribution.map) // 2]
    strength = np.abs(values) / (float(np.abs(values).max()) or 1.0)
    # Alpha grows with strength, so that weak values do not hide the image.
    alpha = np.where(strength >= style.threshold, style.opacity * np.sqrt(strength), 0.0)[..., None]
    blended = (1 - alpha) * base + alpha * colours(values, signed=attribution.signed)
    return np.asarray(np.rint(blended), np.uint8)


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


def contact_sheet(study: Study, attributions: Sequence[Attribution], *, max_side: int = 640, gap: int = 8) -> bytes:
    """Return one PNG: the image, then every map over it, side by side, without words."""
    pictures = [base_picture(study), *(overlay(study, attribution) for attribution in attributions)]
    tiles = []
    for picture in pictures:
        tile = Image.fromarray(picture)
        tile.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        tiles.append(tile)
    width, height = tiles[0].size
    sheet = Image.new("RGB", ((width + gap) * len(tiles) - gap, height), "white")
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index * (width + gap), 0))
    return png(np.asarray(sheet, np.uint8))


def data_uri(picture: Picture, *, max_side: int | None = 720) -> str:
    """Return a picture as a ``data:`` address, for files that stand alone."""
    return "data:image/png;base64," + base64.b64encode(png(picture, max_side=max_side)).decode("ascii")
