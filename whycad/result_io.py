"""Results as files: JSON for the words and numbers, one ``.npz`` for the arrays, lossless."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import types
import typing
import zipfile
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from whycad.errors import StoreError
from whycad.types import AnalysisResult, JsonObject

FORMAT = "whycad-result-1"
JSON_NAME = "result.json"
ARRAYS_NAME = "arrays.npz"
LARGE_VOLUME = 1 << 20
_BITS = {1: np.uint8, 4: np.uint32}
Value = TypeVar("Value")
NOTICE = "Research and education only; not for clinical use."


def _encode(value: Any, place: str, arrays: dict[str, np.ndarray] | None) -> Any:
    """Turn a value into JSON; arrays go to ``arrays`` by place, or become lists where it is None."""
    if isinstance(value, np.ndarray):
        if arrays is None:
            return _encode(value.tolist(), place, None)
        return _store(value, place, arrays)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encode(getattr(value, f.name), f"{place}.{f.name}", arrays) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _encode(v, f"{place}.{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(v, f"{place}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, float) and not np.isfinite(value):
        return {"float": repr(value)} if arrays is not None else None
    return value


def _store(value: np.ndarray, place: str, arrays: dict[str, np.ndarray]) -> JsonObject:
    """Keep an array; of a large volume only the box outside which every bit is zero."""
    if value.ndim != 3 or value.size < LARGE_VOLUME or value.dtype.itemsize not in _BITS:
        arrays[place] = value
        return {"array": place}
    bits = value.view(_BITS[value.dtype.itemsize])
    start, stop = [0, 0, 0], list(value.shape)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        inside = bits[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        along = np.flatnonzero(inside.any(axis=others))
        stop[axis] = start[axis] + (int(along[-1]) + 1 if len(along) else 0)
        start[axis] += int(along[0]) if len(along) else 0
    arrays[place] = value[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return {"array": place, "start": start, "shape": list(value.shape)}


def _unboxed(part: np.ndarray, start: list[int], shape: list[int]) -> np.ndarray:
    """Return a large volume from the box that was kept of it."""
    whole = np.zeros(shape, part.dtype)
    whole[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))] = part
    return whole


def _decode(kind: Any, value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Rebuild a value of type ``kind``; the inverse of ``_encode``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(value, dict) and set(value) == {"array"}:
        return arrays[value["array"]]
    if isinstance(value, dict) and set(value) == {"array", "start", "shape"}:
        return _unboxed(arrays[value["array"]], value["start"], value["shape"])
    if isinstance(value, dict) and set(value) == {"float"}:
        return float(value["float"])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _decode(hints[name], item, arrays) for name, item in value.items()})
    if origin is tuple:
        inner = arguments if arguments[-1:] != (Ellipsis,) else (arguments[0],) * len(value)
        return tuple(_decode(k, v, arrays) for k, v in zip(inner, value, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {k: _decode(arguments[1], v, arrays) for k, v in value.items()}
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        wanted = [a for a in arguments if a is not type(None)]
        return _decode(wanted[0], value, arrays) if len(wanted) == 1 else value
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return float(value) if kind is float else value


def result_to_json(result: AnalysisResult, *, with_maps: bool = False) -> JsonObject:
    """Return the result as plain JSON for other programs.

    Maps and masks are left out unless asked for (they are large); numbers that are not finite are
    null.
    """
    body = _encode(result if with_maps else _without_grids(result), "result", None)
    if not with_maps:
        for item in body["attributions"]:
            del item["map"], item["disagreement"]
        for item, segmentation in zip(body["segmentations"], result.segmentations, strict=True):
            del item["mask"]
            item["n_pixels"] = int(segmentation.mask.sum())
    return {"format": FORMAT, "notice": NOTICE, **body}


def _without_grids(result: AnalysisResult) -> AnalysisResult:
    empty = np.zeros((0, 0), np.float32)
    maps = tuple(dataclasses.replace(a, map=empty, disagreement=None) for a in result.attributions)
    masks = tuple(dataclasses.replace(s, mask=np.zeros((0, 0), np.bool_)) for s in result.segmentations)
    return dataclasses.replace(result, attributions=maps, segmentations=masks)


def save_result(result: AnalysisResult, folder: Path) -> None:
    """Write a result to a folder, whole or not at all.

    Raises
    ------
    StoreError
        When the folder cannot be written or already holds something else.
    """
    save_values(result, folder, FORMAT)


def save_values(value: Any, folder: Path, form: str) -> None:
    """Write a dataclass of words, numbers and arrays to a folder, whole or not at all.

    Parameters
    ----------
    value : dataclass instance
    folder : Path
    form : str
        Name of the format, which ``load_values`` asks for.

    Raises
    ------
    StoreError
        When the folder cannot be written or already holds something else.
    """
    arrays: dict[str, np.ndarray] = {}
    body = {"format": form, "notice": NOTICE, "result": _encode(value, "result", arrays)}
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as partial:
            (Path(partial) / JSON_NAME).write_text(json.dumps(body, indent=1), encoding="utf-8")
            np.savez_compressed(Path(partial) / ARRAYS_NAME, **arrays)  # type: ignore[arg-type]
            staged = Path(partial) / "entry"
            staged.mkdir()
            for name in (JSON_NAME, ARRAYS_NAME):
                (Path(partial) / name).rename(staged / name)
            staged.replace(folder)
    except OSError as error:
        raise StoreError(
            f"the result cannot be saved ({type(error).__name__})", remedy="choose another folder"
        ) from error


def load_result(folder: Path) -> AnalysisResult:
    """Read a result that ``save_result`` wrote.

    Raises
    ------
    StoreError
        When files are missing, of another format, or broken.
    """
    return load_values(AnalysisResult, folder, FORMAT)


def load_values(kind: type[Value], folder: Path, form: str) -> Value:
    """Read a dataclass that ``save_values`` wrote; nothing is ever unpickled.

    Raises
    ------
    StoreError
        When files are missing, of another format, or broken.
    """
    folder = Path(folder)
    try:
        body = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        if body.get("format") != form:
            raise StoreError(f"the saved result is not of format {form!r}")
        with np.load(folder / ARRAYS_NAME, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        value = _decode(kind, body["result"], arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise StoreError(f"the saved result cannot be read ({type(error).__name__})") from error
    assert isinstance(value, kind)
    return value


def results_equal(first: AnalysisResult, second: AnalysisResult) -> bool:
    """Compare contents, arrays bit by bit (dtype and NaN included)."""
    left: dict[str, np.ndarray] = {}
    right: dict[str, np.ndarray] = {}
    same_words = _encode(first, "result", left) == _encode(second, "result", right)
    if not same_words or left.keys() != right.keys():
        return False
    return all(
        left[k].dtype == right[k].dtype and left[k].shape == right[k].shape and left[k].tobytes() == right[k].tobytes()
        for k in left
    )
