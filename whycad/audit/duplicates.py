"""Pictures that are the same, or nearly: found by a coarse look, verified by their fine structure.

A coarse grey thumbnail of each picture is compared with those of all others, in eight positions (turned
and mirrored) and after central crops; what resembles is a candidate. Two candidates are laid over each
other (phase correlation) after everything coarse has been taken away and contrast made even: pictures of
two lesions of one shape agree in the coarse and not in the fine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from whycad.audit.data.facts import DETAIL

FloatArray = NDArray[np.float32]
THUMB, GRID = 16, 64
N_POSITIONS = 8
# Sides of central crops, in parts of the picture's side.
CROPS = (1.0, 0.85, 0.7)
# Measured on ISIC 2017: the 18 known pairs reach 0.94 in the coarse and 0.70 in the fine; of 4,600 other pairs that
# reach 0.90 in the coarse none exceeds 0.59 in the fine. Simulated images under one vignette reach 0.66 by chance.
LEAST_COARSE, LEAST_FINE = 0.90, 0.68
# Scans of layered tissue resemble each other in the fine as well: the threshold rises with what candidates of the set
# reach (B-scans of different patients reach 0.81), but never beyond what only copies reach.
SURE_FINE, SIGMAS_ABOVE, LEAST_CANDIDATES = 0.90, 4.5, 30
MOST_CANDIDATES = 24
FINE_SIGMA, EVEN_SIGMA, EVEN_FLOOR = 2.0, 4.0, 3.0
MOST_SHIFT = GRID // 8
BLOCK = 1024
PAIRS_AT_ONCE = 256


@dataclass(frozen=True)
class DuplicatePair:
    """Two pictures that are one.

    Attributes
    ----------
    first, second : int
        Rows, ``first < second``.
    likeness : float
        1 where the files are identical; else the correlation of the fine structure.
    exact : bool
    """

    first: int
    second: int
    likeness: float
    exact: bool


def exact_pairs(content: NDArray[np.str_]) -> list[DuplicatePair]:
    """Return rows with the same content as the first row that has it; empty content is unknown."""
    first: dict[str, int] = {}
    found = []
    for row, name in enumerate(content.tolist()):
        if name and name in first:
            found.append(DuplicatePair(first[name], row, 1.0, True))
        first.setdefault(name, row)
    return found


def near_pairs(details: NDArray[np.uint8]) -> list[DuplicatePair]:
    """Return pairs of pictures ``(n, DETAIL, DETAIL)`` that agree in coarse and fine, row numbers of the array."""
    shaped = [_shaped_all(details, side) for side in CROPS]
    candidates = sorted(_candidates(details), key=lambda pair: (pair[2:], pair[0], pair[1]))
    pairs = []
    for start in range(0, len(candidates), PAIRS_AT_ONCE):
        part = candidates[start : start + PAIRS_AT_ONCE]
        pairs += list(zip(part, _fine_likeness(shaped, part), strict=True))
    best: dict[tuple[int, int], float] = defaultdict(float)
    for (a, b, _position, _crop), likeness in pairs:
        key = (min(a, b), max(a, b))
        best[key] = max(best[key], float(likeness))
    least = fine_threshold(np.array(list(best.values())))
    return [DuplicatePair(a, b, value, False) for (a, b), value in best.items() if value >= least]


def fine_threshold(likeness: NDArray[np.float64]) -> float:
    """Return from which likeness on two candidates are one picture, given that of all candidates ``(m,)``."""
    if len(likeness) < LEAST_CANDIDATES:
        return LEAST_FINE
    low, middle = np.quantile(likeness, [0.1, 0.5])
    # Copies make the upper half long, so that the spread is the lower half's: of a normal distribution, a tenth lies
    # below 1.28 standard deviations under the median.
    usual = float(middle + SIGMAS_ABOVE * (middle - low) / 1.2816)
    return min(max(usual, LEAST_FINE), SURE_FINE)


Candidate = tuple[int, int, int, int]


def _candidates(details: NDArray[np.uint8]) -> list[Candidate]:
    """Return (whole, cropped, position, crop) of what resembles: the closest few of each picture over all changes."""
    whole = _normalised(coarse(details, 1.0))
    varied = np.asarray(details.reshape(len(details), -1).std(axis=1) > 1)
    likeness = np.zeros((len(details), MOST_CANDIDATES), np.float32)
    where = np.zeros((len(details), MOST_CANDIDATES, 3), np.int32)
    for crop, side in enumerate(CROPS):
        thumbs = coarse(details, side)
        for position in range(N_POSITIONS):
            other = _normalised(turned(thumbs, position))
            for start in range(0, len(whole), BLOCK):
                rows = np.s_[start : start + BLOCK]
                found, columns = _closest(whole[rows], other, varied, start)
                change = np.broadcast_to(np.array([position, crop], np.int32), (*columns.shape, 2))
                both = np.concatenate([likeness[rows], found], axis=1)
                places = np.concatenate([where[rows], np.concatenate([columns[..., None], change], axis=2)], axis=1)
                kept = np.argsort(-both, axis=1, kind="stable")[:, :MOST_CANDIDATES]
                likeness[rows] = np.take_along_axis(both, kept, axis=1)
                where[rows] = np.take_along_axis(places, kept[..., None], axis=1)
    near, places = np.nonzero((likeness >= LEAST_COARSE) & varied[:, None])
    others, positions, crops = (where[near, places, part].tolist() for part in range(3))
    return list(zip(near.tolist(), others, positions, crops, strict=True))


def _closest(
    whole: FloatArray, other: FloatArray, varied: NDArray[np.bool_], start: int
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Return the largest correlations of some pictures with all others, and whose they are, ``(rows, few)``."""
    likeness = whole @ other.T
    rows = np.arange(len(likeness))
    likeness[rows, start + rows] = -1
    likeness[:, ~varied] = -1
    few = min(MOST_CANDIDATES, likeness.shape[1])
    columns = np.argpartition(-likeness, few - 1, axis=1)[:, :few]
    return np.take_along_axis(likeness, columns, axis=1), columns.astype(np.int32)


