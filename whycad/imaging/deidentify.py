"""What may leave the decoding child: coded facts from closed lists, numbers, and keyed hashes.

Nothing here passes text on. Every value is looked up in a table or turned into a number, and
the same rules are applied again to what the child hands back.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping

from whycad.imaging.vocabulary import BODY_PARTS, MANUFACTURERS, MODALITIES, SEXES, SITES, VIEWS
from whycad.types import MetadataValue

KEY_BYTES = 32
HASH_HEX = 32
OLDEST_STATED = 90.0
NOBODY = frozenset(("", "0", "ANON", "ANONYMOUS", "ANONYMIZED", "NONE", "UNKNOWN", "NA", "N/A"))
CODECS = frozenset(("none", "rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg2000"))
PHOTOMETRICS = frozenset(
    ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
)

_CLOSED: Mapping[str, frozenset[str]] = {
    "sex": frozenset(SEXES.values()),
    "body_part": frozenset(BODY_PARTS.values()),
    "site": frozenset(SITES.values()),
    "manufacturer": frozenset(MANUFACTURERS) | {"other"},
    "codec": CODECS,
    "format": frozenset(("dicom", "png", "jpeg")),
    "photometric": PHOTOMETRICS,
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "age_years": (0.0, OLDEST_STATED),
    "frames": (1, 1 << 20),
    "slices": (2, 1 << 20),
    "bits_stored": (1, 64),
    "rows": (1, 65535),
    "columns": (1, 65535),
    "slice_thickness_mm": (0.0, 1000.0),
    "kvp": (0.0, 1000.0),
    "magnetic_field_t": (0.0, 50.0),
}
_FLAGS = frozenset(("lossy", "derived", "spacing_is_relative"))
_HASHES = frozenset(("device_key", "kernel_key"))
_HASH = re.compile(rf"[0-9a-f]{{{HASH_HEX}}}\Z")
_AGE = re.compile(r"(\d{1,3})([DWMY])\Z")
_UNITS_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


def keyed_hash(key: bytes, kind: str, *parts: str) -> str:
    """Return 128 bits of HMAC-SHA256 in hexadecimal.

    Parameters
    ----------
    key : bytes
        The installation's secret.
    kind : str
        What is hashed, so that equal values of two kinds differ.
    *parts : str
    """
    message = "\x00".join((kind, *parts)).encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:HASH_HEX]


def subject_key(key: bytes, patient_id: str, issuer: str = "") -> str:
    """Return the keyed hash of a patient id; empty for ids that name nobody."""
    name = patient_id.strip(" \x00").upper()
    return "" if name in NOBODY else keyed_hash(key, "subject", issuer.strip(" \x00").upper(), name)


def is_hash(value: str) -> bool:
    """Whether a string is empty or a keyed hash."""
    return value == "" or bool(_HASH.match(value))


def age_years(stated: str, birth: str = "", taken: str = "") -> float | None:
    """Return the age, from DICOM's age string or else from two dates.

    Parameters
    ----------
    stated : str
        Such as ``045Y`` or ``018M``.
    birth, taken : str
        ``YYYYMMDD``.

    Returns
    -------
    float or None
        Years, 90 for everybody older (rare ages identify); None where unknown or impossible.
    """
    match = _AGE.match(stated)
    if match:
        age = int(match[1]) / _UNITS_PER_YEAR[match[2]]
    elif re.match(r"\d{8}\Z", birth) and re.match(r"\d{8}\Z", taken):
        age = float(int(taken[:4]) - int(birth[:4]) - (taken[4:] < birth[4:]))
    else:
        return None
    return round(min(age, OLDEST_STATED), 2) if 0.0 <= age <= 130.0 else None


def manufacturer(text: str) -> str:
    """Return the canonical name of a known maker, ``other``, or empty where none is given."""
    wanted = text.upper()
    for name, patterns in MANUFACTURERS.items():
        if any(re.search(rf"\b{pattern}\b", wanted) for pattern in patterns):
            return name
    return "other" if wanted.strip(" \x00") else ""


def modality_of(text: str) -> str:
    """Return a DICOM modality code of two to four capitals, or empty where it is not known."""
    return text if text in MODALITIES else ""


def view_of(text: str) -> str:
    """Return a coded view position, or empty where it is not known."""
    return text if text in VIEWS else ""


def check_metadata(metadata: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Return the metadata if every key and value is on the lists.

    Raises
    ------
    ValueError
        If one is not; the message does not repeat it.
    """
    checked: dict[str, MetadataValue] = {}
    for key, value in metadata.items():
        if not _allowed(key, value):
            raise ValueError("metadata that is not on the list")
        assert isinstance(value, str | float | int)
        checked[key] = value
    return checked


def _allowed(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return key in _FLAGS
    if isinstance(value, str):
        return value in _CLOSED.get(key, ()) or (key in _HASHES and value != "" and is_hash(value))
    if isinstance(value, int | float) and key in _RANGES:
        low, high = _RANGES[key]
        return math.isfinite(value) and low <= value <= high
    return False
