"""Bytes to Study, by way of a child that can be killed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from whycad.errors import DecodeLimitError, ImageTooLargeError, UnreadableError
from whycad.imaging.child import Ending, run_child, worker_command
from whycad.imaging.handover import INPUT, read_result
from whycad.imaging.keys import load_key
from whycad.imaging.limits import Limits
from whycad.imaging.worker import Request
from whycad.types import Study

_REASONS = {
    Ending.TOO_LONG: "Decoding the file took longer than the limit of {limits.wall_s:g} s",
    Ending.TOO_MUCH_MEMORY: "Decoding the file needed more memory than the limit allows",
    Ending.DIED: "The decoder was stopped, or broke down, while it read the file",
    Ending.DONE: "The decoder left no result",
}


def read_study(source: bytes | Path, *, name: str = "", limits: Limits | None = None) -> Study:
    """Read one DICOM, PNG or JPEG file.

    The file is decoded in a child process within limits of memory and time; a file that makes the
    child hang or die costs an error, never this process.

    Parameters
    ----------
    source : bytes or Path
        Contents, or where they lie.
    name : str
        The client's file name. It is never looked at, kept, written or logged: contents decide,
        and files are known by their hash.
    limits : Limits or None
        Defaults of ``Limits``.

    Returns
    -------
    Study

    Raises
    ------
    UnsupportedFormatError
        If it is not an image of a kind that is read.
    CorruptImageError
        If it breaks its own format.
    UnreadableError
        If it cannot be read at all.
    ImageTooLargeError
        If it declares or unpacks to too much.
    DecodeLimitError
        If the child was stopped at its limits, or died.
    StoreError
        If the key that protects patient ids cannot be had.
    """
    del name
    limits = limits or Limits()
    return _decode_apart(_contents(source, limits), limits)


def _decode_apart(data: bytes, limits: Limits) -> Study:
    key = load_key()
    with tempfile.TemporaryDirectory(prefix="whycad-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        write_private(folder / INPUT, data)
        return decode_request(Request(folder, key, limits), hashlib.sha256(data).hexdigest())


def decode_request(request: Request, sha256: str) -> Study:
    """Have a child decode a study, and check what it leaves.

    Raises
    ------
    ImageError
    """
    ending = run_request(request)
    study = read_result(request.folder, sha256, request.limits) if ending is Ending.DONE else None
    if study is None:
        raise limit_error(ending, request.limits)
    return study


def run_request(request: Request) -> Ending:
    """Run a child to its end within the request's limits."""
    return run_child(worker_command(request.to_json(), request.folder), request.limits)


def limit_error(ending: Ending, limits: Limits) -> DecodeLimitError:
    """Return the error for a child that left no result."""
    return DecodeLimitError(_REASONS[ending].format(limits=limits), remedy="check the file; a smaller image may work")


def _contents(source: bytes | Path, limits: Limits) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if not source.is_file():
                raise OSError
            with source.open("rb") as file:
                data = file.read(limits.max_file_bytes + 1)
        except OSError:
            raise UnreadableError("The file cannot be opened", remedy="check that it exists and may be read") from None
    if len(data) > limits.max_file_bytes:
        raise ImageTooLargeError(
            f"The file is larger than the limit of {limits.max_file_bytes >> 20} MB", remedy="open a smaller file"
        )
    return data


def open_private(path: Path) -> BinaryIO:
    """Create a file that only this user can read, never over another one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    return os.fdopen(handle, "wb")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read."""
    with open_private(path) as file:
        file.write(data)
