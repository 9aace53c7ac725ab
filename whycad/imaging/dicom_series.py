"""DICOM slices to one volume; runs in the decoding child only.

Headers come first, all of them; pixels are then decoded one slice at a time into a file that the
parent reads, so memory does not grow with the series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.deidentify import check_metadata, view_of
from whycad.imaging.dicom import check_volume, note_identity, open_dicom, read_window
from whycad.imaging.dicom_facts import laterality_of, read_facts, subject_of
from whycad.imaging.dicom_frames import Placement, Source, read_placement
from whycad.imaging.dicom_header import code, numbers
from whycad.imaging.dicom_pixels import grey_pixels
from whycad.imaging.dicom_syntax import DEFLATED
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark
from whycad.imaging.stacking import Stack, check_straight, fill_volume, fit_stack, normal_of, same_direction
from whycad.types import FloatArray, MetadataValue, Study

OPEN_WHOLE = "check that all files belong to one series"


class FileRanges:
    """Bytes of a file that stay on disk until they are asked for.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, where: slice, /) -> bytes:
        with self.path.open("rb") as file:
            file.seek(where.start)
            return file.read(where.stop - where.start)


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice, all but its pixels.

    Attributes
    ----------
    source : Source
    placement : Placement
    facts : mapping
        Its allow-listed metadata.
    subject_key : str
    """

    source: Source
    placement: Placement
    facts: Mapping[str, MetadataValue]
    subject_key: str


def open_slice(path: Path, key: bytes, limits: Limits) -> Slice:
    """Read and check everything of one slice but its pixels.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    source = open_dicom(path.read_bytes(), limits)
    if source.header.syntax.uid != DEFLATED:
        source = replace(source, data=FileRanges(path))
    if source.header.colour or source.header.frames != 1:
        raise CorruptImageError("A file of the series is not one grey slice", remedy=OPEN_WHOLE)
    placement = read_placement(source)
    note_identity(source)
    return Slice(source, placement, read_facts(source, placement, key), subject_of(source.ds, key))


def read_series(files: Sequence[Path], key: bytes, limits: Limits, pixels: Path) -> Study:
    """Read the slices of one series as one volume.

    Parameters
    ----------
    files : sequence of Path
        One slice each, in any order; two or more.
    key : bytes
        Secret for the subject key.
    limits : Limits
    pixels : Path
        Where the volume is written, as a ``.npy`` file.

    Returns
    -------
    Study
        Without ``sha256``; its pixels lie in the file.

    Raises
    ------
    UnsupportedFormatError
        If the slices lean, or are not of one kind.
    CorruptImageError
        If a slice is broken, has no place, or belongs to another image or patient.
    ImageTooLargeError
        If the volume would be larger than the limits allow.
    """
    slices = [open_slice(path, key, limits) for path in files]
    _check_alike(slices)
    stack, orientation = _stack(slices)
    header = slices[0].source.header
    check_volume(len(stack), header.rows, header.columns, limits)
    shape = (len(stack), header.rows, header.columns)
    volume = np.lib.format.open_memmap(pixels, mode="w+", dtype=np.float32, shape=shape)
    decoder = _Decoder(slices)
    decoder.fill(volume, stack)
    volume.flush()
    return _study(decoder, stack, orientation, volume)


def _check_alike(slices: Sequence[Slice]) -> None:
    first = slices[0]
    if any(s.subject_key != first.subject_key for s in slices):
        raise CorruptImageError("The series holds slices of more than one patient", remedy=OPEN_WHOLE)
    for one in slices[1:]:
        header = one.source.header
        same = (header.rows, header.columns) == (first.source.header.rows, first.source.header.columns)
        if not same or one.source.modality != first.source.modality:
            raise CorruptImageError("The series holds images of different size or kind", remedy=OPEN_WHOLE)
        if not _same_spacing(one.placement.spacing_mm, first.placement.spacing_mm):
            raise CorruptImageError("The series holds images of different pixel spacing", remedy=OPEN_WHOLE)


def _same_spacing(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=1e-3))


