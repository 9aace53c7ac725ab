"""The few facts of a DICOM header that a Study keeps."""

from __future__ import annotations

from pydicom.dataset import Dataset

from whycad.imaging.deidentify import PHOTOMETRICS, age_years, check_metadata, keyed_hash, manufacturer, subject_key
from whycad.imaging.dicom_frames import Placement, Source
from whycad.imaging.dicom_header import code, items, numbers, raw
from whycad.imaging.remarks import Remark
from whycad.imaging.vocabulary import BODY_PARTS, LATERALITIES, SEXES, SITES
from whycad.types import MetadataValue

_LOSSY_SYNTAXES = ("4.50", "4.51", "4.81")


def read_facts(source: Source, placement: Placement, key: bytes) -> dict[str, MetadataValue]:
    """Return the allow-listed metadata of a file; what is unknown is left out."""
    ds, header = source.ds, source.header
    facts: dict[str, MetadataValue] = {
        "format": "dicom",
        "codec": header.syntax.codec,
        "bits_stored": header.bits_stored,
        "frames": header.frames,
        "lossy": code(ds, "LossyImageCompression") == "01" or header.syntax.uid.endswith(_LOSSY_SYNTAXES),
        "derived": code(ds, "ImageType") == "DERIVED",
        **_patient_facts(source),
        **_device_facts(ds, key),
        **_physics(source),
    }
    if placement.relative:
        facts["spacing_is_relative"] = True
    return check_metadata(facts)


def _patient_facts(source: Source) -> dict[str, MetadataValue]:
    ds = source.ds
    facts: dict[str, MetadataValue] = {}
    if code(ds, "PatientSex") in SEXES:
        facts["sex"] = SEXES[code(ds, "PatientSex")]
    stated, birth = code(ds, "PatientAge"), code(ds, "PatientBirthDate")
    taken = code(ds, "AcquisitionDate") or code(ds, "ContentDate") or code(ds, "StudyDate")
    age = age_years(stated, birth, taken)
    if age is not None:
        facts["age_years"] = age
    elif stated:
        source.remarks.add(Remark.BAD_AGE)
    part = BODY_PARTS.get(_body_part(source), "")
    if part:
        facts["body_part"] = part
    if part in SITES:
        facts["site"] = SITES[part]
    return facts


def _body_part(source: Source) -> str:
    words = [code(source.ds, "BodyPartExamined")]
    words += [code(item, "CodeMeaning") for item in items(source.ds, "AnatomicRegionSequence")[:1]]
    anatomy = source.groups.item("FrameAnatomySequence", 0)
    if anatomy is not None:
        words += [code(item, "CodeMeaning") for item in items(anatomy, "AnatomicRegionSequence")[:1]]
    known = (word.replace(" ", "").replace("_", "") for word in words)
    return next((word for word in known if word in BODY_PARTS), "")


def _device_facts(ds: Dataset, key: bytes) -> dict[str, MetadataValue]:
    maker, model = code(ds, "Manufacturer"), code(ds, "ManufacturerModelName")
    facts: dict[str, MetadataValue] = {}
    if manufacturer(maker):
        facts["manufacturer"] = manufacturer(maker)
    if maker or model:
        facts["device_key"] = keyed_hash(key, "device", maker, model)
    return facts


def _physics(source: Source) -> dict[str, MetadataValue]:
    facts: dict[str, MetadataValue] = {}
    measures = source.groups.item("PixelMeasuresSequence", 0) or source.ds
    for name, holder, keyword, top in (
        ("slice_thickness_mm", measures, "SliceThickness", 1000.0),
        ("kvp", source.ds, "KVP", 1000.0),
        ("magnetic_field_t", source.ds, "MagneticFieldStrength", 50.0),
    ):
        values = numbers(holder, keyword)
        if len(values) == 1 and 0.0 < values[0] <= top:
            facts[name] = values[0]
    return facts


def acquisition_facts(source: Source, key: bytes) -> dict[str, MetadataValue]:
    """Return what tells protocols apart; names that a site chose leave as keyed hashes."""
    header, kernel = source.header, code(source.ds, "ConvolutionKernel")
    facts: dict[str, MetadataValue] = {"rows": header.rows, "columns": header.columns}
    if header.photometric in PHOTOMETRICS:
        facts["photometric"] = header.photometric
    if kernel:
        facts["kernel_key"] = keyed_hash(key, "kernel", kernel)
    return facts


def laterality_of(source: Source) -> str:
    """Return ``L``, ``R``, ``B`` or an empty string."""
    anatomy = source.groups.item("FrameAnatomySequence", 0)
    stated = (
        code(source.ds, "ImageLaterality"),
        code(anatomy, "FrameLaterality") if anatomy is not None else "",
        code(source.ds, "Laterality"),
    )
    return next((side for side in stated if side in LATERALITIES), "")


def subject_of(ds: Dataset, key: bytes) -> str:
    """Return the keyed hash of the patient id, or an empty string."""
    patient = raw(ds, "PatientID", strict=False)
    issuer = raw(ds, "IssuerOfPatientID", strict=False)
    return subject_key(key, str(patient or ""), str(issuer or ""))
