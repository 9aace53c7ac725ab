"""Dark lines in a dermoscopy image: their shapes, and which of them is a ruler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

LINE_RADIUS = 5
DARKER = 0.05
TICK_DARKER = 0.045
# A ruler is a straight line of this length in pixels, with ticks on one side of it.
RULER_LENGTHS, RULER_WIDTH = (40.0, 300.0), 18.0
STRIP = 12
TICK_REACH = (3, 8)
TICK_GAPS = (2.2, 14.0)
TICK_COVER = (0.08, 0.85)
LEAST_COVER, WIDEST_LINE = 0.7, 6
# Ticks without a line: short bars, parallel, one step apart.
TICK_LENGTHS, TICK_WIDTH, TICK_SLIM = (3.5, 24.0), 5.5, 1.5
TICK_STEPS, TICK_TURN = (4.0, 45.0), 0.25
FEWEST_TICKS, MOST_TICKS = 10, 120

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lines:
    """Connected dark lines; arrays are indexed by label, and entry 0 is the background.

    Attributes
    ----------
    depth : ndarray of float32 (H, W)
        How much darker each pixel is than what lies around it (black top-hat).
    labels : ndarray of int (H, W)
    area : ndarray (n + 1,)
        In pixels.
    centre : ndarray (n + 1, 2)
        Row and column.
    length, width : ndarray (n + 1,)
        Of the bar with the same second moments.
    angle : ndarray (n + 1,)
        Of its long axis, from the column axis towards the row axis, in radians.
    reach : ndarray (n + 1,)
        Diagonal of the bounding box.
    """

    depth: FloatArray
    labels: NDArray[np.int32]
    area: NDArray[np.float64]
    centre: NDArray[np.float64]
    length: NDArray[np.float64]
    width: NDArray[np.float64]
    angle: NDArray[np.float64]
    reach: NDArray[np.float64]


def dark_lines(light: FloatArray, where: BoolArray) -> Lines:
    """Find what is darker than its surroundings and narrow.

    Parameters
    ----------
    light : ndarray of float32 (H, W)
        0..1.
    where : ndarray of bool (H, W)
        Where to look.
    """
    grid = np.hypot(*np.mgrid[-LINE_RADIUS : LINE_RADIUS + 1, -LINE_RADIUS : LINE_RADIUS + 1])
    depth = ndimage.grey_closing(light, footprint=grid <= LINE_RADIUS + 0.3) - light
    labels, n = ndimage.label((depth > DARKER) & where, np.ones((3, 3)))
    return _measured(np.asarray(depth, np.float32), labels, n)


def _measured(depth: FloatArray, labels: NDArray[np.int32], n: int) -> Lines:
    rows, columns = np.nonzero(labels)
    of = labels[rows, columns]
    area = np.bincount(of, minlength=n + 1).astype(float)
    count = np.maximum(area, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(of, values, n + 1) / count)

    row, column = mean(rows.astype(float)), mean(columns.astype(float))
    down, along = rows - row[of], columns - column[of]
    # A pixel is a square, which has a variance of its own.
    vertical, horizontal, both = mean(down * down) + 1 / 12, mean(along * along) + 1 / 12, mean(down * along)
    apart = np.sqrt((vertical - horizontal) ** 2 + 4 * both**2)
    length, width = (np.sqrt(6 * np.maximum(vertical + horizontal + sign * apart, 1e-3)) for sign in (1, -1))
    boxes = ndimage.find_objects(labels)
    reach = [np.hypot(*(part.stop - part.start for part in box)) for box in boxes if box is not None]
    return Lines(
        depth=depth,
        labels=labels,
        area=area,
        centre=np.stack([row, column], axis=1),
        length=length,
        width=width,
        angle=0.5 * np.arctan2(2 * both, horizontal - vertical),
        reach=np.array([0.0, *reach]),
    )


def ruler_score(lines: Lines) -> tuple[float, int]:
    """Return how much the best line looks like a ruler, and its label; (0, 0) where none does.

    The score is high where a straight line is all there, one side of it is partly covered, the other
    is not, and the cover repeats at one distance.
    """
    long = (lines.length > RULER_LENGTHS[0]) & (lines.length < RULER_LENGTHS[1]) & (lines.width < RULER_WIDTH)
    long[0] = False
    scores = [(_comb_score(lines, int(label)), int(label)) for label in np.flatnonzero(long)]
    return max(scores, default=(0.0, 0))


def strip_places(lines: Lines, label: int) -> tuple[FloatArray, FloatArray]:
    """Return rows and columns ``(along, across)`` of a strip about a line."""
    half = min(lines.length[label], 200.0) / 2 + 4
    along, across = np.arange(-half, half + 1), np.arange(-STRIP, STRIP + 1)
    sine, cosine = np.sin(lines.angle[label]), np.cos(lines.angle[label])
    rows = lines.centre[label, 0] + along[:, None] * sine + across[None] * cosine
    columns = lines.centre[label, 1] + along[:, None] * cosine - across[None] * sine
    return np.asarray(rows, np.float32), np.asarray(columns, np.float32)


def _comb_score(lines: Lines, label: int) -> float:
    strip = ndimage.map_coordinates(lines.depth, strip_places(lines, label), order=1, mode="constant")
    dark = strip > TICK_DARKER
    cover = dark.mean(axis=0)
    spine = int(cover[4:-4].argmax()) + 4
    if cover[spine] < LEAST_COVER or (cover > 0.6).sum() > WIDEST_LINE:
        return 0.0
    return float(cover[spine] * max(_ticks(strip, dark, spine, side) for side in (1, -1)))


def _ticks(strip: FloatArray, dark: BoolArray, spine: int, side: int) -> float:
    """Return how regular the ticks on one side of the spine are, against the other side's cover."""
    near = [place for offset in range(*TICK_REACH) if 0 <= (place := spine + side * offset) < strip.shape[1]]
    far = [place for offset in range(4, 9) if 0 <= (place := spine - side * offset) < strip.shape[1]]
    if len(near) < 4 or not far:
        return 0.0
    cover = float(dark[:, near].mean())
    if not TICK_COVER[0] < cover < TICK_COVER[1]:
        return 0.0
    signal = strip[:, near].mean(axis=1)
    power = np.abs(np.fft.rfft((signal - signal.mean()) * np.hanning(len(signal)), 512)) ** 2
    frequency = np.fft.rfftfreq(512)
    regular = power[(frequency > 1 / TICK_GAPS[1]) & (frequency < 1 / TICK_GAPS[0])].max()
    return (
        max(0.0, cover - float(dark[:, far].mean())) * 100 * float(regular / (power[frequency > 1 / 60].sum() + 1e-9))
    )


