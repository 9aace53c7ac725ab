"""The decoding child: ``python -m whycad.imaging.worker``, one file per process.

It reads one JSON request from standard input, lowers its own limits before it looks at the file,
and leaves ``pixels.npy`` and ``report.json`` in the private folder it was given. Whatever it prints
is thrown away, because libraries may echo what they read.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from whycad.errors import CorruptImageError, DecodeLimitError, ImageError, ImageTooLargeError
from whycad.imaging.handover import INPUT, write_error, write_study
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.sniff import FileKind, sniff
from whycad.types import Study

SPARE_WALL_S = 10
OUT_OF_MEMORY = "Decoding the file needed more memory than the limit allows"


@dataclass(frozen=True)
class Request:
    """What the parent asks for; never on the command line, which every user can read.

    Attributes
    ----------
    folder : Path
        Private, holds the input.
    key : bytes
        Secret for subject keys.
    limits : Limits
    """

    folder: Path
    key: bytes
    limits: Limits

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps({"folder": str(self.folder), "key": self.key.hex(), "limits": asdict(self.limits)})

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        return cls(Path(content["folder"]), bytes.fromhex(content["key"]), Limits(**content["limits"]))


def decode(data: bytes, key: bytes, limits: Limits) -> Study:
    """Turn the bytes of one file into a Study without ``sha256``.

    Raises
    ------
    ImageError
        Of the kind that fits; its message holds nothing from the file.
    """
    if len(data) > limits.max_file_bytes:
        raise ImageTooLargeError(f"The file is larger than the limit of {limits.max_file_bytes >> 20} MB")
    with _quiet():
        try:
            return _read(data, key, limits)
        except ImageError:
            raise
        except (MemoryError, RecursionError, ImportError):
            # Libraries that no longer fit into memory fail as imports.
            raise DecodeLimitError(OUT_OF_MEMORY, remedy="open a smaller image, or raise the limit") from None
        except Exception:  # noqa: BLE001 - the one place where whatever a decoder throws becomes typed; its text may hold patient data
            raise CorruptImageError("The file breaks its format in a way that no reader expects") from None


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
    _lower(resource.RLIMIT_FSIZE, 4 * limits.max_pixels + MIB)
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


def main() -> int:
    """Serve one request; 0 where a report was left."""
    request = Request.from_json(sys.stdin.readline())
    apply_limits(request.limits)
    try:
        study = decode((request.folder / INPUT).read_bytes(), request.key, request.limits)
        write_study(request.folder, study)
    except ImageError as error:
        write_error(request.folder, error)
    except MemoryError:
        write_error(request.folder, DecodeLimitError(OUT_OF_MEMORY))
    return 0


if __name__ == "__main__":
    sys.exit(main())