def coarse(details: NDArray[np.uint8], side: float) -> FloatArray:
    """Return thumbnails ``(n, 16, 16)`` of the central part of pictures, a part of the side long."""
    n = round(DETAIL * side / THUMB) * THUMB
    low = (DETAIL - n) // 2
    out = np.empty((len(details), THUMB, THUMB), np.float32)
    for start in range(0, len(details), BLOCK):
        part = details[start : start + BLOCK, low : low + n, low : low + n].astype(np.float32)
        out[start : start + BLOCK] = part.reshape(len(part), THUMB, n // THUMB, THUMB, n // THUMB).mean(axis=(2, 4))
    return out


def turned(pictures: NDArray[np.generic], position: int) -> NDArray[np.generic]:
    """Return pictures ``(..., h, w)`` in one of the eight positions of a square."""
    rotated = np.rot90(pictures, position % 4, axes=(-2, -1))
    return rotated[..., ::-1] if position >= 4 else rotated


def _normalised(thumbs: NDArray[np.generic]) -> FloatArray:
    flat = np.asarray(thumbs, np.float32).reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def _fine_likeness(shaped: Sequence[NDArray[np.float16]], pairs: Sequence[Candidate]) -> FloatArray:
    """Return the peak of the correlation of fine structures, over small shifts, of each candidate."""
    wholes = shaped[0][[a for a, _, _, _ in pairs]].astype(np.float32)
    parts = np.stack([turned(shaped[crop][b], position) for _, b, position, crop in pairs]).astype(np.float32)
    product = rfft2(wholes) * np.conj(rfft2(parts))
    correlation = irfft2(product, s=(GRID, GRID))
    near = np.r_[0 : MOST_SHIFT + 1, -MOST_SHIFT:0]
    return np.asarray(correlation[:, near][:, :, near].max(axis=(1, 2)), np.float32)


def _shaped_all(details: NDArray[np.uint8], side: float) -> NDArray[np.float16]:
    parts = [_shaped(fine(details[i : i + PAIRS_AT_ONCE], side)) for i in range(0, len(details), PAIRS_AT_ONCE)]
    return np.concatenate(parts).astype(np.float16)


def fine(details: NDArray[np.uint8], side: float) -> FloatArray:
    """Return the fine structure ``(n, 64, 64)`` of the central part of pictures, of even contrast."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    low = (1 - side) / 2 * DETAIL
    box = (low, low, DETAIL - low, DETAIL - low)
    resized = [Image.fromarray(d).resize((GRID, GRID), Image.Resampling.BOX, box=box) for d in details]
    grey = np.stack([np.asarray(picture, np.float32) for picture in resized])
    high = grey - gaussian_filter(grey, (0, FINE_SIGMA, FINE_SIGMA))
    power = gaussian_filter(high**2, (0, EVEN_SIGMA, EVEN_SIGMA))
    return np.asarray(high / (np.sqrt(power) + EVEN_FLOOR), np.float32)


def _shaped(structure: FloatArray) -> FloatArray:
    """Return structures of mean 0 and norm 1, faded out towards the border, which does not fit after a shift."""
    window = np.sqrt(np.hanning(GRID + 2)[1:-1]).astype(np.float32)
    shaped = (structure - structure.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window[None, :]
    norm = np.sqrt((shaped**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(shaped / np.maximum(norm, 1e-6), np.float32)


def clusters_of(pairs: Sequence[DuplicatePair], n: int) -> NDArray[np.int64]:
    """Return a cluster number for each of n rows: rows that are linked by pairs share it."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.array([(pair.first, pair.second) for pair in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
