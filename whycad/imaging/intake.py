"""Sources to private files: contents, files, folders and archives, within limits of number and size.

Files are known by number from here on. Names are kept only beside a folder's own files, for the child
that looks at a DICOMDIR.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from whycad.errors import CorruptImageError, ImageError, ImageTooLargeError, UnreadableError, UnsupportedFormatError
from whycad.imaging.child import Ending
from whycad.imaging.companions import is_companion
from whycad.imaging.handover import NAMES, read_count
from whycad.imaging.limits import Limits
from whycad.imaging.reader import limit_error, open_private, run_request, write_private
from whycad.imaging.sniff import HEAD_BYTES, FileKind, is_zip, sniff
from whycad.imaging.worker import Job, Request

STEP = 1 << 20
BYTES_PER_FILE = 1 << 18
ALONE = -1


@dataclass(frozen=True)
class File:
    """One file to read, in a private folder.

    Attributes
    ----------
    path : Path
    source : int
        Index of the source that it came from.
    container : int
        The same index where that is a folder or archive, otherwise -1.
    sha256 : str
    kind : FileKind
    """

    path: Path
    source: int
    container: int
    sha256: str
    kind: FileKind


@dataclass(frozen=True)
class Problem:
    """What could not be taken in, and why.

    Attributes
    ----------
    source : int
    container : int
        As in ``File``.
    error : ImageError
    """

    source: int
    container: int
    error: ImageError


class Intake:
    """Take sources in, one after the other.

    Parameters
    ----------
    folder : Path
        Private and empty.
    key : bytes
        Passed to the child that unpacks.
    limits : Limits
    """

    def __init__(self, folder: Path, key: bytes, limits: Limits) -> None:
        self.folder = folder
        self.key = key
        self.limits = limits
        self.files: list[File] = []
        self.problems: list[Problem] = []
        self._bytes = 0
        self._count = 0

    def add(self, index: int, source: bytes | Path) -> None:
        """Take one source in; what is wrong with it is added to the problems."""
        place = self.folder / str(index)
        place.mkdir(mode=0o700)
        try:
            if isinstance(source, Path) and source.is_dir():
                self._add_folder(index, source, place)
            else:
                self._add_one(index, source, place)
        except ImageError as error:
            self.problems.append(Problem(index, ALONE, error))
        except (OSError, ValueError):
            self.problems.append(Problem(index, ALONE, _unreadable()))

    def _add_one(self, index: int, source: bytes | Path, place: Path) -> None:
        path = place / "0"
        if isinstance(source, bytes):
            self._reserve(len(source), is_zip(source[:HEAD_BYTES]))
            write_private(path, source)
        else:
            self._copy(source, path, follow=True)
        if is_zip(_head(path)):
            self._add_archive(index, path)
        else:
            self._classify(path, index, ALONE)

    def _reserve(self, size: int, archive: bool) -> None:
        """Count bytes in, or refuse them."""
        most = self.limits.max_total_bytes if archive else self.limits.max_file_bytes
        if size > most:
            raise ImageTooLargeError(
                f"The file is larger than the limit of {most >> 20} MB", remedy="open a smaller file"
            )
        if self._bytes + size > self.limits.max_total_bytes or self._count >= self.limits.max_files:
            raise ImageTooLargeError(
                f"The files together are more than the limits of {self.limits.max_files:,} files and "
                f"{self.limits.max_total_bytes >> 20} MB",
                remedy="open fewer at a time",
            )
        self._bytes += size
        self._count += not archive

    def _copy(self, source: Path, path: Path, *, follow: bool) -> None:
        with _open_plain(source, follow) as file:
            head = file.read(HEAD_BYTES)
            self._reserve(os.fstat(file.fileno()).st_size, is_zip(head))
            left = os.fstat(file.fileno()).st_size - len(head)
            with open_private(path) as copy:
                copy.write(head)
                while left > 0 and (chunk := file.read(min(STEP, left))):
                    copy.write(chunk)
                    left -= len(chunk)

    def _classify(self, path: Path, index: int, container: int) -> None:
        try:
            kind = sniff(_head(path))
        except ImageError as error:
            self.problems.append(Problem(index, container, error))
            path.unlink()
            return
        self.files.append(File(path, index, container, _sha256(path), kind))

    def _add_archive(self, index: int, path: Path) -> None:
        place = path.with_name("unpacked")
        place.mkdir(mode=0o700)
        limits = replace(
            self.limits.for_files(path.stat().st_size // BYTES_PER_FILE),
            max_files=self.limits.max_files - self._count,
            max_total_bytes=self.limits.max_total_bytes - self._bytes,
        )
        ending = run_request(Request(place, self.key, limits, Job.UNPACK, (path,)))
        count = read_count(place, limits) if ending is Ending.DONE else None
        if count is None:
            raise limit_error(ending, limits)
        path.unlink()
        for member in (place / str(number) for number in range(count)):
            # The child's word is not taken for what a member is, nor for its size.
            if not stat.S_ISREG(member.lstat().st_mode):
                raise CorruptImageError("The ZIP archive could not be unpacked")
            self._reserve(member.stat().st_size, archive=False)
            self._classify(member, index, index)

    def _add_folder(self, index: int, folder: Path, place: Path) -> None:
        names: dict[str, Sequence[str]] = {}
        links = 0
        unread: list[OSError] = []
        # All are listed before one is taken: a folder with too many is refused as a whole.
        for number, path in enumerate(list(_walk(folder, self.limits, unread.append))):
            parts = path.relative_to(folder).parts
            if path.is_symlink():
                links += 1
            elif stat.S_ISREG(path.lstat().st_mode):
                taken = self._add_member(path, place / str(number), index, parts)
                names[str(number) if taken else f"-{number}"] = parts
        self.problems += [Problem(index, index, _unreadable()) for _ in unread]
        if links:
            self.problems.append(Problem(index, index, _links(links)))
        if not (names or links or unread):
            raise CorruptImageError("The folder is empty", remedy="check that it is the folder of the images")
        write_private(place / NAMES, json.dumps(names).encode())

    def _add_member(self, source: Path, path: Path, index: int, parts: Sequence[str]) -> bool:
        try:
            with _open_plain(source, follow=False) as file:
                head = file.read(HEAD_BYTES)
            if is_companion(parts, head):
                return False
            # What is no image is not even copied: a folder may hold anything.
            sniff(head)
            self._copy(source, path, follow=False)
        except ImageError as error:
            self.problems.append(Problem(index, index, error))
            return False
        except OSError:
            self.problems.append(Problem(index, index, _unreadable()))
            return False
        self._classify(path, index, index)
        return True


def _unreadable() -> ImageError:
    return UnreadableError("The file cannot be opened", remedy="check that it exists and may be read")


def _links(count: int) -> ImageError:
    return UnsupportedFormatError(
        f"The folder holds {count} link(s), which are not followed", remedy="open the images that they lead to"
    )


def _walk(folder: Path, limits: Limits, onerror: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield what lies below a folder, links included but not followed, in the order of the paths."""
    count = 0
    for here, subfolders, names in os.walk(folder, onerror=onerror, followlinks=False):
        subfolders.sort()
        linked = [name for name in subfolders if Path(here, name).is_symlink()]
        for name in sorted([*names, *linked]):
            count += 1
            if count > limits.max_files:
                raise ImageTooLargeError(
                    f"The folder holds more than the limit of {limits.max_files:,} files", remedy="open a part of it"
                )
            yield Path(here, name)


def _open_plain(path: Path, follow: bool) -> BinaryIO:
    """Open a plain file; never a pipe or device, and a link only where it may be followed."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _unreadable()
    return os.fdopen(handle, "rb")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
