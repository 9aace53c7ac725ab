"""What decides which files belong together; found in the decoding child, believed after checking.

Identifiers leave the child as keyed hashes only: equal ones can be told, none can be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from whycad.errors import CorruptImageError, ImageError, UnsupportedFormatError
from whycad.imaging.deidentify import is_hash, keyed_hash, subject_key
from whycad.imaging.dicom import MEDIA_CLASS, TRANSFER_SYNTAX, open_dicom, parse_dataset
from whycad.imaging.dicom_frames import Source, read_placement
from whycad.imaging.dicom_header import code, items, raw
from whycad.imaging.dicom_scan import read_meta, scan_dataset
from whycad.imaging.dicom_syntax import syntax_of
from whycad.imaging.handover import NAMES, error_from, error_report
from whycad.imaging.limits import Limits
from whycad.imaging.vocabulary import MODALITIES, SLICED

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
# CT, MR and PET Image Storage; screen captures that scanners add to a series are none of these.
SLICE_CLASSES = frozenset(("", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"))
# What tells images of one place apart: echoes, b-values, time points, reconstructions, phases.
VARIANTS = (
    ("EchoTime", "EchoNumbers"),
    ("DiffusionBValue",),
    ("TemporalPositionIdentifier",),
    ("ImageType",),
    ("ConvolutionKernel",),
    ("AcquisitionNumber",),
    ("TriggerTime",),
    ("AcquisitionTime",),
)
HOSTILE_DIRECTORY = "The DICOMDIR names files outside of its own folder"


@dataclass(frozen=True)
class ImageFacts:
    """What grouping needs to know of one DICOM image; every identifier is a keyed hash.

    Attributes
    ----------
    series, instance, person, frame : str
        Of the series, the image, the patient and the frame of reference; empty where not given.
    modality : str
    rows, columns : int
    is_slice : bool
        Whether it may be a slice of a volume.
    localizer : bool
    spacing_mm, orientation, position_mm : tuple of float or None
    variants : tuple of str
        Hashes of what tells images of one place apart, as in ``VARIANTS``.
    """

    series: str
    instance: str
    person: str
    frame: str
    modality: str
    rows: int
    columns: int
    is_slice: bool
    localizer: bool
    spacing_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, ...] | None
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What a file is: an image, a directory (neither image nor error), or an error.

    Attributes
    ----------
    image : ImageFacts or None
    error : ImageError or None
    is_directory : bool
    """

    image: ImageFacts | None = None
    error: ImageError | None = None
    is_directory: bool = False


def survey_image(data: bytes, key: bytes, limits: Limits) -> ImageFacts:
    """Read what grouping needs of a DICOM image.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    source = open_dicom(data, limits)
    ds, header = source.ds, source.header
    single = header.frames == 1 and not header.colour
    placement = read_placement(source) if single else None
    localizer = "LOCALIZER" in _text(ds, "ImageType").upper()
    series = _hash(key, "series", _text(ds, "SeriesInstanceUID"))
    return ImageFacts(
        series=series,
        instance=_hash(key, "instance", _text(ds, "SOPInstanceUID")),
        person=_person(ds, key),
        frame=_hash(key, "frame", _text(ds, "FrameOfReferenceUID")),
        modality=source.modality,
        rows=header.rows,
        columns=header.columns,
        is_slice=bool(single and series and not localizer and _is_slice_class(source)),
        localizer=localizer,
        spacing_mm=placement.spacing_mm if placement else None,
        orientation=placement.orientation if placement else None,
        position_mm=placement.position_mm if placement else None,
        variants=tuple(_hash(key, "variant", *(_text(ds, word) for word in words)) for words in VARIANTS),
    )


def _is_slice_class(source: Source) -> bool:
    return source.modality in SLICED and _text(source.ds, "SOPClassUID").strip() in SLICE_CLASSES


def _text(ds: Dataset, keyword: str) -> str:
    value = raw(ds, keyword, strict=False)
    return "" if value is None else str(value)[:1024]


def _hash(key: bytes, kind: str, *parts: str) -> str:
    return keyed_hash(key, kind, *parts) if any(part.strip(" \x00") for part in parts) else ""


def _person(ds: Dataset, key: bytes) -> str:
    """Return the patient's key, or where the id names nobody, a hash of name and birth date."""
    known = subject_key(key, _text(ds, "PatientID"), _text(ds, "IssuerOfPatientID"))
    return known or _hash(key, "person", _text(ds, "PatientName"), code(ds, "PatientBirthDate"))


def is_directory(data: bytes) -> bool:
    """Whether a DICOM file is a DICOMDIR.

    Raises
    ------
    CorruptImageError
        If its first part is broken.
    """
    return read_meta(data)[0].get(MEDIA_CLASS, b"").strip(b" \x00") == DIRECTORY_CLASS.encode()


