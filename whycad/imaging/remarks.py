"""The closed list of lasting warnings that a Study can carry; never a value from the file."""

from __future__ import annotations

import re
from enum import StrEnum


class Remark(StrEnum):
    """One constant sentence per finding."""

    CONSTANT = "Every pixel of the image has the same value: there is nothing to analyse."
    BURNED_IN = "The file says that text is burned into the picture: it may show who the patient is."
    BURNED_IN_UNKNOWN = "The file does not say whether text is burned into the picture: it may show who the patient is."
    RECOGNISABLE = "The file says that the patient may be recognised in the picture."
    DUPLICATE_TAGS = "The header holds the same tag more than once; the last value was used."
    LONG_TEXT = "A text field of the header is far longer than the standard allows; it was not kept."
    ODD_CHARACTERS = "A text field of the header holds control or direction-changing characters; it was not kept."
    BAD_CHARSET = "The header names a character set that is unknown or that its text does not follow."
    BAD_WINDOW = "The display window of the file is not usable; the full range is shown instead."
    VOI_LUT = "The file proposes a display curve; the pixels are kept without it."
    UNKNOWN_MODALITY = "The kind of image is missing or not one that is known; it is treated as 'other'."
    J2K_SIGN = "The compressed picture and the header disagree on the sign of the pixels; the header's was used."
    EXTRA_PIXELS = "The file holds more pixel data than its header declares; the rest was ignored."
    FIRST_FRAME = "The file holds several colour frames; only the first is shown and analysed."
    FRAME_ORDER = "The frames have no usable positions; they are in the order of the file."
    UNEVEN_SLICES = "The distances between slices differ; the volume was interpolated to even distances."
    SHIFTED_FRAMES = "The frames are shifted against each other; where they lie in the patient was left out."
    DUPLICATE_SLICE = "A slice of the series came more than once with the same contents; it was used once."
    CONFLICTING_SLICE = "Different slices of the series claim the same place; one is in the volume, the others apart."
    SAME_UID = "Files with the same identifier but different contents were opened; none of them replaced another."
    MIXED_SERIES = "The series holds images of different size, direction or kind; they are kept apart."
    LOCALIZER = "This is an overview image that was taken to plan the scan; it is part of no volume."
    BAD_SPACING = "The pixel spacing of the file is not usable; lengths cannot be measured."
    DETECTOR_SPACING = "The pixel spacing is that at the detector: lengths in the patient are shorter."
    RELATIVE_SPACING = "Only the shape of a pixel is known, not its size: lengths are not in millimetres."
    BAD_ORIENTATION = "The orientation or position in the file is not usable and was left out."
    INVERTED_HU = "The file asks for an inverted display; Hounsfield units were kept as they are."
    OVERLAY = "The file carries a graphic overlay, which is not shown."
    PALETTE_IGNORED = "The file proposes colours for its grey values; they are not shown."
    POLYGLOT = "The file can also be read as another kind of file; only the image in it is used."
    TRAILING_DATA = "The file carries other data after the picture; only the picture was read."
    ALPHA = "The picture is partly transparent; it is shown on black."
    ANIMATION = "The file is an animation; only its first picture was read."
    BAD_AGE = "The age in the file is not plausible and was left out."


_GAP = "Slices are missing: {missing} in {places} place(s), the largest gap is {largest:g} mm; they were interpolated."
_GAP_PATTERN = re.compile(
    r"Slices are missing: \d{1,6} in \d{1,6} place\(s\), the largest gap is [\d.e+-]{1,12} mm; "
    r"they were interpolated\.\Z"
)


def gap_remark(missing: int, places: int, largest_mm: float) -> str:
    """Return the warning for slices that are missing from a volume.

    Parameters
    ----------
    missing : int
        How many slices.
    places : int
        In how many gaps.
    largest_mm : float
        Distance of the slices on both sides of the widest gap.
    """
    return _GAP.format(missing=missing, places=places, largest=round(largest_mm, 2))


def known_remark(text: object) -> str:
    """Return a warning that is on the list, or was made by ``gap_remark``.

    Raises
    ------
    ValueError
        If it is neither; the message does not repeat it.
    """
    if isinstance(text, str) and (text in frozenset(Remark) or _GAP_PATTERN.match(text)):
        return str(text)
    raise ValueError("a warning that is not on the list")
