"""Image packs: one ``.npz`` file (no pickles) of images and columns.

Two layouts are read. JPEG packs hold ``jpeg`` (all files end to end, uint8) and
``jpeg_offsets`` (n + 1 byte positions); plain packs hold ``images`` or ``image``
as an array ``(n, H, W)`` or ``(n, H, W, 3)``. Every other array whose first
dimension is n is a column; every other scalar or array describes the pack.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycad.errors import DatasetError

IMAGE_ARRAYS = ("images", "image")
MAX_JPEG_SIDE = 8192


@dataclass(frozen=True)
class Pack:
    """An opened pack; images are decoded one at a time.

    Attributes
    ----------
    path : Path
        The ``.npz`` file.
    arrays : dict of str to ndarray
        Everything in it, by name.
    """

    path: Path
    arrays: dict[str, NDArray[np.generic]]

    @cached_property
    def is_jpeg(self) -> bool:
        """Whether images are stored as JPEG files."""
        return "jpeg" in self.arrays

    @cached_property
    def image_array(self) -> NDArray[np.generic]:
        """The plain image array ``(n, H, W)`` or ``(n, H, W, 3)``."""
        name = next(n for n in IMAGE_ARRAYS if n in self.arrays)
        return self.arrays[name]

    def __len__(self) -> int:
        if self.is_jpeg:
            return len(self.arrays["jpeg_offsets"]) - 1
        return len(self.image_array)

    def column(self, name: str) -> NDArray[np.generic] | None:
        """Return the per-image column ``name`` ``(n, ...)``, or None where the pack lacks it."""
        array = self.arrays.get(name)
        if array is None or array.ndim == 0 or len(array) != len(self):
            return None
        return array

    def class_names(self) -> tuple[str, ...]:
        """Return the names that the integers of ``y`` index; empty where unknown."""
        names = self.arrays.get("class_names")
        return () if names is None else tuple(str(n) for n in names)

    def label_name(self, row: int) -> str:
        """Return the class name of one row, or an empty string where it is unknown."""
        y, names = self.column("y"), self.class_names()
        if y is None or not names:
            return ""
        index = int(y[row])
        return names[index] if 0 <= index < len(names) else ""

    def group(self, row: int) -> str:
        """Return the row's group (patient or lesion), falling back to the row number."""
        for name in ("group_id", "patient", "patient_id", "lesion_id"):
            column = self.column(name)
            if column is not None:
                return str(column[row])
        return f"row-{row}"

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the row numbers ``(m,)`` of a split, or of the whole pack."""
        everything = np.arange(len(self))
        if split is None:
            return everything
        column = self.column("split")
        if column is None:
            raise DatasetError(
                f"pack {self.path.name!r} has no 'split' column, so --split {split} selects nothing",
                remedy="leave --split out to use every row",
            )
        return everything[column.astype(str) == split]

    def jpeg_bytes(self, row: int) -> bytes:
        """Return the stored JPEG file of one row."""
        offsets = self.arrays["jpeg_offsets"]
        start, stop = int(offsets[row]), int(offsets[row + 1])
        if not 0 <= start < stop <= len(self.arrays["jpeg"]):
            raise DatasetError(f"pack {self.path.name!r}, row {row}: JPEG offsets point outside the data")
        return self.arrays["jpeg"][start:stop].tobytes()

    def image(self, row: int) -> NDArray[np.generic]:
        """Decode one image.

        Returns
        -------
        ndarray
            ``(H, W)`` or ``(H, W, 3)``, in the stored dtype (uint8 for JPEG).
        """
        if not self.is_jpeg:
            return np.asarray(self.image_array[row])
        try:
            with Image.open(io.BytesIO(self.jpeg_bytes(row)), formats=["JPEG"]) as picture:
                if max(picture.size) > MAX_JPEG_SIDE:
                    raise DatasetError(f"pack {self.path.name!r}, row {row}: image is larger than {MAX_JPEG_SIDE} px")
                return np.asarray(picture)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise DatasetError(f"pack {self.path.name!r}, row {row}: the JPEG cannot be decoded") from error

    def images(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.generic]]:
        """Yield the images of ``rows`` in order."""
        for row in rows:
            yield self.image(int(row))


def read_pack(path: Path | str) -> Pack:
    """Open a pack.

    Raises
    ------
    DatasetError
        When the file is missing, is no ``.npz``, holds pickles, or holds no images.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path.name!r} is not a readable image pack (.npz without pickles)") from error
    has_jpeg = {"jpeg", "jpeg_offsets"} <= arrays.keys()
    if not has_jpeg and not any(name in arrays for name in IMAGE_ARRAYS):
        raise DatasetError(
            f"pack {path.name!r} holds neither 'jpeg' with 'jpeg_offsets' nor 'images' or 'image'",
            remedy="see whycad/datasets/pack.py for the two layouts",
        )
    return Pack(path, arrays)
