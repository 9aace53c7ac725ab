"""What a reader may change, as plain data, and the mask that it means on an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError
from whycad.types import JsonObject, Region, Study

BoolArray = NDArray[np.bool_]

MAX_POINTS = 2000
MAX_RUNS = 60_000
MOST_FILLED = 0.6
"""Largest share of a picture that may be filled in: the rest is what it is filled from."""


class WhatIfKind(StrEnum):
    """What is done to the image."""

    REGION = "region"
    ARTEFACT = "artefact"
    COUNTERFACTUAL = "counterfactual"
    FRAGILITY = "fragility"


@dataclass(frozen=True)
class WhatIfRequest:
    """What a reader asks to be changed.

    A ``region`` is named in one of three ways: a box, a polygon or runs. All are in source
    coordinates, ``(row, column)`` with the centre of the first pixel at 0.

    Attributes
    ----------
    kind : WhatIfKind
    box : Region or None
        With as many coordinates as the study has axes.
    polygon : tuple of (float, float)
        Corners as (row, column), at most 2,000.
    runs : tuple of int
        A painted mask row by row: how many pixels are outside, then inside, then outside, and so on.
    slices : (int, int) or None
        First and last slice of a volume, inclusive, that a polygon or runs reach through; also the
        slice that a task reading slice by slice is asked about.
    artefact : str
        Take only this kind of artefact away; empty for each one found.
    goal : str
        Label that a counterfactual should reach; empty for whatever moves the set or the label first.
    seed : int
    """

    kind: WhatIfKind
    box: Region | None = None
    polygon: tuple[tuple[float, float], ...] = ()
    runs: tuple[int, ...] = ()
    slices: tuple[int, int] | None = None
    artefact: str = ""
    goal: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the image."""
        object.__setattr__(self, "kind", WhatIfKind(self.kind))
        if len(self.polygon) > MAX_POINTS or len(self.runs) > MAX_RUNS:
            raise GeometryError(
                f"the region has more than {MAX_POINTS} corners or {MAX_RUNS} runs", remedy="draw a simpler one"
            )
        n_ways = (self.box is not None) + bool(self.polygon) + bool(self.runs)
        if self.kind is WhatIfKind.REGION and n_ways != 1:
            raise GeometryError("a region is one box, one polygon or one painted mask", remedy="mark what to take away")


def request_to_json(request: WhatIfRequest) -> JsonObject:
    """Return a request as plain JSON."""
    return {**asdict(request), "kind": request.kind.value}


