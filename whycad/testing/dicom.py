"""Synthetic DICOM files, valid for pydicom, for tests and samples.

Pixels come from the caller; patients come from nowhere. ``CANARY`` is a patient whose name, id and
dates are easy to search for: whatever reads a file made with it must not repeat them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)

Tags = Any
_ROOT = "1.2.826.0.1.3680043.10.1338."
GREY_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "DX": DigitalXRayImageStorageForPresentation}


@dataclass(frozen=True)
class Patient:
    """Identity written into a synthetic file."""

    name: str = "Simulated^Case"
    patient_id: str = "SIM-0001"
    birth_date: str = "19700101"
    accession: str = "SIM-ACC"
    sex: str = "F"
    age: str = "055Y"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must appear nowhere after reading."""
        return (*self.name.split("^"), self.patient_id, self.birth_date, self.accession)


CANARY = Patient("Zzcanary^Wilhelmina", "QX-77013-CANARY", "19481123", "ACCN-CANARY-9", "F", "077Y")


@dataclass(frozen=True)
class Writing:
    """How a file is written.

    Attributes
    ----------
    patient : Patient
    syntax : str
        Transfer syntax; uncompressed ones are written, others compressed by pydicom where it can.
    seed : str
        Entropy of the UIDs, so that the same call gives the same file.
    """

    patient: Patient = Patient()
    syntax: str = ExplicitVRLittleEndian
    seed: str = "whycad"


def make_photo_dicom(pixels: NDArray[np.uint8], writing: Writing | None = None, **tags: Tags) -> bytes:
    """Write a VL photographic image, as a dermatoscope would.

    Parameters
    ----------
    pixels : ndarray of uint8 (H, W, 3) or (H, W)
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one.

    Returns
    -------
    bytes
        A DICOM Part 10 file.
    """
    ds = base_dataset(VLPhotographicImageStorage, "XC", writing or Writing())
    set_pixels(ds, pixels, "RGB" if pixels.ndim == 3 else "MONOCHROME2")
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.BodyPartExamined = "BACK"
    return to_bytes(set_tags(ds, tags), writing)


def make_ct_slice(hu: NDArray[np.int16], writing: Writing | None = None, **tags: Tags) -> bytes:
    """Write one CT slice.

    Parameters
    ----------
    hu : ndarray of int16 (H, W)
        Hounsfield units, -1024 or more; stored as unsigned 16-bit with an intercept of -1024.
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one.
    """
    ds = base_dataset(CTImageStorage, "CT", writing or Writing())
    set_pixels(ds, (hu.astype(np.int32) + 1024).astype(np.uint16), "MONOCHROME2")
    _set_plane(ds)
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.KVP = "120"
    return to_bytes(set_tags(ds, tags), writing)


def make_grey_dicom(stored: NDArray[Any], modality: str = "MR", writing: Writing | None = None, **tags: Tags) -> bytes:
    """Write a grey image as stored, without any LUT.

    Parameters
    ----------
    stored : ndarray of uint8, int8, uint16, int16 or uint32 (H, W) or (frames, H, W)
    modality : str
        ``CT``, ``MR``, ``DX``, or another that is written as MR.
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one.
    """
    ds = base_dataset(GREY_CLASSES.get(modality, MRImageStorage), modality, writing or Writing())
    set_pixels(ds, stored, "MONOCHROME2")
    if stored.ndim == 3:
        ds.NumberOfFrames = stored.shape[0]
    return to_bytes(set_tags(ds, tags), writing)


def make_enhanced_ct(
    stored: NDArray[np.int16],
    rescale: Sequence[tuple[float, float]],
    z_mm: Sequence[float | Sequence[float]],
    writing: Writing | None = None,
    **tags: Tags,
) -> bytes:
    """Write an enhanced multi-frame CT whose frames have their own rescale and position.

    Parameters
    ----------
    stored : ndarray of int16 (frames, H, W)
    rescale : sequence of (float, float)
        Slope and intercept per frame.
    z_mm : sequence of float or of (float, float, float)
        Position of each frame along the patient's axis, or in full.
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one.
    """
    ds = base_dataset(EnhancedCTImageStorage, "CT", writing or Writing())
    set_pixels(ds, stored, "MONOCHROME2")
    ds.NumberOfFrames = len(stored)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["0.7", "0.8"], "2.5"
    orientation.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_group(slope, intercept, z) for (slope, intercept), z in zip(rescale, z_mm, strict=True)
    ]
    return to_bytes(set_tags(ds, tags), writing)


def _frame_group(slope: float, intercept: float, z_mm: float | Sequence[float]) -> Dataset:
    group, values, place, voi = Dataset(), Dataset(), Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = str(slope), str(intercept), "HU"
    place.ImagePositionPatient = [str(v) for v in ((0, 0, z_mm) if isinstance(z_mm, int | float) else z_mm)]
    voi.WindowCenter, voi.WindowWidth = "50", "350"
    group.PixelValueTransformationSequence = [values]
    group.PlanePositionSequence = [place]
    group.FrameVOILUTSequence = [voi]
    return group


