"""Unpack a ZIP archive without trusting a word of it; runs in the decoding child only.

The whole table of contents is checked before anything is unpacked. Members are written as ``0``,
``1`` and so on: no name of the archive ever becomes a name on disk.

References
----------
PKWARE APPNOTE.TXT 6.3.10, section 4.4.
"""

from __future__ import annotations

import errno
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from whycad.errors import CorruptImageError, DecodeLimitError, ImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.companions import is_companion
from whycad.imaging.handover import NAMES
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.sniff import HEAD_BYTES

MAX_NAME = 1024
# No image packs 200 times smaller; zeros do, up to 1,032 times.
BOMB_RATIO = 200
BOMB_BYTES = 64 * MIB
STEP = 1 << 20
UNPACK = "unpack it yourself and open the images in it"
ENCRYPTED = "The ZIP archive is encrypted"
BROKEN = "The ZIP archive is broken or cut short"
CUT_REMEDY = "check that the copy or download was complete"
NO_SPACE = "There is no space to unpack the ZIP archive"
_END = b"PK\x05\x06"
_DRIVE = re.compile(r"[A-Za-z]:")
_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError, IndexError)


def unpack_zip(path: Path, target: Path, limits: Limits) -> int:
    """Unpack an archive into an empty folder.

    Parameters
    ----------
    path : Path
        The archive.
    target : Path
        Gets the members ``0``, ``1``, ... and ``names.json``, which maps these to their paths in parts.
    limits : Limits
        ``max_files`` and ``max_total_bytes`` bound the archive, ``max_file_bytes`` each member.

    Returns
    -------
    int
        How many members were written; those that lie beside images were passed over.

    Raises
    ------
    UnsupportedFormatError
        If it is encrypted, holds a link, leaves its folder, or is packed in a way that is not read.
    ImageTooLargeError
        If it has too many members, or they are too large.
    CorruptImageError
        If it is empty, broken or cut short.
    """
    try:
        _check_count(path, limits)
        with zipfile.ZipFile(path) as archive:
            members = _check_contents(archive.infolist(), path.stat().st_size, limits)
            return _unpack(archive, members, target)
    except ImageError:
        raise
    except NotImplementedError:
        raise UnsupportedFormatError("The ZIP archive is packed in a way that is not read", remedy=UNPACK) from None
    except RuntimeError:
        raise UnsupportedFormatError(ENCRYPTED, remedy=UNPACK) from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        problem = DecodeLimitError(NO_SPACE) if full else CorruptImageError(BROKEN, remedy=CUT_REMEDY)
        raise problem from None
    except _ERRORS:
        raise CorruptImageError(BROKEN, remedy=CUT_REMEDY) from None


def _check_count(path: Path, limits: Limits) -> None:
    """Refuse too many members by what the end of the archive declares, before the list is read."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise CorruptImageError(BROKEN, remedy=CUT_REMEDY)
    count, size = struct.unpack_from("<H", tail, at + 10)[0], struct.unpack_from("<L", tail, at + 12)[0]
    # All bits set stands for "see the 64-bit record"; that list is then counted once it is read.
    if limits.max_files < count < 0xFFFF or limits.max_files * (46 + 2 * MAX_NAME) < size < 0xFFFFFFFF:
        raise _too_many(limits)


def _too_many(limits: Limits) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"The ZIP archive holds more than the limit of {limits.max_files:,} files", remedy="open a part of it"
    )


def _check_contents(infos: Sequence[zipfile.ZipInfo], packed: int, limits: Limits) -> list[zipfile.ZipInfo]:
    """Check every member; return those that are files."""
    if len(infos) > limits.max_files:
        raise _too_many(limits)
    for info in infos:
        _check_name(info.orig_filename)
        _check_kind(info)
    files = [info for info in infos if not info.is_dir()]
    if not files:
        raise CorruptImageError("The ZIP archive is empty", remedy=CUT_REMEDY)
    total = sum(info.file_size for info in files)
    if total > limits.max_total_bytes or max(info.file_size for info in files) > limits.max_file_bytes:
        raise ImageTooLargeError(
            f"The ZIP archive would unpack to more than the limits of {limits.max_file_bytes >> 20} MB a file and "
            f"{limits.max_total_bytes >> 20} MB in all",
            remedy="open a part of it, or raise the limits",
        )
    if total > BOMB_BYTES and total > BOMB_RATIO * packed:
        raise UnsupportedFormatError(
            f"The ZIP archive would grow more than {BOMB_RATIO} times when unpacked, as no images do", remedy=UNPACK
        )
    return files


def _check_name(name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or _DRIVE.match(name) or "\x00" in name or len(name) > MAX_NAME:
        raise UnsupportedFormatError(
            "The ZIP archive holds a file whose path leads out of the archive or is not a path", remedy=UNPACK
        )


def _check_kind(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsupportedFormatError("The ZIP archive holds a link or a device instead of a file", remedy=UNPACK)
    if info.flag_bits & 0x41:
        raise UnsupportedFormatError(ENCRYPTED, remedy=UNPACK)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError


def _unpack(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], target: Path) -> int:
    names: dict[str, list[str]] = {}
    written = 0
    for info in members:
        parts = [part for part in info.filename.replace("\\", "/").split("/") if part not in ("", ".")] or [""]
        with archive.open(info) as member:
            head = member.read(HEAD_BYTES)
            if is_companion(parts, head):
                names[f"-{len(names)}"] = parts
                continue
            _copy(head, member, target / str(written), info.file_size)
        names[str(written)] = parts
        written += 1
    (target / NAMES).write_text(json.dumps(names), encoding="utf-8")
    return written


def _copy(head: bytes, member: IO[bytes], path: Path, size: int) -> None:
    """Write one member; never more than it declared, and never over another file."""
    done = len(head)
    with path.open("xb") as file:
        file.write(head)
        while chunk := member.read(STEP):
            done += len(chunk)
            if done > size:
                raise zipfile.BadZipFile
            file.write(chunk)
    if done != size:
        raise zipfile.BadZipFile