def request_from_json(body: JsonObject) -> WhatIfRequest:
    """Rebuild a request; the inverse of ``request_to_json``.

    Raises
    ------
    GeometryError
        When it is not such a request.
    """
    try:
        box = body.get("box")
        return WhatIfRequest(
            kind=WhatIfKind(body["kind"]),
            box=None if box is None else Region(_numbers(box["start"]), _stop(box["stop"])),
            polygon=tuple((float(row), float(column)) for row, column in body.get("polygon", ())),
            runs=tuple(int(n) for n in body.get("runs", ())),
            slices=None if body.get("slices") is None else _pair(body["slices"]),
            artefact=str(body.get("artefact", "")),
            goal=str(body.get("goal", "")),
            seed=int(body.get("seed", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GeometryError(f"this is no what-if request ({type(error).__name__})") from error


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _stop(values: Sequence[Any] | None) -> tuple[float, ...] | None:
    return None if values is None else _numbers(values)


def _pair(values: Sequence[Any]) -> tuple[int, int]:
    first, last = values
    return int(first), int(last)


def mask_of(request: WhatIfRequest, shape: tuple[int, ...]) -> BoolArray:
    """Return the mask that a region means.

    Parameters
    ----------
    request : WhatIfRequest
        Of kind ``region``.
    shape : tuple of int
        The study's spatial shape.

    Returns
    -------
    ndarray of bool
        Of that shape.

    Raises
    ------
    GeometryError
        When the region has other axes than the image, lies outside it, or covers too much of it.
    """
    if request.box is not None:
        mask = _box_mask(request.box, shape)
    else:
        flat = _polygon_mask(request.polygon, shape[-2:]) if request.polygon else _runs_mask(request.runs, shape[-2:])
        mask = flat if len(shape) == 2 else _through_slices(flat, request.slices, shape)
    check_mask(mask)
    return mask


def check_mask(mask: BoolArray) -> None:
    """Check that a mask has something in it, and leaves enough to fill it from.

    Raises
    ------
    GeometryError
    """
    if not mask.any():
        raise GeometryError("the region holds no pixel of the image", remedy="mark a part of the image")
    slices = mask.reshape(-1, *mask.shape[-2:])
    most = float(slices.mean(axis=(1, 2)).max())
    if most > MOST_FILLED:
        raise GeometryError(
            f"the region covers {most:.0%} of the image, too much to fill it from the rest",
            remedy=f"mark at most {MOST_FILLED:.0%}",
        )


def shown_slice(request: WhatIfRequest, region: Region | None, study: Study) -> int | None:
    """Return the slice of a volume that a request is about; None of a single image.

    Raises
    ------
    GeometryError
        When nothing says which, or it is not in the volume.
    """
    if len(study.spatial_shape) == 2:
        return None
    n = study.spatial_shape[0]
    if request.slices is not None:
        index = float(request.slices[0])
    elif request.box is not None and request.box.stop is not None:
        index = (request.box.start[0] + request.box.stop[0]) / 2
    elif region is not None:
        index = region.start[0] if region.stop is None else (region.start[0] + region.stop[0]) / 2
    else:
        raise GeometryError("a volume needs to know which slice is meant", remedy="name it in `slices`")
    if not -0.5 <= index <= n - 0.5:
        raise GeometryError(f"slice {index:g} is not one of the volume's {n}")
    return int(np.clip(round(index), 0, n - 1))


def _box_mask(box: Region, shape: tuple[int, ...]) -> BoolArray:
    stop = box.start if box.stop is None else box.stop
    if len(box.start) != len(shape) or len(stop) != len(shape) or not np.isfinite([*box.start, *stop]).all():
        raise GeometryError(
            f"the box has another number of coordinates than the image, which has {len(shape)} axes",
            remedy="give slice, row, column for a volume and row, column for an image",
        )
    mask = np.zeros(shape, bool)
    low, high = np.minimum(box.start, stop), np.maximum(box.start, stop)
    first = np.clip(np.rint(low), 0, shape).astype(int)
    last = np.clip(np.rint(high) + 1, 0, shape).astype(int)
    mask[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = True
    return mask


def _polygon_mask(corners: Sequence[tuple[float, float]], shape: tuple[int, ...]) -> BoolArray:
    from skimage.draw import polygon

    points = np.asarray(corners, float)
    if len(points) < 3 or not np.isfinite(points).all():
        raise GeometryError("a polygon has three corners or more, with finite coordinates")
    mask = np.zeros(shape, bool)
    reach = 4.0 * max(shape)
    rows, columns = polygon(*np.clip(points, -reach, reach).T, shape)
    mask[rows, columns] = True
    return mask


def _runs_mask(runs: Sequence[int], shape: tuple[int, ...]) -> BoolArray:
    n = shape[0] * shape[1]
    if any(run < 0 for run in runs) or sum(runs) != n:
        raise GeometryError(
            f"the painted mask does not have the image's {n} pixels", remedy="send runs that add up to them"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.asarray(np.repeat(values, runs).reshape(shape), np.bool_)


def runs_of(mask: BoolArray) -> tuple[int, ...]:
    """Return a mask ``(H, W)`` as runs, the inverse of what a request with ``runs`` means."""
    flat = np.asarray(mask, bool).ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return tuple(([0] if flat.size and flat[0] else []) + lengths)


def _through_slices(flat: BoolArray, slices: tuple[int, int] | None, shape: tuple[int, ...]) -> BoolArray:
    if slices is None:
        raise GeometryError("a polygon on a volume needs its first and last slice", remedy="name them in `slices`")
    first, last = min(slices), max(slices)
    if last < 0 or first >= shape[0]:
        raise GeometryError(f"slices {first + 1} to {last + 1} are not in the volume of {shape[0]}")
    mask = np.zeros(shape, bool)
    mask[max(0, first) : last + 1] = flat
    return mask
