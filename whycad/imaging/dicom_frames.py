"""Functional groups of multi-frame images, and where frames and pixels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from whycad.errors import CorruptImageError
from whycad.imaging.dicom_header import EXPORT_AGAIN, PixelHeader, items, numbers
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark
from whycad.imaging.stacking import (
    SAME_PLACE_MM,
    Stack,
    check_straight,
    fit_stack,
    normal_of,
    same_direction,
    sideways_mm,
)
from whycad.imaging.vocabulary import SLICED

MAX_SPACING_MM = 1000.0


@dataclass(frozen=True, eq=False)
class FrameItems:
    """Shared and per-frame functional groups; both empty for plain images.

    Attributes
    ----------
    shared : Dataset or None
    per_frame : list of Dataset
    """

    shared: Dataset | None
    per_frame: list[Dataset]

    def item(self, keyword: str, index: int) -> Dataset | None:
        """Return the first item of a group's sequence for one frame, per-frame groups first."""
        for group in (self.per_frame[index] if self.per_frame else None, self.shared):
            found = items(group, keyword) if group is not None else []
            if found:
                return found[0]
        return None


def read_groups(ds: Dataset, header: PixelHeader) -> FrameItems:
    """Read the functional groups of a data set.

    Raises
    ------
    CorruptImageError
        If there are fewer per-frame groups than frames.
    """
    shared = items(ds, "SharedFunctionalGroupsSequence")
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    if per_frame and len(per_frame) < header.frames:
        raise CorruptImageError("The DICOM header describes fewer frames than it declares", remedy=EXPORT_AGAIN)
    return FrameItems(shared[0] if shared else None, per_frame)


