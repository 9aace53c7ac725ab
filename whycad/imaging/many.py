"""Many files to Studies, or to their headers alone, a few at a time in one killable child.

Starting a child costs more than decoding a small picture; a data set has thousands of them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from whycad.errors import ImageError, ImageTooLargeError, UnreadableError
from whycad.imaging.child import Ending
from whycad.imaging.handover import read_result
from whycad.imaging.keys import load_key
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.reader import limit_error, run_request
from whycad.imaging.worker import Job, Request
from whycad.types import Study

AT_ONCE = 16
HEADERS_AT_ONCE = 256
BYTES_AT_ONCE = 64 * MIB


def read_many(
    paths: Sequence[Path], *, headers_only: bool = False, limits: Limits | None = None
) -> Iterator[Study | ImageError]:
    """Read DICOM, PNG and JPEG files one after the other.

    Memory holds one study, and the disk those of one child, however many files there are. A file that
    makes its child hang or die costs an error for that file, and the others go on.

    Parameters
    ----------
    paths : sequence of Path
    headers_only : bool
        Read what DICOM headers say, with a single pixel of 0 in place of the image; other files are errors.
    limits : Limits or None
        For one file.

    Yields
    ------
    Study or ImageError
        For each path, in order.

    Raises
    ------
    StoreError
        If the key that protects patient ids cannot be had.
    """
    limits, key = limits or Limits(), load_key()
    job = Job.HEADERS if headers_only else Job.STUDIES
    for part in _parts(paths, HEADERS_AT_ONCE if headers_only else AT_ONCE):
        done = 0
        while done < len(part):
            for found in _read_part(part[done:], Request(Path(), key, limits, job)):
                done += 1
                yield found


def _parts(paths: Sequence[Path], most: int) -> Iterator[list[Path]]:
    part: list[Path] = []
    held = 0
    for path in paths:
        size = _size(path)
        if part and (len(part) >= most or held + size > BYTES_AT_ONCE):
            yield part
            part, held = [], 0
        part.append(path)
        held += size
    if part:
        yield part


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_part(paths: Sequence[Path], request: Request) -> Iterator[Study | ImageError]:
    """Yield results up to the file that the child died of, if it did."""
    limits = request.limits.for_files(len(paths))
    with tempfile.TemporaryDirectory(prefix="whycad-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        inputs = tuple(path.absolute() for path in paths)
        ending = run_request(replace(request, folder=folder, limits=limits, inputs=inputs))
        for number, path in enumerate(paths):
            found = _result(folder / str(number), path, request.limits)
            yield found or limit_error(Ending.DIED if ending is Ending.DONE else ending, request.limits)
            if found is None:
                return


def _result(folder: Path, path: Path, limits: Limits) -> Study | ImageError | None:
    """Return what the child left of one file; None where it died of it."""
    try:
        return read_result(folder, file_sha256(path, limits), limits)
    except ImageError as error:
        return error


def file_sha256(path: Path, limits: Limits | None = None) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    UnreadableError
        When it cannot be read.
    ImageTooLargeError
        When it is larger than the limits allow.
    """
    limits = limits or Limits()
    if _size(path) > limits.max_file_bytes:
        raise ImageTooLargeError(
            f"The file is larger than the limit of {limits.max_file_bytes >> 20} MB", remedy="open a smaller file"
        )
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        raise UnreadableError("The file cannot be opened", remedy="check that it exists and may be read") from None
