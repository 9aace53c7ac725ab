"""Synthetic CT series, OCT volumes, archives and DICOMDIRs, for tests, samples and demonstrations.

Pixels come from the caller. Faults that readers must notice (a gap, a second patient, a tilted
gantry) are options, so that a test makes its own file instead of carrying one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    OphthalmicTomographyImageStorage,
)

from whycad.testing.dicom import Patient, Tags, Writing, base_dataset, make_uid, set_pixels, set_tags, to_bytes

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class SeriesOptions:
    """What a series is like, besides its pixels.

    Attributes
    ----------
    patient : Patient
        Whose it is; ``CANARY`` has a name that is easy to search for.
    syntax : str
        Transfer syntax.
    seed : str
        Entropy of the UIDs: another seed, another series.
    origin_mm : tuple of float
        Patient coordinates (x, y, z) of the first pixel of slice 0.
    orientation : tuple of float
        Direction cosines of the rows, then of the columns; slices follow along their cross product.
    slope, intercept : float
        Of the rescale to Hounsfield units.
    shuffle : int or None
        Seed that mixes the order of the files and their instance numbers.
    tilt_deg : float
        Gantry tilt: slices lean about the x axis, but still follow one another along z.
    missing : sequence of int
        Slices that are left out.
    duplicates : sequence of int
        Slices that come twice, byte for byte.
    conflicts : sequence of int
        Slices that come again under the same UID with other pixels (10 HU brighter).
    second_patient : sequence of int
        Slices that name another patient.
    without_position : sequence of int
        Slices that lack ImagePositionPatient.
    jitter_mm : mapping
        Slice number to what its position is off along the normal.
    """

    patient: Patient = field(default_factory=Patient)
    syntax: str = ExplicitVRLittleEndian
    seed: str = "series"
    origin_mm: tuple[float, float, float] = (-120.0, -110.0, -50.0)
    orientation: tuple[float, ...] = AXIAL
    slope: float = 1.0
    intercept: float = -1024.0
    shuffle: int | None = None
    tilt_deg: float = 0.0
    missing: Sequence[int] = ()
    duplicates: Sequence[int] = ()
    conflicts: Sequence[int] = ()
    second_patient: Sequence[int] = ()
    without_position: Sequence[int] = ()
    jitter_mm: Mapping[int, float] = field(default_factory=dict)


def make_ct_series(volume_hu: NDArray[Any], spacing_mm: Sequence[float], **options: Tags) -> list[bytes]:
    """Write a volume as a series of CT slices, one file each.

    Parameters
    ----------
    volume_hu : ndarray (Z, H, W)
        Hounsfield units; stored as signed 16-bit numbers under the rescale of the options.
    spacing_mm : sequence of float
        Distance of slices, rows and columns, (dz, dy, dx).
    **options
        Fields of ``SeriesOptions``; any other keyword is a DICOM element to set in every slice
        (None removes it).

    Returns
    -------
    list of bytes
        DICOM Part 10 files, slice 0 first unless shuffled; duplicates and conflicts follow at the end.
    """
    chosen, tags = _split(options)
    kept = [k for k in range(len(volume_hu)) if k not in chosen.missing]
    files = [_ct_slice(volume_hu[k], k, spacing_mm, chosen, tags) for k in kept]
    files += [files[kept.index(k)] for k in chosen.duplicates]
    files += [_ct_slice(volume_hu[k] + 10, k, spacing_mm, chosen, tags) for k in chosen.conflicts]
    if chosen.shuffle is not None:
        order = np.random.default_rng(chosen.shuffle).permutation(len(files))
        files = [files[i] for i in order]
    return files


def _split(options: Mapping[str, Tags]) -> tuple[SeriesOptions, dict[str, Tags]]:
    known = {f.name for f in fields(SeriesOptions)}
    chosen = SeriesOptions(**{key: value for key, value in options.items() if key in known})
    return chosen, {key: value for key, value in options.items() if key not in known}


def _ct_slice(
    hu: NDArray[Any], k: int, spacing_mm: Sequence[float], chosen: SeriesOptions, tags: Mapping[str, Tags]
) -> bytes:
    patient = Patient("Other^Person", "SIM-0002") if k in chosen.second_patient else chosen.patient
    writing = Writing(patient, chosen.syntax, chosen.seed)
    ds = base_dataset(CTImageStorage, "CT", writing)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = make_uid(writing, f"slice {k}")
    stored = np.rint((np.asarray(hu, np.float64) - chosen.intercept) / chosen.slope)
    set_pixels(ds, stored.clip(-32768, 32767).astype(np.int16), "MONOCHROME2")
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = _ds(chosen.slope), _ds(chosen.intercept), "HU"
    ds.WindowCenter, ds.WindowWidth, ds.KVP = "-600", "1500", "120"
    ds.BodyPartExamined = "CHEST"
    _place_slice(ds, k, spacing_mm, chosen)
    ds.FrameOfReferenceUID = make_uid(writing, "frame")
    return to_bytes(set_tags(ds, tags), writing)


def _place_slice(ds: FileDataset, k: int, spacing_mm: Sequence[float], chosen: SeriesOptions) -> None:
    dz, dy, dx = (float(v) for v in spacing_mm)
    cosines = np.asarray(chosen.orientation)
    normal = np.cross(cosines[:3], cosines[3:])
    step = normal
    if chosen.tilt_deg:
        angle = np.deg2rad(chosen.tilt_deg)
        cosines = np.array([1.0, 0.0, 0.0, 0.0, np.cos(angle), -np.sin(angle)])
        step = np.array([0.0, 0.0, 1.0])
        ds.GantryDetectorTilt = _ds(chosen.tilt_deg)
    place = np.asarray(chosen.origin_mm) + (k * dz + chosen.jitter_mm.get(k, 0.0)) * step
    ds.PixelSpacing, ds.SliceThickness = [_ds(dy), _ds(dx)], _ds(dz)
    ds.ImageOrientationPatient = [_ds(v) for v in cosines]
    if k not in chosen.without_position:
        ds.ImagePositionPatient = [_ds(v) for v in place]
    # Numbers that say nothing about the place, as after an anonymiser.
    ds.InstanceNumber = str(k + 1 if chosen.shuffle is None else (k * 7919 + chosen.shuffle) % 10_007)


def _ds(value: float) -> str:
    return f"{value:.8g}" if abs(value) >= 1e-8 else "0"


def make_localizer(shape: tuple[int, int] = (24, 20), **options: Tags) -> bytes:
    """Write a sagittal scout view that carries the UID of a series.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    **options
        As for ``make_ct_series``; give the series' ``seed`` to make it part of that series.
    """
    view = np.linspace(-900, 300, shape[0] * shape[1]).reshape(1, *shape)
    merged: dict[str, Tags] = {
        "orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "SOPInstanceUID": make_uid(Writing(seed=str(options.get("seed", "series"))), "scout"),
        **options,
    }
    return make_ct_series(view, (5.0, 1.0, 1.0), **merged)[0]


def make_oct_volume(
    frames: NDArray[np.uint8], spacing_mm: Sequence[float] | None, writing: Writing | None = None, **tags: Tags
) -> bytes:
    """Write B-scans as one ophthalmic tomography image (multi-frame, modality OPT).

    Parameters
    ----------
    frames : ndarray of uint8 (Z, H, W)
        B-scans, depth downwards.
    spacing_mm : sequence of float or None
        Distance of B-scans, of rows (depth) and of columns; None leaves spacing and places out, as
        some devices do.
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one. ``positions=False`` leaves the places of the
        frames out, ``z_mm=[...]`` sets them one by one.
    """
    writing = writing or Writing(seed="oct")
    positions, z_mm = bool(tags.pop("positions", True)), tags.pop("z_mm", None)
    ds = base_dataset(OphthalmicTomographyImageStorage, "OPT", writing)
    set_pixels(ds, frames, "MONOCHROME2")
    ds.NumberOfFrames = len(frames)
    ds.ImageLaterality, ds.BurnedInAnnotation, ds.LossyImageCompression = "R", "NO", "00"
    ds.BodyPartExamined = "EYE"
    shared, groups = Dataset(), [_frame_number(i) for i in range(len(frames))]
    if spacing_mm is not None:
        _place_frames(shared, groups if positions else [], spacing_mm, z_mm)
        ds.FrameOfReferenceUID = make_uid(writing, "frame")
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], groups
    return to_bytes(set_tags(ds, tags), writing)


def _frame_number(index: int) -> Dataset:
    group, content = Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", index + 1, [1, index + 1]
    group.FrameContentSequence = [content]
    return group


def _place_frames(
    shared: Dataset, groups: Sequence[Dataset], spacing_mm: Sequence[float], z_mm: Sequence[float] | None
) -> None:
    dz, dy, dx = (float(v) for v in spacing_mm)
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [_ds(dy), _ds(dx)], _ds(dz), _ds(dz)
    plane = Dataset()
    plane.ImageOrientationPatient = [_ds(v) for v in AXIAL]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    for index, group in enumerate(groups):
        place = Dataset()
        place.ImagePositionPatient = ["0", "0", _ds(index * dz if z_mm is None else z_mm[index])]
        group.PlanePositionSequence = [place]


def make_zip(files: Sequence[bytes] | Mapping[str, bytes], *, stored: bool = False) -> bytes:
    """Write a ZIP archive.

    Parameters
    ----------
    files : sequence of bytes, or mapping of name to bytes
        Without names they are called ``IMG0001.dcm`` and so on.
    stored : bool
        Whether to leave the contents uncompressed.
    """
    named = files if isinstance(files, Mapping) else {f"IMG{i:04d}.dcm": data for i, data in enumerate(files, 1)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in named.items():
            archive.writestr(name, data)
    return out.getvalue()


def make_dicomdir(entries: Sequence[Sequence[str]], writing: Writing | None = None) -> bytes:
    """Write a DICOMDIR that lists files, each as the parts of its path.

    Parameters
    ----------
    entries : sequence of sequence of str
        Such as ``[["IMAGES", "IM1"], ["..", "SECRET"]]``; nothing is checked.
    writing : Writing or None
    """
    writing = writing or Writing()
    ds = base_dataset(MediaStorageDirectoryStorage, "CT", writing)
    records = []
    for parts in entries:
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord, record.RecordInUseFlag = 0, 0xFFFF
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.DirectoryRecordType = "IMAGE"
        record["ReferencedFileID"] = DataElement(0x00041500, "CS", list(parts), validation_mode=IGNORE)
        records.append(record)
    ds.FileSetID, ds.DirectoryRecordSequence = "WHYCAD", records
    return to_bytes(ds, writing)