def _stack(slices: Sequence[Slice]) -> tuple[Stack, tuple[float, ...]]:
    orientation = slices[0].placement.orientation
    found = [s.placement.position_mm for s in slices]
    positions = [p for p in found if p is not None]
    if orientation is None or len(positions) < len(found):
        raise CorruptImageError(
            "The slices of the series do not all say where they lie in the patient, so their order is not known",
            remedy="export the series again with image position and orientation, or open single slices of it",
        )
    if not all(same_direction(s.placement.orientation or (), orientation) for s in slices):
        raise UnsupportedFormatError("The series holds images of different direction", remedy=OPEN_WHOLE)
    places = np.asarray(positions, np.float64)
    spacing = slices[0].placement.spacing_mm
    check_straight(places, orientation, max(spacing) if spacing else 1.0, _tilt_deg(slices[0]))
    return fit_stack(_distances(places, orientation)), orientation


def _distances(positions: NDArray[np.float64], orientation: tuple[float, ...]) -> NDArray[np.float64]:
    distances = positions @ normal_of(orientation)
    if np.unique(distances).size < len(distances):
        raise CorruptImageError("Two slices of the series claim the same place", remedy=OPEN_WHOLE)
    return np.asarray(distances, dtype=np.float64)


def _tilt_deg(one: Slice) -> float:
    tilt = numbers(one.source.ds, "GantryDetectorTilt")
    return tilt[0] if tilt else 0.0


class _Decoder:
    """Pixels of slices, one at a time; remembers their unit, and how they were inverted."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        self.slices = slices
        self.units: set[str] = set()
        self.mirrors: set[float | None] = set()

    def fill(self, volume: FloatArray, stack: Stack) -> None:
        """Decode every slice that the stack needs into the volume."""
        fill_volume(volume, stack, self._read)
        if len(self.units) > 1 or len(self.mirrors) > 1:
            raise UnsupportedFormatError("The series holds slices in different units or scales", remedy=OPEN_WHOLE)
        _fill_padding(volume)

    def _read(self, index: int) -> FloatArray:
        source = self.slices[index].source
        grey = grey_pixels(source, fill_padding=False)
        self.units.add(grey.unit)
        self.mirrors.add(grey.mirror)
        if source.header.photometric == "MONOCHROME1" and grey.mirror is None:
            source.remarks.add(Remark.INVERTED_HU)
        return np.asarray(grey.values[0])


def _fill_padding(volume: FloatArray) -> None:
    """Give padding the least value of the rest; slice by slice, to touch little memory."""
    padded = [k for k, one in enumerate(volume) if np.isnan(one).any()]
    least = min((float(np.nanmin(one)) for one in volume if not np.isnan(one).all()), default=0.0)
    for k in padded:
        np.nan_to_num(volume[k], copy=False, nan=least)


def _study(decoder: _Decoder, stack: Stack, orientation: tuple[float, ...], volume: FloatArray) -> Study:
    slices = decoder.slices
    ordered = [slices[int(i)] for i in stack.order]
    in_plane = ordered[0].placement.spacing_mm
    middle = ordered[len(ordered) // 2].source
    window = read_window(middle, next(iter(decoder.mirrors)))
    remarks: set[str] = set(stack.remarks).union(*(s.source.remarks for s in slices))
    if float(volume.min()) == float(volume.max()):
        remarks.add(Remark.CONSTANT)
    return Study(
        pixels=volume,
        modality=middle.modality,
        sha256="",
        unit=next(iter(decoder.units)),
        spacing_mm=(stack.spacing_mm, *in_plane) if in_plane and not ordered[0].placement.relative else None,
        window=window,
        orientation=orientation,
        position_mm=ordered[0].placement.position_mm,
        laterality=_common([laterality_of(s.source) for s in slices]),
        view=_common([view_of(code(s.source.ds, "ViewPosition")) for s in slices]),
        metadata=_common_facts([s.facts for s in slices], len(slices)),
        subject_key=ordered[0].subject_key,
        warnings=tuple(sorted(remarks)),
    )


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _common_facts(facts: Sequence[Mapping[str, MetadataValue]], slices: int) -> dict[str, MetadataValue]:
    """Return what every slice says alike; a flag is set where any slice sets it."""
    common: dict[str, MetadataValue] = {}
    for key in facts[0]:
        values = [f.get(key) for f in facts]
        if all(isinstance(v, bool) for v in values):
            common[key] = any(values)
        elif all(v == values[0] for v in values):
            common[key] = facts[0][key]
    return check_metadata({**common, "slices": slices})
