"""What the browser says, checked: it may be stale, malformed or made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.components.viewer.model import EventKind, Index, Stroke, ViewerEvent

MAX_STROKES = 500
MAX_POINTS = 20_000
KINDS: tuple[EventKind, ...] = ("click", "box", "brush", "clear", "slice")


def parse_event(payload: object, *, version: str, shape: tuple[int, ...], overlay: object = "") -> ViewerEvent:
    """Turn the component's state into a `ViewerEvent`.

    Parameters
    ----------
    payload : object
        As it came from the browser.
    version : str
        Key of the image on show; marks on another image are dropped.
    shape : tuple of int
        Spatial shape; marks outside it are dropped.
    overlay : object
        Id of the chosen overlay, as it came.

    Returns
    -------
    ViewerEvent
        Without marks where the payload is not a valid event on this image.
    """
    chosen = overlay if isinstance(overlay, str) else ""
    if not isinstance(payload, Mapping) or payload.get("version") != version or payload.get("kind") not in KINDS:
        return ViewerEvent(overlay=chosen)
    seq = payload.get("seq")
    return ViewerEvent(
        kind=payload["kind"],
        seq=seq if isinstance(seq, int) and not isinstance(seq, bool) else 0,
        click=_index(payload.get("click"), shape),
        box=_box(payload.get("box"), shape),
        brush=_strokes(payload.get("brush"), shape),
        overlay=chosen,
        slice=_slice(payload.get("slice"), shape),
    )


def rasterise(strokes: tuple[Stroke, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Paint strokes on a flat image into a mask.

    Parameters
    ----------
    strokes : tuple of Stroke
        On a flat image.
    shape : tuple of int
        ``(H, W)``.

    Returns
    -------
    ndarray of bool (H, W)
        Pixels whose centre is at most ``radius`` from the line through the stroke's points.
    """
    mask = np.zeros(shape, dtype=bool)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for stroke in strokes:
        points = np.asarray(stroke.points, dtype=np.float64)
        for start, stop in zip(points, points[1:] if len(points) > 1 else points, strict=False):
            step = stop - start
            length = float(step @ step)
            along = ((rows - start[0]) * step[0] + (columns - start[1]) * step[1]) / length if length else 0.0
            along = np.clip(along, 0, 1)
            distance = (rows - start[0] - along * step[0]) ** 2 + (columns - start[1] - along * step[1]) ** 2
            mask |= distance <= stroke.radius**2
    return mask


def _slice(value: object, shape: tuple[int, ...]) -> int | None:
    """Return the slice that the browser names, where it could be one; it may be of any plane."""
    known = isinstance(value, int) and not isinstance(value, bool) and len(shape) == 3 and 0 <= value < max(shape)
    return int(value) if known and isinstance(value, int) else None


def _index(value: object, shape: tuple[int, ...]) -> Index | None:
    if not isinstance(value, list) or len(value) != len(shape):
        return None
    inside = all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < n for v, n in zip(value, shape, strict=True)
    )
    return tuple(value) if inside else None


def _box(value: object, shape: tuple[int, ...]) -> tuple[Index, Index] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    first, last = _index(value[0], shape), _index(value[1], shape)
    if first is None or last is None or any(a > b for a, b in zip(first, last, strict=True)):
        return None
    return first, last


def _strokes(value: object, shape: tuple[int, ...]) -> tuple[Stroke, ...]:
    if not isinstance(value, list):
        return ()
    strokes = (_stroke(item, shape) for item in value[:MAX_STROKES])
    return tuple(s for s in strokes if s is not None)


def _stroke(item: Any, shape: tuple[int, ...]) -> Stroke | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("points"), list):
        return None
    radius = item.get("radius")
    if not isinstance(radius, int | float) or isinstance(radius, bool) or not 0 <= radius <= 1000:
        return None
    points = tuple(p for p in (_index(v, shape) for v in item["points"][:MAX_POINTS]) if p is not None)
    return Stroke(points, float(radius)) if points else None
