"""The decoding child: ``python -m whycad.imaging.worker``, one study or a few per process.

It reads one JSON request from standard input, lowers its own limits before it looks at a file, and
leaves its results in the private folder it was given. Whatever it prints is thrown away, because
libraries may echo what they read. Besides decoding a study it unpacks an archive, or surveys files.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from whycad.errors import CorruptImageError, DecodeLimitError, ImageError, ImageTooLargeError, UnreadableError
from whycad.imaging.handover import (
    FINDINGS,
    INPUT,
    PIXELS,
    write_count,
    write_error,
    write_facts,
    write_study,
)
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.sniff import FileKind, sniff
from whycad.types import Study

SPARE_WALL_S = 10
OUT_OF_MEMORY = "Decoding the file needed more memory than the limit allows"
Result = TypeVar("Result")


class Job(StrEnum):
    """What a child does."""

    STUDY = "study"
    SERIES = "series"
    UNPACK = "unpack"
    SURVEY = "survey"
    STUDIES = "studies"
    HEADERS = "headers"


@dataclass(frozen=True)
class Request:
    """What the parent asks for; never on the command line, which every user can read.

    Attributes
    ----------
    folder : Path
        Private, gets the results.
    key : bytes
        Secret for subject keys.
    limits : Limits
    job : Job
    inputs : tuple of Path
        Files to read; by default ``input`` in the folder.
    """

    folder: Path
    key: bytes
    limits: Limits
    job: Job = Job.STUDY
    inputs: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files to read."""
        return self.inputs or (self.folder / INPUT,)

    def to_json(self) -> str:
        """Return one line of JSON."""
        content = {"folder": str(self.folder), "key": self.key.hex(), "limits": asdict(self.limits)}
        return json.dumps({**content, "job": self.job, "inputs": [str(path) for path in self.inputs]})

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        inputs = tuple(Path(path) for path in content["inputs"])
        limits = Limits(**content["limits"])
        return cls(Path(content["folder"]), bytes.fromhex(content["key"]), limits, Job(content["job"]), inputs)


def guarded(work: Callable[[], Result]) -> Result:
    """Do work on untrusted bytes; whatever it throws becomes a typed error without its words.

    Raises
    ------
    ImageError
    """
    with _quiet():
        try:
            return work()
        except ImageError:
            raise
        except (MemoryError, RecursionError, ImportError):
            # Libraries that no longer fit into memory fail as imports.
            raise DecodeLimitError(OUT_OF_MEMORY, remedy="open a smaller image, or raise the limit") from None
        except Exception:  # noqa: BLE001 - the one place where whatever a decoder throws becomes typed; its text may hold patient data
            raise CorruptImageError("The file breaks its format in a way that no reader expects") from None


def decode(data: bytes, key: bytes, limits: Limits) -> Study:
    """Turn the bytes of one file into a Study without ``sha256``.

    Raises
    ------
    ImageError
        Of the kind that fits; its message holds nothing from the file.
    """
    if len(data) > limits.max_file_bytes:
        raise ImageTooLargeError(f"The file is larger than the limit of {limits.max_file_bytes >> 20} MB")
    return guarded(lambda: _read(data, key, limits))


def _read(data: bytes, key: bytes, limits: Limits) -> Study:
    kind = sniff(data)
    if kind is FileKind.DICOM:
        from whycad.imaging.dicom import read_dicom

        return read_dicom(data, key, limits)
    from whycad.imaging.raster import read_jpeg, read_png

    return read_png(data, limits) if kind is FileKind.PNG else read_jpeg(data, limits)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries from repeating what they read; this process has nothing to log."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def apply_limits(limits: Limits) -> None:
    """Lower this process's limits where the system knows them; the parent watches as well."""
    if sys.platform == "win32":
        return
    import resource
    import signal

    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, max(1, round(limits.cpu_s)), spare=1)
    _lower(resource.RLIMIT_FSIZE, max(4 * limits.max_pixels, limits.max_file_bytes) + MIB)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_bytes)
    # Should the parent vanish, nothing else would end this process.
    signal.alarm(round(limits.wall_s) + SPARE_WALL_S)


def _lower(which: int, value: int, spare: int = 0) -> None:
    import resource

    hard = resource.getrlimit(which)[1]
    top = value + spare if hard == resource.RLIM_INFINITY else min(hard, value + spare)
    resource.setrlimit(which, (min(value, top), top))


def serve(request: Request) -> None:
    """Do what is asked and leave a report, of an error where one occurred.

    A survey leaves a line for each file instead, and counts errors among its findings.
    """
    try:
        _SERVICES[request.job](request)
    except ImageError as error:
        write_error(request.folder, error)
    except MemoryError:
        write_error(request.folder, DecodeLimitError(OUT_OF_MEMORY))


def _serve_study(request: Request) -> None:
    write_study(request.folder, decode(request.files[0].read_bytes(), request.key, request.limits))


def _serve_series(request: Request) -> None:
    from whycad.imaging.dicom_series import read_series

    pixels = request.folder / PIXELS
    study = guarded(lambda: read_series(request.files, request.key, request.limits, pixels))
    write_facts(request.folder, study)


def _serve_unpacking(request: Request) -> None:
    from whycad.imaging.archive import unpack_zip

    count = guarded(lambda: unpack_zip(request.files[0], request.folder, request.limits))
    write_count(request.folder, count)


def _serve_survey(request: Request) -> None:
    from whycad.imaging.survey import Finding, survey_file, survey_files

    def look(path: Path) -> Finding:
        try:
            return guarded(lambda: survey_file(path, request.key, request.limits))
        except ImageError as error:
            return Finding(error=error)

    survey_files(request.files, look, request.folder / FINDINGS)


def _serve_each(request: Request) -> None:
    """Read files one after the other, each into a folder of its own, so that a death tells who caused it."""
    from whycad.imaging.dicom import read_header

    read = read_header if request.job is Job.HEADERS else _read
    for number, path in enumerate(request.files):
        place = request.folder / str(number)
        place.mkdir(mode=0o700)
        try:
            write_study(place, guarded(partial(read, _file_bytes(path, request.limits), request.key, request.limits)))
        except ImageError as error:
            write_error(place, error)


def _file_bytes(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limits.max_file_bytes + 1)
    except (OSError, ValueError):
        raise UnreadableError("The file cannot be opened", remedy="check that it exists and may be read") from None
    if len(data) > limits.max_file_bytes:
        raise ImageTooLargeError(f"The file is larger than the limit of {limits.max_file_bytes >> 20} MB")
    return data


_SERVICES: dict[Job, Callable[[Request], None]] = {
    Job.STUDY: _serve_study,
    Job.SERIES: _serve_series,
    Job.UNPACK: _serve_unpacking,
    Job.SURVEY: _serve_survey,
    Job.STUDIES: _serve_each,
    Job.HEADERS: _serve_each,
}


def main() -> int:
    """Serve one request; 0 where a report was left."""
    request = Request.from_json(sys.stdin.readline())
    apply_limits(request.limits)
    serve(request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
