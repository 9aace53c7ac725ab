"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from whycad.errors import StoreError


@contextmanager
def whole_file(path: Path, *, newline: str | None = None) -> Iterator[IO[str]]:
    """Open a text file (UTF-8) that appears under its name only once it is complete.

    A partial file beside it is written first and renamed at the end; when the body raises, or the
    process dies, what was there before stays.

    Parameters
    ----------
    path : Path
        The folder it lies in must exist.
    newline : str or None
        As for ``open``.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    path = Path(path)
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with open(handle, "w", encoding="utf-8", newline=newline) as stream:  # noqa: PTH123 - a descriptor
            yield stream
        Path(partial).chmod(_default_mode())
        Path(partial).replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        Path(partial).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    with whole_file(path) as stream:
        stream.write(text)


def _default_mode() -> int:
    """Return the mode that ``open`` would have given; ``mkstemp`` makes files private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path.name!r} cannot be written ({error.strerror or type(error).__name__})",
        remedy="name a file in a folder that exists, can be written and has room",
    )
