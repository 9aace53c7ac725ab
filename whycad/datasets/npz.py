"""Read ``.npz`` archives without pickles, with sizes checked before anything is allocated."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from whycad.errors import DatasetError

MAX_PACK_BYTES = 4 << 30
MAX_ARRAYS = 1000
_SUFFIX = ".npy"
_BROKEN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    SyntaxError,
    RuntimeError,
    OverflowError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: Path, *, max_bytes: int = MAX_PACK_BYTES) -> dict[str, NDArray[np.generic]]:
    """Read every array of an ``.npz`` file.

    Parameters
    ----------
    path : Path
    max_bytes : int
        Most that all arrays together may take; checked against what the archive declares, before
        anything is allocated.

    Returns
    -------
    dict of str to ndarray
        By name; members that are no ``.npy`` are left out.

    Raises
    ------
    DatasetError
        When the file cannot be read, declares too much, or holds objects (pickles).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(_SUFFIX)]
            _check_sizes(path, members, max_bytes)
            return {item.filename.removesuffix(_SUFFIX): _read_member(path, archive, item) for item in members}
    except _BROKEN as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise DatasetError(f"{path.name!r} is not a readable image pack (.npz without pickles): {reason}") from error


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = [item.filename for item in members]
    if len(names) > MAX_ARRAYS or len(set(names)) != len(names):
        raise DatasetError(f"pack {path.name!r} holds more than {MAX_ARRAYS} arrays, or the same one twice")
    declared = sum(item.file_size for item in members)
    if declared > max_bytes:
        raise DatasetError(f"pack {path.name!r} unpacks to {declared >> 20} MB, more than {max_bytes >> 20} MB")


def _read_member(path: Path, archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> NDArray[np.generic]:
    """Read one array; its header must declare no more than the archive says it holds."""
    with archive.open(item) as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise DatasetError(f"pack {path.name!r} holds Python objects, which are never unpickled")
    if math.prod(shape) * max(dtype.itemsize, 1) > item.file_size:
        raise DatasetError(f"pack {path.name!r} declares an array larger than its data")
    with archive.open(item) as stream:
        array: NDArray[np.generic] = npy.read_array(stream, allow_pickle=False)
    return array