def tick_row(lines: Lines) -> list[int]:
    """Return the labels of the longest row of equally spaced parallel ticks; empty below ten ticks."""
    fits = (lines.length > TICK_LENGTHS[0]) & (lines.length < TICK_LENGTHS[1])
    fits &= (lines.width < TICK_WIDTH) & (lines.length > TICK_SLIM * lines.width)
    fits[0] = False
    labels = np.flatnonzero(fits)
    if not FEWEST_TICKS <= len(labels) <= MOST_TICKS:
        return []
    places, angles = lines.centre[labels], lines.angle[labels]
    rows = (
        _row_from(places, angles, int(first), int(second))
        for first in range(len(labels))
        for second in _neighbours(places, angles, first)
    )
    best = max(rows, key=len, default=[])
    return [int(labels[i]) for i in best] if len(best) >= FEWEST_TICKS else []


def _turned(angles: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Return how far undirected angles are from one, 0..pi/2."""
    return np.asarray(np.abs(np.angle(np.exp(2j * (angles - angle)))) / 2)


def _neighbours(places: NDArray[np.float64], angles: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    """Return parallel ticks a few pixels away, across the tick's own direction."""
    step = places - places[first]
    distance = np.hypot(*step.T)
    direction = np.arctan2(step[:, 0], step[:, 1])
    across = np.abs(np.sin(direction - angles[first])) > 0.75
    near = (distance > TICK_STEPS[0]) & (distance < TICK_STEPS[1])
    return np.flatnonzero((_turned(angles, angles[first]) < TICK_TURN) & near & across)


def _row_from(places: NDArray[np.float64], angles: NDArray[np.float64], first: int, second: int) -> list[int]:
    """Walk on from two ticks as long as there is a next one where it must be."""
    row, step = [first, second], places[second] - places[first]
    parallel = _turned(angles, angles[first]) < TICK_TURN
    while len(row) < MOST_TICKS:
        away = np.where(parallel, np.hypot(*(places - places[row[-1]] - step).T), np.inf)
        following = int(away.argmin())
        # Every fifth tick is longer, so that its middle lies off the line.
        if away[following] > max(1.2, 0.2 * float(np.hypot(*step))) or following in row:
            break
        step = 0.85 * step + 0.15 * (places[following] - places[row[-1]])
        row.append(following)
    return row
