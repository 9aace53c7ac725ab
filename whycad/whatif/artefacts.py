"""Artefacts in an image: what every task looks for, and what a plugin's own detectors find.

A detector is plain image processing on one picture. What a plugin names in ``code.artefacts`` adds
to padding and burned-in text, which are looked for in every grey image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.errors import PluginError
from whycad.plugin import contained
from whycad.types import FloatArray, Study

if TYPE_CHECKING:
    from whycad.plugin import Plugin

BoolArray = NDArray[np.bool_]

WORDS = {
    "padding": "the padding",
    "burned_in_text": "the burned-in text",
    "dark_corner": "the dark corners",
    "white_corner": "the white corners",
    "hair": "the hair",
    "ink": "the ink",
    "patches": "the coloured patch",
    "ruler": "the ruler",
    "gel_border": "the gel's border",
    "gel_bubble": "the gel's bubbles",
}
MAX_FOUND = 24
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

# Padding is rows or columns of one value along at least this share of a side.
LEAST_PADDING = 0.02
EVEN = 0.012
# Text is strokes as bright as the brightest, in letters of these heights, standing in a row.
TEXT_LEVEL = 0.9
TEXT_CONTRAST = 0.35
FAINT = 0.2
LETTER_HEIGHTS = (0.012, 0.09)
FEWEST_LETTERS = 4
LEAST_LETTER_PX = 5


@dataclass(frozen=True, eq=False)
class FoundArtefact:
    """Something in an image that is not of the patient.

    Attributes
    ----------
    name : str
        Its kind, such as ``ruler``; of the manifest's ``audit.artefacts`` where it is one of them.
    mask : ndarray of bool
        On the image's spatial grid.
    confidence : float
        0..1, the detector's own.
    """

    name: str
    mask: BoolArray
    confidence: float


def artefact_words(name: str) -> str:
    """Return how a kind of artefact is named within a sentence."""
    return WORDS.get(name, f"the {name.replace('_', ' ')}")


def find_artefacts(study: Study, plugin: Plugin) -> tuple[FoundArtefact, ...]:
    """Look for artefacts in one image.

    Parameters
    ----------
    study : Study
        An image, or a volume; in a volume nothing is looked for.
    plugin : Plugin
        Its own detectors run after the shared ones.

    Returns
    -------
    tuple of FoundArtefact
        The surest first.

    Raises
    ------
    PluginError
        When the plugin's code fails or returns something else.
    """
    if len(study.spatial_shape) != 2:
        return ()
    found = [] if study.is_colour else [*padding(study.pixels), *burned_in_text(study.pixels)]
    reference = plugin.manifest.code.artefacts
    if reference is not None:
        function = plugin.resolve(reference)
        with contained(plugin, "artefacts"):
            own = tuple(function(study))
        found += _checked(plugin, own, study)
    return tuple(sorted(found, key=lambda item: -item.confidence))


def _checked(plugin: Plugin, found: Iterable[object], study: Study) -> list[FoundArtefact]:
    """Return what a plugin found if it can be shown."""
    kept = []
    for item in found:
        if not isinstance(item, FoundArtefact) or not _NAME.fullmatch(str(item.name)):
            raise PluginError(f"{plugin.label}: artefacts must return FoundArtefact with a plain name")
        mask = item.mask
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != study.spatial_shape:
            raise PluginError(f"{plugin.label}: artefact {item.name!r} has no mask (bool) of the image's shape")
        if not 0 <= item.confidence <= 1:
            raise PluginError(f"{plugin.label}: artefact {item.name!r} has a confidence outside 0..1")
        if mask.any():
            kept.append(item)
    if len(kept) > MAX_FOUND:
        raise PluginError(f"{plugin.label}: more than {MAX_FOUND} artefacts in one image")
    return kept


def unit_range(pixels: FloatArray) -> FloatArray:
    """Scale an image to 0..1 by its darkest and brightest value."""
    low, high = float(pixels.min()), float(pixels.max())
    return np.asarray((pixels - low) / max(high - low, 1e-12), np.float32)


def padding(pixels: FloatArray) -> list[FoundArtefact]:
    """Find bands of one value along the sides of a grey image ``(H, W)``.

    Returns
    -------
    list of FoundArtefact
        One or none.
    """
    image = unit_range(pixels)
    mask = np.zeros(image.shape, bool)
    for axis, where in ((0, False), (0, True), (1, False), (1, True)):
        lines = image if axis == 0 else image.T
        lines = lines[::-1] if where else lines
        n = _even_lines(lines)
        if n < max(2, LEAST_PADDING * len(lines)) or n > len(lines) // 2:
            continue
        band = np.zeros(len(lines), bool)
        band[:n] = True
        band = band[::-1] if where else band
        mask |= band[:, None] if axis == 0 else band[None, :]
    return [FoundArtefact("padding", mask, 1.0)] if mask.any() else []


def _even_lines(lines: FloatArray) -> int:
    """Return how many lines from the first one on hold the first one's value alone."""
    value = float(np.median(lines[0]))
    even = (np.abs(lines - value) <= EVEN).all(axis=1)
    return int(len(even) if even.all() else np.argmin(even))


