"""Image packs: one ``.npz`` file (no pickles) of images and columns.

Four layouts are read:

- ``jpeg`` (all files end to end, uint8) with ``jpeg_offsets`` (n + 1 byte positions);
- ``images`` or ``image``, ``(n, H, W)`` or ``(n, H, W, 3)``;
- ``vol`` (all slices of all stacks, ``(z, H, W)``) with ``offset`` (n + 1 slice positions);
- ``volume``, one stack ``(z, H, W)``.

Every other array whose first dimension is n is a column; every other array describes the pack.
Columns may be missing: ``split``, ``y``, ``class_names``, groups and ids are all optional.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from whycad.datasets.npz import MAX_PACK_BYTES, read_arrays
from whycad.errors import DatasetError

Layout = Literal["jpeg", "images", "stacks", "volume"]

IMAGE_ARRAYS = ("images", "image")
# The last is a run of neighbouring images where a release has no patient ids.
GROUP_COLUMNS = ("group_id", "patient", "patient_id", "lesion_id", "block50")
ID_COLUMNS = ("image_id", "id", "name")
LABEL_COLUMNS = ("y", "label")
MAX_IMAGE_SIDE = 8192
MAX_ROWS = 10_000_000


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
    def layout(self) -> Layout:
        """How the images are stored."""
        if "jpeg" in self.arrays:
            return "jpeg"
        if any(name in self.arrays for name in IMAGE_ARRAYS):
            return "images"
        return "stacks" if "vol" in self.arrays else "volume"

    @property
    def is_jpeg(self) -> bool:
        """Whether images are stored as JPEG files."""
        return self.layout == "jpeg"

    @cached_property
    def image_array(self) -> NDArray[np.generic]:
        """The plain image array ``(n, H, W)`` or ``(n, H, W, 3)``."""
        name = next(n for n in IMAGE_ARRAYS if n in self.arrays)
        return self.arrays[name]

    def __len__(self) -> int:
        match self.layout:
            case "jpeg":
                return len(self.arrays["jpeg_offsets"]) - 1
            case "images":
                return len(self.image_array)
            case "stacks":
                return len(self.arrays["offset"]) - 1
            case "volume":
                return 1

    def column(self, name: str) -> NDArray[np.generic] | None:
        """Return the per-image column ``name`` ``(n, ...)``, or None where the pack lacks it."""
        array = self.arrays.get(name)
        if array is None or array.ndim == 0 or len(array) != len(self):
            return None
        return array

    def text(self, name: str, row: int) -> str:
        """Return one cell of a plain column ``(n,)`` as text; empty where it is missing or unknown."""
        column = self.column(name)
        if column is None and self.layout == "volume" and name in self.arrays and self.arrays[name].ndim == 0:
            column = self.arrays[name][None]
        return "" if column is None or column.ndim != 1 else _text(column[row])

    def class_names(self) -> tuple[str, ...]:
        """Return the names that the integers of ``y`` index; empty where unknown."""
        names = self.arrays.get("class_names")
        return () if names is None or names.ndim != 1 else tuple(_text(n) for n in names)

    def label_name(self, row: int) -> str:
        """Return the class name of one row, or an empty string where it is unknown.

        The columns ``y`` and ``label`` hold names, or numbers that index ``class_names``. A number
        without names is returned as it is written: only a task's own label map can say what it means.
        """
        for name in LABEL_COLUMNS:
            column = self.column(name)
            if column is not None and column.ndim == 1:
                return self._class_of(column[row])
        return ""

    def _class_of(self, value: np.generic) -> str:
        text, names = _text(value), self.class_names()
        if not names or not np.issubdtype(value.dtype, np.number):
            return text
        number = float(text) if text else -1.0
        return names[int(number)] if number.is_integer() and 0 <= number < len(names) else ""

    def group(self, row: int) -> str:
        """Return the row's group (patient or lesion), falling back to the row number."""
        return next((text for name in GROUP_COLUMNS if (text := self.text(name, row))), f"row-{row}")

    def image_id(self, row: int) -> str:
        """Return the row's own id, or an empty string where the pack has none."""
        return next((text for name in ID_COLUMNS if (text := self.text(name, row))), "")

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the row numbers ``(m,)`` of a split, or of the whole pack."""
        everything = np.arange(len(self))
        if split is None:
            return everything
        column = self.column("split")
        if column is None or column.ndim != 1:
            raise DatasetError(
                f"pack {self.path.name!r} has no 'split' column, so --split {split} selects nothing",
                remedy="leave --split out to use every row",
            )
        return everything[[_text(value) == split for value in column]]

    def jpeg_bytes(self, row: int) -> bytes:
        """Return the stored JPEG file of one row."""
        start, stop = self._span("jpeg_offsets", row, len(self.arrays["jpeg"]), "JPEG offsets")
        return self.arrays["jpeg"][start:stop].tobytes()

    def _span(self, name: str, row: int, size: int, what: str) -> tuple[int, int]:
        start, stop = int(self.arrays[name][row]), int(self.arrays[name][row + 1])
        if not 0 <= start < stop <= size:
            raise DatasetError(f"pack {self.path.name!r}, row {row}: {what} point outside the data")
        return start, stop

    def image(self, row: int) -> NDArray[np.generic]:
        """Decode one image, upright.

        Returns
        -------
        ndarray
            ``(H, W)``, ``(H, W, 3)`` or, of stacks and volumes, ``(Z, H, W)``, in the stored dtype
            (uint8 for JPEG).

        Raises
        ------
        DatasetError
            When this row's image is broken; the others may be sound.
        """
        match self.layout:
            case "jpeg":
                return self._decoded(row)
            case "images":
                return np.asarray(self.image_array[row])
            case "stacks":
                start, stop = self._span("offset", row, len(self.arrays["vol"]), "slice offsets")
                return self.arrays["vol"][start:stop]
            case "volume":
                return self.arrays["volume"]

    def _decoded(self, row: int) -> NDArray[np.uint8]:
        try:
            with Image.open(io.BytesIO(self.jpeg_bytes(row)), formats=["JPEG"]) as picture:
                if max(picture.size) > MAX_IMAGE_SIDE:
                    raise DatasetError(f"pack {self.path.name!r}, row {row}: image is larger than {MAX_IMAGE_SIDE} px")
                upright = ImageOps.exif_transpose(picture)
                return np.asarray(upright if upright.mode in {"L", "RGB"} else upright.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DatasetError(f"pack {self.path.name!r}, row {row}: the JPEG cannot be decoded") from error

    def images(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.generic]]:
        """Yield the images of ``rows`` in order."""
        for row in rows:
            yield self.image(int(row))


def _text(value: object) -> str:
    """Write one cell as text; NaN and blanks become empty, bytes are decoded."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, float | np.floating):
        number = float(value)
        return "" if not np.isfinite(number) else repr(int(number) if number.is_integer() else number)
    return str(value).strip()


