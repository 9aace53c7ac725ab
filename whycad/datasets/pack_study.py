"""A pack's row as a Study.

Packs are the researcher's own data and are decoded in this process. The same JPEG gives the same
pixels here as through ``read_study``: both let Pillow decode it and turn it upright.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from whycad.datasets.pack import Pack
from whycad.errors import DatasetError
from whycad.manifest import Manifest
from whycad.types import MetadataValue, Study

# Columns of the packs that go by another name than the metadata field.
COLUMN_NAMES = {"age_years": ("age_years", "age"), "sex": ("sex",), "site": ("site", "localization")}
UNKNOWN_WORDS = frozenset({"", "unknown", "nan", "none", "n/a"})
PLAIN_MODALITY = "OT"
FULL_SCALE = {"u1": np.float32(255), "u2": np.float32(65535)}


def row_study(pack: Pack, row: int, manifest: Manifest) -> Study:
    """Return one row as a Study.

    Parameters
    ----------
    pack : Pack
    row : int
    manifest : Manifest
        Its ``audit.metadata_fields`` are the columns that come along.

    Returns
    -------
    Study
        Colour in 0..1 (unit ``rgb``); grey uint8 or uint16 in 0..1 (``normalised``); other grey
        numbers as they are (``stored``). ``sha256`` is that of the JPEG file, or of the array's
        bytes; the modality is ``OT``, as of any plain picture.

    Raises
    ------
    DatasetError
        When the row's image is broken.
    """
    image = pack.image(row)
    pixels, unit = _scaled(image, f"pack {pack.path.name!r}, row {row}")
    return Study(
        pixels=pixels,
        modality=PLAIN_MODALITY,
        sha256=row_sha256(pack, row),
        unit=unit,
        metadata=row_metadata(pack, row, manifest.audit.metadata_fields),
    )


def row_sha256(pack: Pack, row: int) -> str:
    """Return the SHA-256 of the row's JPEG file, or of its array's bytes."""
    source = pack.jpeg_bytes(row) if pack.is_jpeg else np.ascontiguousarray(pack.image(row)).tobytes()
    return hashlib.sha256(source).hexdigest()


def row_metadata(pack: Pack, row: int, fields: tuple[str, ...]) -> dict[str, MetadataValue]:
    """Return the row's known values of these fields; unknown ones are left out."""
    found: dict[str, MetadataValue] = {}
    for field in fields:
        names = COLUMN_NAMES.get(field, (field,))
        text = next((text for name in names if (text := pack.text(name, row))), "")
        if text.casefold() not in UNKNOWN_WORDS:
            found[field] = float(text) if _is_numeric(pack, names) else text
    return found


def _is_numeric(pack: Pack, names: tuple[str, ...]) -> bool:
    columns = [column for name in names if (column := pack.column(name)) is not None]
    return bool(columns) and np.issubdtype(columns[0].dtype, np.number)


def _scaled(image: NDArray[np.generic], subject: str) -> tuple[NDArray[np.float32], str]:
    """Bring an image to float32 in its unit."""
    pixels = np.asarray(image, dtype=np.float32)
    colour = image.ndim == 3 and image.shape[-1] == 3
    largest = FULL_SCALE.get(image.dtype.str.lstrip("<|>"))
    if largest is not None:
        return np.asarray(pixels / largest, np.float32), "rgb" if colour else "normalised"
    if not np.all(np.isfinite(pixels)):
        raise DatasetError(f"{subject}: the image holds numbers that are not finite")
    within = bool(pixels.min() >= 0 and pixels.max() <= 1) and image.dtype.kind == "f"
    if colour and not within:
        raise DatasetError(f"{subject}: a colour image must be uint8, uint16 or in 0..1")
    return pixels, "rgb" if colour else "normalised" if within else "stored"
