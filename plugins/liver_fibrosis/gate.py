"""The task's own input gate: only the kind of slice that the simulator draws gets past it.

Everything that the model has seen is simulated, so everything else is refused: nothing is known
of what the model would make of it. The gate compares body outline, layout and appearance with
simulated calibration slices; its thresholds were fitted on those alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.liver_fibrosis.preprocess import (
    INPUT_SHAPE,
    LOG_FLOOR,
    MEAN,
    STD,
    BodyBox,
    body_geometry,
    find_body,
    normalise,
)
from whycad.errors import PluginError
from whycad.imaging.geometry import sample_to_model
from whycad.types import FloatArray, Region, Study

REFERENCE_FILE = Path(__file__).with_name("gate.npz")
CELL = 4
GRID = (INPUT_SHAPE[0] // CELL, INPUT_SHAPE[1] // CELL)
CORNER = 12
AXIAL_COSINE = 0.8

NOT_ONE_SLICE = "This task reads one axial slice, not a volume: choose a single slice through the liver."
NEGATIVE = "The image holds negative values, which the signal of a magnitude MR image cannot have."
NOT_AXIAL = "The slice is not axial in the usual position: patient's right on the image's left, back below."
NO_BODY = "No body outline on a dark background was found: this is not a whole axial slice of the upper abdomen."
CUT_OFF = "The body is cut off at the edge of the image."
OTHER_LAYOUT = "What lies where is unlike the simulated axial liver slices that this model was made for."
OTHER_LOOK = (
    "Contrast, noise or sharpness are unlike the simulated hepatobiliary-phase scans that this model was made for."
)
OTHER_CONTRAST = "Liver, vessels and kidneys have another contrast than the hepatobiliary phase of the simulation."
MIRRORED = "The picture seems to be mirrored: the liver must lie on the left of the image, the spine below."


@dataclass(frozen=True, eq=False)
class GateReference:
    """What simulated calibration slices look like.

    Attributes
    ----------
    layout_mean : ndarray (d,)
    layout_axes : ndarray (k, d)
        Principal axes of the coarse image, orthonormal.
    layout_scale : ndarray (k,)
        Deviation along each.
    look_mean : ndarray (p,)
    look_whiten : ndarray (p, p)
    contrast_weights : ndarray (4 d,)
        Of the twice finer image: the direction from this sequence to one without contrast agent.
    limits : ndarray (4,)
        Largest residual outside the axes, distance along them, distance of the appearance, and
        way along the direction of contrast.
    """

    layout_mean: NDArray[np.float64]
    layout_axes: NDArray[np.float64]
    layout_scale: NDArray[np.float64]
    look_mean: NDArray[np.float64]
    look_whiten: NDArray[np.float64]
    contrast_weights: NDArray[np.float64]
    limits: NDArray[np.float64]

    def layout_scores(self, layouts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return residual and distance over their limits ``(n, 2)`` of layouts ``(n, d)``."""
        centred = layouts - self.layout_mean
        along = centred @ self.layout_axes.T
        residual = np.sqrt(np.mean((centred - along @ self.layout_axes) ** 2, axis=1))
        distance = np.sqrt(np.mean((along / self.layout_scale) ** 2, axis=1))
        return np.asarray(np.stack([residual, distance], axis=1) / self.limits[:2])

    def mirrored(self, layout: NDArray[np.float64]) -> bool:
        """Whether a layout ``(d,)`` is more like the mean's mirror image than like the mean."""
        mean = self.layout_mean.reshape(GRID)
        own = layout - layout.mean()
        return any(
            float(own @ (image - image.mean()).ravel()) > float(own @ (mean - mean.mean()).ravel())
            for image in (mean[:, ::-1], mean[::-1])
        )

    def look_scores(self, looks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance of appearances ``(n, p)`` over its limit ``(n,)``."""
        distance = np.sqrt(np.mean(((looks - self.look_mean) @ self.look_whiten) ** 2, axis=1))
        return np.asarray(distance / self.limits[2])

    def contrast_beyond(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how far inputs ``(n, 1, 112, 144)`` lie beyond the limit of contrast ``(n,)``."""
        return np.asarray(cells_of(inputs, CELL // 2) @ self.contrast_weights - self.limits[3])


@lru_cache(maxsize=1)
def reference(path: Path = REFERENCE_FILE) -> GateReference:
    """Read the stored reference.

    Raises
    ------
    PluginError
        When the file is missing or broken.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return GateReference(*(stored[field.name].astype(np.float64) for field in fields(GateReference)))
    except (OSError, ValueError, KeyError) as error:
        raise PluginError(
            f"task 'liver_fibrosis': gate file {path.name!r} is missing or broken ({type(error).__name__})",
            remedy="run `python -m plugins.liver_fibrosis.gate_fit`",
        ) from error


def cells_of(inputs: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Return the means of square cells of inputs ``(n, 1, 112, 144)``, as ``(n, number of cells)``."""
    n, (height, width) = len(inputs), INPUT_SHAPE
    cells = inputs.reshape(n, height // size, size, width // size, size).mean(axis=(2, 4))
    return np.asarray(cells.reshape(n, -1), np.float64)


def look_of(inputs: FloatArray, body: BodyBox) -> NDArray[np.float64]:
    """Return the appearance of one input ``(112, 144)``: grey levels, noise, sharpness, body shape."""
    signal = np.exp(inputs.astype(np.float64) * STD + MEAN) - LOG_FLOOR
    corners = np.concatenate([signal[r, c].ravel() for r in _ENDS for c in _ENDS])
    fine = signal - ndimage.uniform_filter(signal, 3, mode="nearest")
    dim, bright = signal < 0.3, signal > 1.2
    r0, c0, r1, c1 = body.box
    levels = np.log(np.percentile(signal, [30, 50, 65, 80, 90, 97]) + 0.03)
    noise = [_log_rms(fine[dim]), _log_rms(fine[bright]), np.log(corners.mean() + 0.01)]
    roughness = corners.std() / (corners.mean() + 1e-3)
    shape = [body.filling, np.log((r1 - r0) / (c1 - c0)), float(bright.mean()), roughness]
    return np.array([*levels, *noise, *shape])


_ENDS = (slice(None, CORNER), slice(-CORNER, None))


def _log_rms(values: NDArray[np.float64]) -> float:
    return float(np.log(np.sqrt(np.mean(values**2)) + 3e-3)) if values.size else -6.0


@dataclass(frozen=True, eq=False)
class Description:
    """What the gate sees of a slice: input ``(1, 112, 144)``, layout ``(1008,)``, appearance ``(13,)``."""

    inputs: FloatArray
    layout: NDArray[np.float64]
    look: NDArray[np.float64]


def describe(pixels: FloatArray) -> Description:
    """Describe a slice ``(H, W)``."""
    inputs = normalise(sample_to_model(pixels, body_geometry(pixels)))
    return Description(inputs, cells_of(inputs[None], CELL)[0], look_of(inputs[0], find_body(pixels)))


def slice_problems(study: Study) -> tuple[str, ...]:
    """Say what keeps a study from being one whole axial magnitude slice; simulated or real."""
    pixels = study.pixels
    if study.is_colour or pixels.ndim != 2:
        return (NOT_ONE_SLICE,)
    if float(pixels.min()) < 0:
        return (NEGATIVE,)
    if not _may_be_axial(study):
        return (NOT_AXIAL,)
    body = find_body(pixels)
    if not body.found:
        return (NO_BODY,)
    return (CUT_OFF,) if body.touching > 1 else ()


def gate(study: Study, region: Region | None) -> tuple[str, ...]:
    """Say why a study cannot be staged by the model of the simulation; empty where it can.

    Parameters
    ----------
    study : Study
    region : Region or None
        Ignored.

    Returns
    -------
    tuple of str
        Sentences for the reader.
    """
    del region
    problems = slice_problems(study)
    if problems:
        return problems
    found, seen = reference(), describe(study.pixels)
    if found.mirrored(seen.layout):
        return (MIRRORED,)
    answers = (
        (OTHER_LAYOUT, found.layout_scores(seen.layout[None]).max() > 1),
        (OTHER_LOOK, found.look_scores(seen.look[None])[0] > 1),
        (OTHER_CONTRAST, found.contrast_beyond(seen.inputs[None])[0] > 0),
    )
    return tuple(sentence for sentence, refused in answers if refused)


def gate_real(study: Study, region: Region | None) -> tuple[str, ...]:
    """Say why a study cannot be staged by a model that was trained on a table of real images."""
    del region
    return slice_problems(study)


def _may_be_axial(study: Study) -> bool:
    """Whether rows run to the patient's left and columns backwards, where the file says so."""
    if study.orientation is None:
        return True
    return bool(study.orientation[0] >= AXIAL_COSINE and study.orientation[4] >= AXIAL_COSINE)


def strange(batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score how unlike the simulated slices inputs ``(n, 1, 112, 144)`` are ``(n,)``; 1 is the gate's limit."""
    return np.asarray(reference().layout_scores(cells_of(batch, CELL)).max(axis=1))