def read_pack(path: Path | str, *, max_bytes: int = MAX_PACK_BYTES) -> Pack:
    """Open a pack.

    Parameters
    ----------
    path : Path or str
        The ``.npz`` file.
    max_bytes : int
        Most that its arrays may take in memory, all together.

    Raises
    ------
    DatasetError
        When the file is missing, is no ``.npz``, holds pickles, is too large, or holds no images.
    """
    path = Path(path)
    pack = Pack(path, read_arrays(path, max_bytes=max_bytes))
    problem = _layout_problem(pack.arrays)
    if problem:
        raise DatasetError(
            f"pack {path.name!r} {problem}", remedy="see whycad/datasets/pack.py for the layouts that are read"
        )
    if len(pack) > MAX_ROWS:
        raise DatasetError(f"pack {path.name!r} declares {len(pack)} images, more than {MAX_ROWS}")
    return pack


def _layout_problem(arrays: dict[str, NDArray[np.generic]]) -> str:
    """Say what is wrong with the image arrays; empty where they are sound."""
    if "jpeg" in arrays:
        if arrays["jpeg"].ndim != 1 or arrays["jpeg"].dtype != np.uint8:
            return "stores 'jpeg' as something other than bytes (uint8)"
        return _offset_problem(arrays.get("jpeg_offsets"), "jpeg_offsets")
    for name in IMAGE_ARRAYS:
        if name in arrays:
            return _image_problem(arrays[name], name)
    for name in ("vol", "volume"):
        if name in arrays:
            flat = arrays[name].ndim == 3 and np.issubdtype(arrays[name].dtype, np.number)
            problem = "" if flat else f"stores {name!r} as something other than numbers (z, H, W)"
            return problem or (_offset_problem(arrays.get("offset"), "offset") if name == "vol" else "")
    return "holds none of 'jpeg', 'images', 'image', 'vol' and 'volume'"


def _offset_problem(offsets: NDArray[np.generic] | None, name: str) -> str:
    if offsets is None:
        return f"lacks {name!r}"
    if offsets.ndim != 1 or len(offsets) < 1 or not np.issubdtype(offsets.dtype, np.integer):
        return f"stores {name!r} as something other than whole numbers (n + 1)"
    return ""


def _image_problem(images: NDArray[np.generic], name: str) -> str:
    shape, number = images.shape, np.issubdtype(images.dtype, np.number) and images.dtype.kind != "c"
    if not number or images.ndim not in (3, 4) or (images.ndim == 4 and shape[-1] != 3) or 0 in shape[1:]:
        return f"stores {name!r} as something other than numbers (n, H, W) or (n, H, W, 3)"
    return ""