def make_palette_dicom(
    indices: NDArray[np.uint8], palette: NDArray[np.uint16], writing: Writing | None = None, **tags: Tags
) -> bytes:
    """Write a palette image.

    Parameters
    ----------
    indices : ndarray of uint8 (H, W)
    palette : ndarray of uint16 (256, 3)
    writing : Writing or None
    **tags
        Elements to set by keyword; None removes one.
    """
    ds = base_dataset(VLPhotographicImageStorage, "XC", writing or Writing())
    set_pixels(ds, indices, "PALETTE COLOR")
    for column, colour in enumerate(("Red", "Green", "Blue")):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [len(palette), 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", palette[:, column].astype("<u2").tobytes())
    return to_bytes(set_tags(ds, tags), writing)


def make_encapsulated(
    frames: Sequence[bytes], syntax: str, tags: Mapping[str, Tags], writing: Writing | None = None, **more: Tags
) -> bytes:
    """Write frames that are compressed already, under any transfer syntax.

    Parameters
    ----------
    frames : sequence of bytes
        One codestream per frame.
    syntax : str
    tags : mapping
        The image pixel module: Rows, Columns, BitsAllocated and so on.
    writing : Writing or None
        Its ``syntax`` is not used.
    **more
        Elements to set by keyword, besides ``tags``; ``Modality`` defaults to XC.
    """
    from pydicom.encaps import encapsulate

    writing = writing or Writing()
    ds = base_dataset(VLPhotographicImageStorage, "XC", writing)
    ds.BurnedInAnnotation = "NO"
    ds.PixelData = encapsulate(list(frames), has_bot=bool(more.pop("has_offset_table", False)))
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    set_tags(ds, {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0})
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    return _write(set_tags(set_tags(ds, tags), more), little_endian=True)


def base_dataset(sop_class: UID, modality: str, writing: Writing) -> FileDataset:
    """Return a data set with file meta, UIDs, patient and study, but no pixels yet."""
    patient = writing.patient
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = make_uid(writing, "instance")
    meta.TransferSyntaxUID = UID(writing.syntax)
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = make_uid(writing, "study"), make_uid(writing, "series")
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = patient.name, patient.patient_id, patient.birth_date
    ds.PatientSex, ds.PatientAge, ds.AccessionNumber = patient.sex, patient.age, patient.accession
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.ReferringPhysicianName = "20250102", "101500", "1", ""
    ds.SeriesNumber, ds.InstanceNumber = "1", "1"
    ds.Modality, ds.Manufacturer, ds.ImageType = modality, "WhyCAD", ["ORIGINAL", "PRIMARY"]
    ds.ConversionType = "DI"
    return ds


def make_uid(writing: Writing, kind: str) -> UID:
    """Return a UID that is the same for the same seed and kind."""
    return generate_uid(prefix=_ROOT, entropy_srcs=[writing.seed, kind])


def set_pixels(ds: FileDataset, pixels: NDArray[Any], photometric: str) -> None:
    """Set PixelData and the image pixel module from an array as stored."""
    colour = photometric == "RGB"
    bits = 8 * pixels.dtype.itemsize
    ds.Rows, ds.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3 if colour else 1), photometric
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    order: Literal[">", "<"] = ">" if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"


def _set_plane(ds: FileDataset) -> None:
    ds.PixelSpacing, ds.SliceThickness = ["0.7", "0.8"], "2.5"
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = ["-100", "-120", "30"]
    ds.FrameOfReferenceUID = make_uid(Writing(), "frame")


def set_tags(ds: FileDataset, tags: Mapping[str, Tags]) -> FileDataset:
    """Set elements by keyword and return the data set; None removes one."""
    for keyword, value in tags.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def to_bytes(ds: FileDataset, writing: Writing | None = None) -> bytes:
    """Write a data set with uncompressed pixels under ``writing.syntax``."""
    syntax = UID((writing or Writing()).syntax)
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(syntax, generate_instance_uid=False)
        syntax = UID(ExplicitVRLittleEndian)
    return _write(ds, little_endian=syntax != ExplicitVRBigEndian)


def _write(ds: FileDataset, *, little_endian: bool) -> bytes:
    out = io.BytesIO()
    dcmwrite(
        out,
        ds,
        implicit_vr=ds.file_meta.TransferSyntaxUID.is_implicit_VR,
        little_endian=little_endian,
        enforce_file_format=True,
    )
    return out.getvalue()


def part10(body: bytes, syntax: str, *, sop_class: str = VLPhotographicImageStorage) -> bytes:
    """Put preamble, prefix and file meta in front of a hand-made data set, however broken it is."""

    def element(number: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        if vr == b"OB":
            return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    meta = element(1, b"OB", b"\0\1") + element(2, b"UI", sop_class.encode()) + element(3, b"UI", _ROOT.encode() + b"1")
    meta += element(0x10, b"UI", syntax.encode()) + element(0x12, b"UI", _ROOT.encode() + b"2")
    return b"\0" * 128 + b"DICM" + element(0, b"UL", struct.pack("<L", len(meta))) + meta + body


def split_part10(data: bytes) -> tuple[bytes, bytes]:
    """Split a file into everything up to the data set, and the data set."""
    (length,) = struct.unpack_from("<L", data, 140)
    start = 144 + length
    return data[:start], data[start:]


def deflated(data: bytes) -> bytes:
    """Rewrite an explicit little-endian file under the deflated transfer syntax."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = engine.compress(split_part10(data)[1]) + engine.flush()
    return part10(body + b"\0" * (len(body) % 2), DeflatedExplicitVRLittleEndian)