class ByteRanges(Protocol):
    """Bytes that are read in ranges: ``bytes`` itself, or a file that stays on disk."""

    def __getitem__(self, where: slice, /) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Source:
    """One parsed DICOM file on its way to a Study.

    Attributes
    ----------
    data : ByteRanges
        The file, inflated where it was deflated.
    ds : Dataset
        Everything before the pixels.
    header : PixelHeader
    groups : FrameItems
    modality : str
        A known code, or ``OT``.
    remarks : set of Remark
        Grows as the file is read.
    limits : Limits
    """

    data: ByteRanges
    ds: Dataset
    header: PixelHeader
    groups: FrameItems
    modality: str
    remarks: set[Remark]
    limits: Limits


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the image lies.

    Attributes
    ----------
    spacing_mm : tuple of float or None
        Per array axis.
    orientation : tuple of float or None
        Direction cosines of rows, then columns.
    position_mm : tuple of float or None
        Of the first pixel of the first frame after sorting.
    stack : Stack or None
        How the frames become an even volume; None keeps them in the order of the file.
    relative : bool
        Whether the spacing is a shape only.
    """

    spacing_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, float, float] | None
    stack: Stack | None = None
    relative: bool = False


def read_placement(source: Source) -> Placement:
    """Read spacing, orientation, position and the order of the frames.

    Raises
    ------
    UnsupportedFormatError
        If the frames of a CT or MR volume lean against each other.
    CorruptImageError
        If they lie too far apart to form a volume.
    """
    ds, header, groups, remarks = source.ds, source.header, source.groups, source.remarks
    in_plane, relative = _pixel_spacing(ds, groups, remarks)
    orientation = _orientation(ds, groups, remarks)
    frames = 1 if header.colour else header.frames
    positions = [_position(ds, groups, index, remarks) for index in range(frames)]
    if frames == 1:
        return Placement(in_plane, orientation, positions[0], None, relative)
    depth = _positive(numbers(groups.item("PixelMeasuresSequence", 0) or ds, "SpacingBetweenSlices"))
    distances = _distances(groups, orientation, positions)
    if distances is None or orientation is None:
        remarks.add(Remark.FRAME_ORDER)
        spacing = (depth, *in_plane) if in_plane and depth and not relative else None
        return Placement(spacing, orientation, positions[0])
    straight = _check_shift(source, np.asarray(positions, float), orientation, in_plane)
    stack = fit_stack(distances)
    spacing = (stack.spacing_mm, *in_plane) if in_plane and not relative else None
    first = positions[int(stack.order[0])]
    return Placement(spacing, orientation if straight else None, first if straight else None, stack)


def _check_shift(
    source: Source, positions: NDArray[np.float64], orientation: tuple[float, ...], in_plane: tuple[float, ...] | None
) -> bool:
    """Whether frames lie straight above each other; for CT and MR anything else is an error."""
    pixel_mm = max(in_plane) if in_plane else 1.0
    if source.modality in SLICED:
        check_straight(positions, orientation, pixel_mm)
    if sideways_mm(positions, orientation) <= pixel_mm:
        return True
    source.remarks.add(Remark.SHIFTED_FRAMES)
    return False


def _pixel_spacing(ds: Dataset, groups: FrameItems, remarks: set[Remark]) -> tuple[tuple[float, ...] | None, bool]:
    measures = groups.item("PixelMeasuresSequence", 0)
    sources = [(measures, "PixelSpacing")] if measures is not None else []
    sources += [(ds, "PixelSpacing"), (ds, "ImagerPixelSpacing"), (ds, "NominalScannedPixelSpacing")]
    for source, keyword in sources:
        values = numbers(source, keyword)
        if not values:
            continue
        if len(values) != 2 or not all(0.0 < v <= MAX_SPACING_MM for v in values):
            remarks.add(Remark.BAD_SPACING)
            continue
        if keyword == "ImagerPixelSpacing":
            remarks.add(Remark.DETECTOR_SPACING)
        return values, False
    return _aspect_ratio(ds, remarks)


def _aspect_ratio(ds: Dataset, remarks: set[Remark]) -> tuple[tuple[float, ...] | None, bool]:
    ratio = numbers(ds, "PixelAspectRatio")
    if not ratio:
        return None, False
    if len(ratio) != 2 or not all(v > 0.0 for v in ratio) or not 0.01 <= ratio[0] / ratio[1] <= 100.0:
        remarks.add(Remark.BAD_SPACING)
        return None, False
    if ratio[0] == ratio[1]:
        return None, False
    remarks.add(Remark.RELATIVE_SPACING)
    return (ratio[0] / ratio[1], 1.0), True


def _orientation(ds: Dataset, groups: FrameItems, remarks: set[Remark]) -> tuple[float, ...] | None:
    first = groups.item("PlaneOrientationSequence", 0) or ds
    values = numbers(first, "ImageOrientationPatient")
    if not values:
        return None
    cosines = np.asarray(values)
    if len(values) == 6:
        rows, columns = cosines[:3], cosines[3:]
        unit = abs(np.linalg.norm(rows) - 1) < 1e-2 and abs(np.linalg.norm(columns) - 1) < 1e-2
        if unit and abs(rows @ columns) < 1e-2:
            return values
    remarks.add(Remark.BAD_ORIENTATION)
    return None


def _position(ds: Dataset, groups: FrameItems, index: int, remarks: set[Remark]) -> tuple[float, float, float] | None:
    values = numbers(groups.item("PlanePositionSequence", index) or ds, "ImagePositionPatient")
    if len(values) == 3 and max(abs(v) for v in values) < 1e5:
        return values[0], values[1], values[2]
    if values:
        remarks.add(Remark.BAD_ORIENTATION)
    return None


def _distances(
    groups: FrameItems, orientation: tuple[float, ...] | None, positions: list[tuple[float, float, float] | None]
) -> NDArray[np.float64] | None:
    """Distance of each frame along the common normal; None where frames cannot be ordered."""
    if orientation is None or any(p is None for p in positions) or not groups.per_frame:
        return None
    for index in range(len(positions)):
        plane = groups.item("PlaneOrientationSequence", index)
        if plane is not None and not same_direction(numbers(plane, "ImageOrientationPatient"), orientation):
            return None
    distances: NDArray[np.float64] = np.asarray(positions, float) @ normal_of(orientation)
    if np.diff(np.sort(distances)).min() < SAME_PLACE_MM:
        return None
    return distances


def _positive(values: tuple[float, ...]) -> float | None:
    return values[0] if len(values) == 1 and 0.0 < values[0] <= MAX_SPACING_MM else None
