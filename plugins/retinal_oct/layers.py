"""The two borders of the retina, found by dynamic programming: vitreous side and pigment epithelium.

Neither is a segmentation to measure micrometres on: they level the image, and give the thickness
that is shown as evidence.

References
----------
Chiu et al., Automatic segmentation of seven retinal layers in SDOCT images, Optics Express 2010.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

COLUMN_STEP = 2
OUTER_MAX_STEP = 4
INNER_MAX_STEP = 6
STEP_COST = 0.025
MIN_THICKNESS = 6
MARGIN = 5


@dataclass(frozen=True, eq=False)
class Borders:
    """Rows of the retina's borders in every column of an image.

    Attributes
    ----------
    inner : ndarray of float64 (W,)
        Inner limiting membrane, towards the vitreous.
    outer : ndarray of float64 (W,)
        Pigment epithelium, its bright band.
    """

    inner: NDArray[np.float64]
    outer: NDArray[np.float64]

    @property
    def thickness(self) -> NDArray[np.float64]:
        """Rows between the borders, ``(W,)``."""
        return self.outer - self.inner


def best_path(score: FloatArray, max_step: int, step_cost: float) -> NDArray[np.int64]:
    """Return the row per column ``(W,)`` of the left-to-right path of the highest total score.

    Parameters
    ----------
    score : ndarray (H, W)
    max_step : int
        Most rows between neighbouring columns.
    step_cost : float
        Per row of a step.
    """
    n_rows, n_columns = score.shape
    offsets = np.arange(-max_step, max_step + 1)
    window = np.arange(n_rows)[:, None] + np.arange(2 * max_step + 1)
    cost = (step_cost * np.abs(offsets)).astype(np.float32)
    came_from = np.zeros((n_columns, n_rows), np.int64)
    padded = np.full(n_rows + 2 * max_step, -np.inf, np.float32)
    best = score[:, 0].astype(np.float32)
    for column in range(1, n_columns):
        padded[max_step:-max_step] = best
        candidates = padded[window] - cost
        choice = candidates.argmax(axis=1)
        came_from[column] = choice - max_step
        best = score[:, column] + candidates[np.arange(n_rows), choice]
    path = np.empty(n_columns, np.int64)
    path[-1] = int(best.argmax())
    for column in range(n_columns - 1, 0, -1):
        path[column - 1] = path[column] + came_from[column, path[column]]
    return path


def _edges(smooth: FloatArray) -> FloatArray:
    """Return how much brighter the next five rows are than the five before, at least 0."""
    mean = ndimage.uniform_filter1d(smooth, 5, axis=0, mode="nearest")
    below = np.concatenate([mean[3:], np.repeat(mean[-1:], 3, axis=0)])
    above = np.concatenate([np.repeat(mean[:1], 4, axis=0), mean[:-4]])
    return np.asarray(np.clip(below - above, 0, None), np.float32)


def find_borders(pixels: FloatArray, valid: NDArray[np.bool_]) -> Borders:
    """Trace both borders through a B-scan.

    Parameters
    ----------
    pixels : ndarray of float32 (H, W)
        Grey above the background, about 10 micrometres a row.
    valid : ndarray of bool (H, W)
        Where the image shows anything; its border is no border of the retina.
    """
    smooth = ndimage.gaussian_filter(np.asarray(pixels, np.float32), (1.0, 2.0))[:, ::COLUMN_STEP].clip(0, None)
    top = max(float(np.percentile(smooth, 99)), 1e-6)
    inside = ndimage.minimum_filter1d(valid[:, ::COLUMN_STEP], 2 * MARGIN + 1, axis=0, mode="constant", cval=0)
    bright, edge = np.clip(smooth / top, 0, 1.2), inside * _edges(smooth) / top
    energy = np.cumsum(np.clip(smooth - 0.1 * top, 0, None), axis=0)
    share = energy / np.maximum(energy[-1:], 1e-6)
    # The nerve fibre layer is as bright as the pigment epithelium, but little lies above it.
    deep = np.clip((share - 0.12) / 0.18, 0, 1)
    outer = best_path((bright + edge) * deep, OUTER_MAX_STEP, STEP_COST)
    rows = np.arange(len(smooth))[:, None]
    first = np.clip(1 - share / 0.12, 0, 1)
    onset = np.where(rows < outer[None] - MIN_THICKNESS, edge * (0.3 + first), -0.5)
    inner = best_path(np.asarray(onset, np.float32), INNER_MAX_STEP, STEP_COST / 5)
    every = np.arange(pixels.shape[1])
    traced = every[::COLUMN_STEP]
    return Borders(np.interp(every, traced, inner), np.interp(every, traced, outer))