def check_directory(data: bytes, names: Sequence[Sequence[str]]) -> None:
    """Check that the files that a DICOMDIR lists lie below it, and are there.

    Parameters
    ----------
    data : bytes
        The DICOMDIR.
    names : sequence of sequence of str
        Paths of the files that came with it, in parts, relative to it.

    Raises
    ------
    UnsupportedFormatError
        If it names a file outside of its folder, or came alone.
    CorruptImageError
        If it is broken, or files are missing.
    """
    if not names:
        raise UnsupportedFormatError(
            "The file is a DICOMDIR, a table of contents without images", remedy="open the folder that it lies in"
        )
    listed = [_file_id(record) for record in _records(data)]
    if any(part in ("", ".", "..") or set("/\\:\x00") & set(part) for parts in listed for part in parts):
        raise UnsupportedFormatError(HOSTILE_DIRECTORY, remedy="open the images themselves")
    there = {_comparable(parts) for parts in names}
    missing = sum(_comparable(parts) not in there for parts in listed if parts)
    if missing:
        raise CorruptImageError(
            f"The DICOMDIR lists {missing} file(s) that are not there", remedy="check that the whole folder was opened"
        )


def _records(data: bytes) -> list[Dataset]:
    meta, start = read_meta(data)
    syntax = syntax_of(meta.get(TRANSFER_SYNTAX, b"").decode("latin-1").strip(" \x00"))
    scan_dataset(data, start, implicit=syntax.implicit, little_endian=syntax.little_endian)
    return items(parse_dataset(data, start, syntax), "DirectoryRecordSequence")


def _file_id(record: Dataset) -> tuple[str, ...]:
    value = raw(record, "ReferencedFileID")
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _comparable(parts: Sequence[str]) -> tuple[str, ...]:
    # Discs are mounted in lower case, with a version number, or with an extension added.
    return tuple(part.casefold().split(";")[0].removesuffix(".dcm").rstrip(".") for part in parts)


def survey_file(path: Path, key: bytes, limits: Limits) -> Finding:
    """Find out what one DICOM file is; the names of its folder lie beside it.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    data = path.read_bytes()
    if not is_directory(data):
        return Finding(survey_image(data, key, limits))
    beside = path.with_name(NAMES)
    names = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    own = names.get(path.name, [""])[:-1]
    check_directory(data, [parts[len(own) :] for parts in names.values() if parts[: len(own)] == own])
    return Finding(is_directory=True)


def survey_files(paths: Sequence[Path], look: Callable[[Path], Finding], report: Path) -> None:
    """Look at files one after the other; each leaves a line, so that a death tells who caused it."""
    with report.open("a", encoding="utf-8") as lines:
        for path in paths:
            lines.write(finding_to_json(look(path)) + "\n")
            lines.flush()


def finding_to_json(finding: Finding) -> str:
    """Return one line."""
    error = finding.error
    return json.dumps(
        {
            "image": asdict(finding.image) if finding.image else None,
            "error": error_report(error) if error else None,
            "directory": finding.is_directory,
        }
    )


def finding_from_json(line: str) -> Finding:
    """Read and check one line (in the parent).

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError, RecursionError
        If something is not as the child would write it.
    """
    report = json.loads(line)
    image, error = report["image"], report["error"]
    return Finding(
        _facts(image) if image is not None else None,
        error_from(error) if error is not None else None,
        report["directory"] is True,
    )


def _facts(report: dict[str, Any]) -> ImageFacts:
    if set(report) != {f.name for f in fields(ImageFacts)}:
        raise ValueError("other fields")
    hashes = [report[name] for name in ("series", "instance", "person", "frame")] + list(report["variants"])
    if not all(isinstance(value, str) and is_hash(value) for value in hashes) or len(hashes) != 4 + len(VARIANTS):
        raise ValueError("not a hash")
    if report["modality"] not in MODALITIES or not all(type(report[n]) is bool for n in ("is_slice", "localizer")):
        raise ValueError("unknown modality or flag")
    if not all(type(report[n]) is int and 1 <= report[n] <= 65535 for n in ("rows", "columns")):
        raise ValueError("not a size")
    vectors = {"spacing_mm": 2, "orientation": 6, "position_mm": 3}
    checked = {name: _vector(report[name], count) for name, count in vectors.items()}
    return ImageFacts(**{**report, **checked, "variants": tuple(report["variants"])})


def _vector(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    numbers = tuple(float(v) for v in value)
    if len(numbers) != count or not all(math.isfinite(v) for v in numbers):
        raise ValueError("not a vector")
    return numbers
