"""What the decoding child writes and the parent believes only after checking it."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from whycad.errors import (
    CorruptImageError,
    DecodeLimitError,
    ImageError,
    ImageTooLargeError,
    UnreadableError,
    UnsupportedFormatError,
)
from whycad.imaging.deidentify import check_metadata, is_hash
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import known_remark
from whycad.imaging.vocabulary import LATERALITIES, MODALITIES, VIEWS
from whycad.types import FloatArray, JsonObject, Study

INPUT, PIXELS, REPORT = "input", "pixels.npy", "report.json"
# Paths of the files of a folder or archive, for the child that looks at a DICOMDIR; and what the survey found.
NAMES, FINDINGS = "names.json", "findings.jsonl"
MAX_REPORT = 1 << 16
MAX_MESSAGE = 400
ERRORS: dict[str, type[ImageError]] = {
    kind.__name__: kind
    for kind in (
        UnsupportedFormatError,
        CorruptImageError,
        UnreadableError,
        ImageTooLargeError,
        DecodeLimitError,
        ImageError,
    )
}
NOT_WELL_FORMED = "The decoder gave back something that is not an image"
_ODD = (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError)
UNITS = frozenset(("HU", "rgb", "normalised", "stored"))


def write_study(folder: Path, study: Study) -> None:
    """Write pixels and facts of a study (in the child)."""
    np.save(folder / PIXELS, study.pixels, allow_pickle=False)
    write_facts(folder, study)


def write_facts(folder: Path, study: Study) -> None:
    """Write the facts of a study whose pixels are written already (in the child)."""
    report: JsonObject = {
        "modality": study.modality,
        "unit": study.unit,
        "spacing_mm": study.spacing_mm,
        "window": study.window,
        "orientation": study.orientation,
        "position_mm": study.position_mm,
        "laterality": study.laterality,
        "view": study.view,
        "metadata": dict(study.metadata),
        "subject_key": study.subject_key,
        "warnings": list(study.warnings),
    }
    _write(folder, {"study": report})


def write_count(folder: Path, count: int) -> None:
    """Write how many files an archive gave (in the child)."""
    _write(folder, {"unpacked": count})


def read_count(folder: Path, limits: Limits) -> int | None:
    """Read and check how many files an archive gave (in the parent).

    Returns
    -------
    int or None
        None where the child left no report.

    Raises
    ------
    ImageError
        The child's own typed error, or CorruptImageError where its result is not well-formed.
    """
    report = _read_report(folder)
    if report is None:
        return None
    count = report.get("unpacked")
    if type(count) is not int or not 0 <= count <= limits.max_files:
        raise CorruptImageError(NOT_WELL_FORMED)
    return count


def write_error(folder: Path, error: ImageError) -> None:
    """Write a typed error (in the child)."""
    _write(folder, {"error": error_report(error)})


def _write(folder: Path, report: JsonObject) -> None:
    draft = folder / (REPORT + ".part")
    draft.write_text(json.dumps(report), encoding="utf-8")
    draft.replace(folder / REPORT)


def read_result(folder: Path, sha256: str, limits: Limits) -> Study | None:
    """Read and check what the child left (in the parent).

    Returns
    -------
    Study or None
        None where the child left no report.

    Raises
    ------
    ImageError
        The child's own typed error, or CorruptImageError where its result is not well-formed.
    """
    report = _read_report(folder)
    if report is None:
        return None
    try:
        return _study(report["study"], _load_pixels(folder / PIXELS, limits), sha256)
    except _ODD:
        raise CorruptImageError(NOT_WELL_FORMED) from None


def _read_report(folder: Path) -> JsonObject | None:
    """Read a report; its typed error is raised, and so is CorruptImageError for one that is none."""
    try:
        text = _read_small(folder / REPORT)
        if text is None:
            return None
        report = json.loads(text)
        if "error" not in report:
            return dict(report)
        error = error_from(report["error"])
    except _ODD:
        error = CorruptImageError(NOT_WELL_FORMED)
    raise error


def _read_small(path: Path) -> str | None:
    try:
        handle = _open(path)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_REPORT + 1)
    if len(content) > MAX_REPORT:
        raise ValueError("report too long")
    return content.decode("utf-8")


def _open(path: Path) -> int:
    """Open a plain file, never what a link points to."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("not a plain file")
    return handle


def error_from(report: JsonObject) -> ImageError:
    """Make the child's typed error again.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it is none.
    """
    message, remedy = report["message"], report["remedy"]
    if not all(isinstance(text, str) and text.isprintable() and len(text) <= MAX_MESSAGE for text in (message, remedy)):
        raise ValueError("odd message")
    return ERRORS[report["kind"]](message, remedy=remedy)


def error_report(error: ImageError) -> JsonObject:
    """Return what ``error_from`` reads."""
    return {"kind": type(error).__name__, "message": error.message, "remedy": error.remedy}


def _load_pixels(path: Path, limits: Limits) -> FloatArray:
    with os.fdopen(_open(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > 4 * limits.max_pixels + 4096:
            raise ValueError("array too large")
        pixels = np.load(file, allow_pickle=False)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.float32 or pixels.ndim not in (2, 3):
        raise ValueError("array of another kind")
    if not pixels.size or not np.isfinite(pixels).all():
        raise ValueError("array is empty or not finite")
    return np.ascontiguousarray(pixels)


def _study(report: JsonObject, pixels: FloatArray, sha256: str) -> Study:
    unit, modality = report["unit"], report["modality"]
    if unit not in UNITS or modality not in MODALITIES:
        raise ValueError("unknown unit or modality")
    colour = unit == "rgb"
    if colour and (pixels.ndim != 3 or pixels.shape[-1] != 3):
        raise ValueError("colour without channels")
    if unit in ("rgb", "normalised") and (pixels.min() < 0.0 or pixels.max() > 1.0):
        raise ValueError("values outside 0..1")
    if report["laterality"] not in LATERALITIES | {""} or report["view"] not in VIEWS | {""}:
        raise ValueError("unknown side or view")
    if not isinstance(report["subject_key"], str) or not is_hash(report["subject_key"]):
        raise ValueError("not a subject key")
    position = _floats(report["position_mm"], 3)
    window = _floats(report["window"], 2)
    return Study(
        pixels=pixels,
        modality=modality,
        sha256=sha256,
        unit=unit,
        spacing_mm=_floats(report["spacing_mm"], 2 if colour else pixels.ndim, positive=True),
        window=(window[0], window[1]) if window else None,
        orientation=_floats(report["orientation"], 6),
        position_mm=(position[0], position[1], position[2]) if position else None,
        laterality=report["laterality"],
        view=report["view"],
        metadata=check_metadata(report["metadata"]),
        subject_key=report["subject_key"],
        warnings=tuple(known_remark(text) for text in report["warnings"]),
    )


def _floats(value: Any, count: int, *, positive: bool = False) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != count:
        raise ValueError("wrong number of numbers")
    numbers = tuple(float(v) for v in value)
    if not all(math.isfinite(v) and (v > 0.0 or not positive) for v in numbers):
        raise ValueError("numbers out of range")
    return numbers
