"""Put an artefact into an image, and the control: a change of equal size and contrast that is no artefact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from whycad.audit.changes.change import BoolArray, Canvas, Change, Changed, changed_within
from whycad.audit.changes.overlays import FIELDS, OVERLAYS, blended
from whycad.errors import PluginError
from whycad.manifest import Manifest
from whycad.plugin import Plugin, contained
from whycad.types import FloatArray, Study

EVERY_TASK = ("burned_in_text", "white_corner", "padding")
GREY_TASKS = ("scanner_noise", "scanner_blur", "kernel_sharpen")
COLOUR_TASKS = ("dark_corner", "patches")
CT_TASKS = ("table_edge",)
HU_BELOW = -500.0

# As they are named in a sentence.
INSERTED: Mapping[str, str] = {
    "burned_in_text": "burned-in text",
    "dark_corner": "dark corners",
    "gel_border": "a gel border",
    "gel_bubble": "gel bubbles",
    "hair": "hair",
    "ink": "ink",
    "kernel_sharpen": "a sharper kernel",
    "padding": "black padding",
    "patches": "a coloured patch",
    "ruler": "a ruler",
    "scanner_blur": "scanner blur",
    "scanner_noise": "scanner noise",
    "table_edge": "a table edge",
    "white_corner": "white corners",
}
VISIBLE = 0.02
EVEN_SHARE = 0.02
# Above this share of the image the same texture elsewhere is no control: the change itself is moved.
WHOLE_IMAGE = 0.6


def inserted_words(kind: str) -> str:
    """Return how an artefact is named in a sentence, such as ``a ruler``."""
    return INSERTED.get(kind, kind.replace("_", " "))


def insertable(manifest: Manifest) -> tuple[str, ...]:
    """Return the artefacts that can be put into a task's images.

    First those that its manifest names, where its plugin or this package draws them, then those that
    any image of its kind may have.
    """
    draws = manifest.code.draw_artefact is not None
    own = tuple(kind for kind in manifest.audit.artefacts if draws or kind in OVERLAYS)
    spec = manifest.input
    more = (*EVERY_TASK, *(COLOUR_TASKS if spec.colour else GREY_TASKS))
    if "CT" in spec.modalities and spec.value_range[0] < HU_BELOW:
        more = (*more, *CT_TASKS)
    return tuple(dict.fromkeys((*own, *more)))


def with_artefact(canvas: Canvas, change: Change) -> Changed | None:
    """Put an artefact into an image, or make the control.

    The control takes the artefact's place with the image's own texture from elsewhere, its
    difference from what was there as large (root mean square). Where an artefact, such as noise, is
    all over the image, the control is the same difference moved to another place.

    Returns
    -------
    Changed or None
        None where drawing it changes nothing, since the image has it already.

    Raises
    ------
    PluginError
        When the plugin's drawing fails or returns something else.
    """
    pixels, mask = _inserted(canvas, change)
    if not _size(pixels - canvas.study.pixels, mask):
        return None
    if change.sham:
        pixels = _sham(canvas, pixels, mask, np.random.default_rng([canvas.seed_of(change), 1]))
    return changed_within(canvas, np.clip(pixels, *_limits(canvas)), mask)


def _inserted(canvas: Canvas, change: Change) -> tuple[FloatArray, BoolArray]:
    seed, image = canvas.seed_of(change), canvas.study.pixels
    if canvas.manifest.code.draw_artefact is not None and change.kind in canvas.manifest.audit.artefacts:
        return drawn(canvas.plugin, canvas.study, change.kind, seed)
    low, high = canvas.value_range
    rng, shape = np.random.default_rng(seed), canvas.study.spatial_shape
    if change.kind in FIELDS:
        return FIELDS[change.kind](image, rng, high - low), np.ones(shape, bool)
    if change.kind not in OVERLAYS:
        raise PluginError(f"{canvas.plugin.label}: nothing draws the artefact {change.kind!r}")
    alpha, tone = OVERLAYS[change.kind]((shape[-2], shape[-1]), rng)
    mask = np.broadcast_to(alpha > VISIBLE, shape)
    return blended(image, np.where(alpha > VISIBLE, alpha, 0), tone, (low, high)), np.array(mask)


def drawn(plugin: Plugin, study: Study, kind: str, seed: int) -> tuple[FloatArray, BoolArray]:
    """Let a plugin draw an artefact, and check what it drew.

    Raises
    ------
    PluginError
        When its code fails or returns something else.
    """
    reference = plugin.manifest.code.draw_artefact
    assert reference is not None
    function = plugin.resolve(reference)
    with contained(plugin, "draw_artefact"):
        pixels, mask = function(study, kind, seed)
    sound = isinstance(pixels, np.ndarray) and isinstance(mask, np.ndarray) and mask.dtype == np.bool_
    if not sound or pixels.shape != study.pixels.shape or mask.shape != study.spatial_shape:
        raise PluginError(f"{plugin.label}: draw_artefact must return pixels and a bool mask of the image's shape")
    return np.asarray(pixels, np.float32), mask


def _limits(canvas: Canvas) -> tuple[float, float]:
    """Return the range that values are cut to: never narrower than the image's own."""
    low, high = canvas.value_range
    return min(low, float(canvas.study.pixels.min())), max(high, float(canvas.study.pixels.max()))


def _sham(canvas: Canvas, pixels: FloatArray, mask: BoolArray, rng: np.random.Generator) -> FloatArray:
    image = canvas.study.pixels
    axes = (0, 1) if canvas.study.is_colour else (image.ndim - 2, image.ndim - 1)
    shift = tuple(int(rng.integers(image.shape[axis] // 4, 3 * image.shape[axis] // 4 + 1)) for axis in axes)
    if mask.mean() > WHOLE_IMAGE:
        return np.asarray(image + np.roll(pixels - image, shift, axes), np.float32)
    texture = np.roll(image, shift, axes) - image
    wanted, own = _size(pixels - image, mask), _size(texture, mask)
    if own < EVEN_SHARE * wanted:
        # An even image has no texture to move: noise takes its place.
        return np.asarray(image + wanted * rng.standard_normal(image.shape), np.float32)
    return np.asarray(image + wanted / own * texture, np.float32)


def _size(difference: FloatArray, mask: BoolArray) -> float:
    inside = difference[mask]
    return float(np.sqrt(np.mean(np.square(inside)))) if inside.size else 0.0
