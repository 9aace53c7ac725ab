"""Closed vocabularies: the only words of a file's header that reach a Study.

References
----------
DICOM PS3.3 C.7.3.1.1.1 (modalities), PS3.16 CID 4 (anatomic regions) and CID 4010 (views).
"""

from __future__ import annotations

from collections.abc import Mapping

MODALITIES = frozenset(
    [
        "AR",
        "AU",
        "BDUS",
        "BI",
        "BMD",
        "CR",
        "CT",
        "CTP",
        "DG",
        "DMS",
        "DR",
        "DX",
        "ECG",
        "EEG",
        "EMG",
        "EOG",
        "EPS",
        "ES",
        "FID",
        "GM",
        "HC",
        "HD",
        "IO",
        "IVUS",
        "KER",
        "KO",
        "LEN",
        "LS",
        "MG",
        "MR",
        "NM",
        "OAM",
        "OCT",
        "OP",
        "OPM",
        "OPR",
        "OPT",
        "OPV",
        "OSS",
        "OT",
        "PR",
        "PT",
        "PX",
        "REG",
        "RESP",
        "RF",
        "RG",
        "RWV",
        "SEG",
        "SM",
        "SMR",
        "SR",
        "SRF",
        "STN",
        "TG",
        "US",
        "VA",
        "XA",
        "XAPR",
        "XC",
    ]
)
# Slices of these are stacked to volumes.
SLICED = frozenset(("CT", "MR", "PT"))
# Images that a camera makes: a face, a name tag or a screen may be in them.
PHOTOGRAPHS = frozenset(("DMS", "ES", "GM", "IO", "OP", "OT", "SM", "XC"))

SEXES: Mapping[str, str] = {"M": "male", "F": "female", "O": "other"}
LATERALITIES = frozenset(("L", "R", "B"))
VIEWS = frozenset(
    [
        "AP",
        "PA",
        "LL",
        "RL",
        "LAT",
        "LLD",
        "RLD",
        "LLO",
        "RLO",
        "RAO",
        "LAO",
        "RPO",
        "LPO",
        "CC",
        "MLO",
        "ML",
        "LM",
        "LMO",
        "XCCL",
        "XCCM",
        "XCC",
        "FB",
        "SIO",
        "ISO",
        "AT",
        "CV",
        "CL",
        "MEDIAL",
        "LATERAL",
        "OBLIQUE",
        "SUPERIOR",
        "INFERIOR",
        "TANGENTIAL",
    ]
)


def _same(*names: str) -> dict[str, str]:
    return {name: name.lower() for name in names}


# From BodyPartExamined, without spaces and underscores.
BODY_PARTS: Mapping[str, str] = {
    **_same("ABDOMEN", "ANKLE", "AORTA", "ARM", "AXILLA", "BACK", "BLADDER", "BRAIN", "BREAST", "BUTTOCK", "CALF"),
    **_same("CHEEK", "CHEST", "CLAVICLE", "COLON", "EAR", "ELBOW", "EYE", "FACE", "FEMUR", "FINGER", "FOOT"),
    **_same("FOREARM", "GENITAL", "HAND", "HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER"),
    **_same("LUNG", "NECK", "NOSE", "PANCREAS", "PELVIS", "PROSTATE", "RADIUS", "RETINA", "RIB", "SCALP", "SHOULDER"),
    **_same("SKIN", "SKULL", "SPINE", "STERNUM", "STOMACH", "THIGH", "THUMB", "THYROID", "TIBIA", "TOE", "TRUNK"),
    **_same("ULNA", "UTERUS", "WRIST", "HEEL", "CALCANEUS", "LIP"),
    "CSPINE": "cervical spine",
    "TSPINE": "thoracic spine",
    "LSPINE": "lumbar spine",
    "SSPINE": "sacral spine",
    "CHESTABDOMEN": "chest and abdomen",
    "CHESTABDPELVIS": "chest, abdomen and pelvis",
    "ABDOMENPELVIS": "abdomen and pelvis",
    "HEADNECK": "head and neck",
    "WHOLEBODY": "whole body",
    "LOWERLEG": "leg",
    "UPPERARM": "arm",
    "LOWEREXTREMITY": "lower extremity",
    "UPPEREXTREMITY": "upper extremity",
    "EXTREMITY": "extremity",
    "EXTERNALGENITALIA": "genital",
    "THORAX": "chest",
    "HANDFINGER": "finger",
}

# From a body part to the sites that skin collections use.
SITES: Mapping[str, str] = {
    **{part: part for part in ("abdomen", "back", "chest", "ear", "face", "foot", "genital", "hand", "neck", "scalp")},
    **{part: part for part in ("trunk", "lower extremity", "upper extremity")},
    **dict.fromkeys(("ankle", "calf", "femur", "hip", "knee", "leg", "thigh", "tibia"), "lower extremity"),
    **dict.fromkeys(("arm", "elbow", "forearm", "humerus", "radius", "shoulder", "ulna", "wrist"), "upper extremity"),
    **dict.fromkeys(("finger", "thumb"), "hand"),
    **dict.fromkeys(("toe", "heel"), "foot"),
    **dict.fromkeys(("cheek", "lip", "nose", "jaw"), "face"),
    "buttock": "trunk",
}

# Canonical name: patterns to look for as whole words, in capitals.
MANUFACTURERS: Mapping[str, tuple[str, ...]] = {
    "Agfa": ("AGFA",),
    "Canfield": ("CANFIELD",),
    "Canon": ("CANON",),
    "Carestream": ("CARESTREAM", "KODAK"),
    "DermLite": ("DERMLITE", "3GEN"),
    "Esaote": ("ESAOTE",),
    "FotoFinder": ("FOTOFINDER",),
    "Fujifilm": ("FUJI", "FUJIFILM"),
    "GE": ("GE", "GEMS", "GENERAL ELECTRIC"),
    "Heidelberg": ("HEIDELBERG",),
    "Heine": ("HEINE",),
    "Hitachi": ("HITACHI",),
    "Hologic": ("HOLOGIC", "LORAD"),
    "Konica Minolta": ("KONICA", "MINOLTA"),
    "Leica": ("LEICA",),
    "Mindray": ("MINDRAY",),
    "Nidek": ("NIDEK",),
    "Nikon": ("NIKON",),
    "Olympus": ("OLYMPUS",),
    "Optovue": ("OPTOVUE",),
    "Philips": ("PHILIPS", "MARCONI", "ADAC"),
    "Samsung": ("SAMSUNG", "MEDISON"),
    "Shimadzu": ("SHIMADZU",),
    "Siemens": ("SIEMENS",),
    "Sony": ("SONY",),
    "Topcon": ("TOPCON",),
    "Toshiba": ("TOSHIBA",),
    "United Imaging": ("UIH", "UNITED IMAGING"),
    "Zeiss": ("ZEISS",),
}