def burned_in_text(pixels: FloatArray) -> list[FoundArtefact]:
    """Find rows of small strokes as bright as the brightest in a grey image ``(H, W)``.

    Returns
    -------
    list of FoundArtefact
        One with all of the text, or none.
    """
    image = unit_range(pixels)
    height = image.shape[0]
    size = max(LEAST_LETTER_PX, round(LETTER_HEIGHTS[1] * height))
    raised = image - ndimage.grey_opening(image, (size, size))
    labels, _ = ndimage.label((image >= TEXT_LEVEL) & (raised >= TEXT_CONTRAST), np.ones((3, 3)))
    letters = [box for box in ndimage.find_objects(labels) if box is not None and _may_be_letter(box, height)]
    mask = np.zeros(image.shape, bool)
    n = 0
    for row in _rows_of_letters(letters):
        n += len(row)
        strip = _strip(row)
        mask[strip] |= raised[strip] > FAINT
    if not n:
        return []
    mask = np.asarray(ndimage.binary_dilation(mask, iterations=2))
    return [FoundArtefact("burned_in_text", mask, min(1.0, n / (2 * FEWEST_LETTERS)))]


def _strip(row: list[tuple[slice, ...]]) -> tuple[slice, slice]:
    """Return the box about a row of letters, half a letter wider on every side."""
    rows, columns = [box[0] for box in row], [box[1] for box in row]
    spare = max(part.stop - part.start for part in rows) // 2 + 1

    def about(parts: list[slice]) -> slice:
        return slice(max(0, min(part.start for part in parts) - spare), max(part.stop for part in parts) + spare)

    return about(rows), about(columns)


def _may_be_letter(box: tuple[slice, ...], height: int) -> bool:
    tall, wide = (part.stop - part.start for part in box)
    least = max(LEAST_LETTER_PX, LETTER_HEIGHTS[0] * height)
    return bool(least <= tall <= LETTER_HEIGHTS[1] * height and wide <= 1.6 * tall)


def _rows_of_letters(letters: list[tuple[slice, ...]]) -> list[list[tuple[slice, ...]]]:
    """Group boxes of like height that stand side by side on one line."""
    rows: list[list[tuple[slice, ...]]] = []
    for box in sorted(letters, key=lambda item: item[1].start):
        for row in rows:
            if _continues(row[-1], box):
                row.append(box)
                break
        else:
            rows.append([box])
    return [row for row in rows if len(row) >= FEWEST_LETTERS]


def _continues(last: tuple[slice, ...], box: tuple[slice, ...]) -> bool:
    tall, other = (item[0].stop - item[0].start for item in (last, box))
    level = abs(last[0].stop - box[0].stop) <= 0.25 * max(tall, other) + 1
    alike = max(tall, other) <= 1.5 * min(tall, other) + 1
    gap = box[1].start - last[1].stop
    return bool(level and alike and -1 <= gap <= 1.5 * max(tall, other))
