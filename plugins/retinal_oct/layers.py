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
from numpy.lib.stride_tricks import sliding_window_view
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
    width = 2 * max_step + 1
    cost = (step_cost * np.abs(np.arange(-max_step, max_step + 1))).astype(np.float32)
    totals = np.full((n_columns, n_rows + 2 * max_step), -np.inf, np.float32)
    inner = totals[:, max_step : max_step + n_rows]
    inner[:] = score.T
    # reached[column, step, row] is the total at row + step - max_step, a view that grows with the totals.
    reached = sliding_window_view(totals, n_rows, axis=1)
    steps = np.repeat(cost[:, None], n_rows, axis=1)
    candidates, best = np.empty_like(steps), np.empty(n_rows, np.float32)
    for before, total in zip(reached[:-1], inner[1:], strict=True):
        np.subtract(before, steps, out=candidates)
        np.maximum.reduce(candidates, axis=0, out=best)
        np.add(total, best, out=total)
    path = np.empty(n_columns, np.int64)
    row = path[-1] = int(inner[-1].argmax())
    # Only where the path goes is it asked again from where the best total came.
    for column in range(n_columns - 2, -1, -1):
        row += int((totals[column, row : row + width] - cost).argmax()) - max_step
        path[column] = row
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
