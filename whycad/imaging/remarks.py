"""The closed list of lasting warnings that a Study can carry; never a value from the file."""

from __future__ import annotations

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
    UNEVEN_SLICES = "The distances between slices differ; their median is used as slice spacing."
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
