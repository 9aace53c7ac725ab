"""What the job queue and its model workers say to each other.

Messages are JSON objects behind a four-byte length. Images and results travel as files in the
job's private folder; a message only names them. Nothing here is ever unpickled.

==============  =======================================================================
to the worker   ``job`` (job, kind, plugin_folder, folder, request, what), ``cancel`` (job), ``stop``
from it         ``ready`` (device), ``accepted`` (job), ``progress`` (job, stage, fraction,
                message), ``partial`` (job, name), ``result`` (job, name), ``error`` (job,
                kind, message, remedy)
==============  =======================================================================
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO

import numpy as np

from whycad import errors
from whycad.errors import JobError, StoreError, WhyCadError
from whycad.phantom import PhantomCase
from whycad.types import AnalysisRequest, JsonObject, Region, Study

MAX_FRAME_BYTES = 1024 * 1024
MAX_TEXT = 600
_LENGTH = struct.Struct(">I")
_TUPLES = ("spacing_mm", "window", "orientation", "position_mm", "warnings")


def write_frame(stream: IO[bytes], message: JsonObject) -> None:
    """Send one message."""
    body = json.dumps(message, ensure_ascii=True).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise JobError(f"a message of {len(body)} bytes is longer than {MAX_FRAME_BYTES}")
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> JsonObject | None:
    """Receive one message; None at the end of the stream.

    Raises
    ------
    JobError
        When the bytes are not a message.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise JobError("the model worker sent something that is not a message")
    body = stream.read(length)
    if len(body) < length:
        return None
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise JobError("the model worker sent something that is not a message") from error
    if not isinstance(message, dict):
        raise JobError("the model worker sent something that is not a message")
    return message


def request_to_json(request: AnalysisRequest) -> JsonObject:
    """Return a request as plain JSON."""
    return asdict(request)


def request_from_json(body: JsonObject) -> AnalysisRequest:
    """Rebuild a request; the inverse of ``request_to_json``."""
    return AnalysisRequest(**{**body, "explain": tuple(body["explain"]), "region": _region(body["region"])})


def _region(body: JsonObject | None) -> Region | None:
    if body is None:
        return None
    return Region(tuple(body["start"]), None if body["stop"] is None else tuple(body["stop"]))


def error_to_json(error: WhyCadError) -> JsonObject:
    """Return an error's class, message and remedy, shortened and printable."""
    return {"kind": type(error).__name__, "message": _plain(error.message), "remedy": _plain(error.remedy)}


def error_from_json(body: JsonObject) -> WhyCadError:
    """Rebuild an error; an unknown class becomes a ``JobError``."""
    kind = getattr(errors, str(body.get("kind")), JobError)
    if not (isinstance(kind, type) and issubclass(kind, WhyCadError)):
        kind = JobError
    return kind(_plain(str(body.get("message", ""))), remedy=_plain(str(body.get("remedy", ""))))


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_TEXT]


def save_study(study: Study, folder: Path) -> None:
    """Write a study to a folder: ``study.json`` and ``pixels.npy``.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    body = {f.name: getattr(study, f.name) for f in fields(study) if f.name != "pixels"}
    body["metadata"] = dict(study.metadata)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "pixels.npy", study.pixels, allow_pickle=False)
        (folder / "study.json").write_text(json.dumps(body), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the image cannot be handed over ({type(error).__name__})") from error


def load_study(folder: Path) -> Study:
    """Read a study that ``save_study`` wrote.

    Raises
    ------
    StoreError
        When files are missing or broken.
    """
    try:
        body = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        pixels = np.load(folder / "pixels.npy", allow_pickle=False)
        for name in _TUPLES:
            body[name] = None if body[name] is None else tuple(body[name])
        return Study(pixels=pixels, **body)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the image cannot be read back ({type(error).__name__})") from error


def save_cases(cases: Sequence[PhantomCase], folder: Path) -> None:
    """Write simulated or real sample cases to numbered sub-folders.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    for number, case in enumerate(cases):
        place = folder / f"{number:03d}"
        save_study(case.study, place)
        words = {"label": case.label, "name": case.name, "description": case.description}
        place_of = {"region": None if case.region is None else asdict(case.region)}
        try:
            np.save(place / "mask.npy", np.asarray(case.mask, dtype=bool), allow_pickle=False)
            body = {**words, **place_of, "artefacts": list(case.artefacts)}
            (place / "case.json").write_text(json.dumps(body), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"a sample case cannot be handed over ({type(error).__name__})") from error


def load_cases(folder: Path) -> tuple[PhantomCase, ...]:
    """Read the cases that ``save_cases`` wrote.

    Raises
    ------
    StoreError
        When files are missing or broken.
    """
    return tuple(_cases(folder))


def _cases(folder: Path) -> Iterator[PhantomCase]:
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            words = json.loads((place / "case.json").read_text(encoding="utf-8"))
            mask = np.load(place / "mask.npy", allow_pickle=False).astype(bool)
            words["artefacts"], words["region"] = tuple(words["artefacts"]), _region(words["region"])
            yield PhantomCase(study=load_study(place), mask=mask, **words)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"a sample case cannot be read back ({type(error).__name__})") from error
