"""What the viewer shows and what it tells, as frozen dataclasses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dashboard.components.viewer import encode
from dashboard.components.viewer.planes import AXIAL, SCANS, Plane, patient_planes
from whycad.errors import GeometryError
from whycad.types import Attribution, Study

Tool = Literal["pan", "point", "box", "brush"]
EventKind = Literal["none", "click", "box", "brush", "clear", "slice"]
Index = tuple[int, ...]
TOOLS: tuple[Tool, ...] = ("pan", "point", "box", "brush")
THIN = 4  # voxels along an axis below which a plane across it shows nothing
SCAN_MODALITIES = ("OPT", "OPTBSV")


@dataclass(frozen=True, eq=False)
class ViewerImage:
    """An image or volume to look at. Keep the instance between reruns: it holds its own encoding.

    Attributes
    ----------
    pixels : ndarray
        ``(H, W)`` or ``(H, W, 3)`` uint8, ``(H, W)`` float32, or ``(Z, H, W)`` uint8, int16 or float32.
    alt : str
        What a reader who cannot see the picture is told; nothing of the patient.
    version : str
        Changes whenever the pixels change; empty for a hash of the pixels.
    spacing_mm : tuple of float or None
        Distance between pixel centres per axis, in array order; without it there is no scale bar.
    window : tuple of float or None
        Centre and width of the first display, in the unit of ``pixels``; None for the whole range.
    unit : str
        Written after a pixel's value, such as ``HU``.
    direction : tuple of float or None
        DICOM ImageOrientationPatient of a volume: cosines of the rows, then of the columns; None for
        axial slices, feet first in the array.
    scans : bool
        Whether a volume is a stack of B-scans, which has no anatomical planes.

    Raises
    ------
    GeometryError
        If shape, type or spacing do not fit the above.
    """

    pixels: NDArray[Any]
    alt: str
    version: str = ""
    spacing_mm: tuple[float, ...] | None = None
    window: tuple[float, float] | None = None
    unit: str = ""
    direction: tuple[float, ...] | None = None
    scans: bool = False

    def __post_init__(self) -> None:
        """Check that the array is one of the layouts that can be shown."""
        shape, dtype = self.pixels.shape, self.pixels.dtype
        allowed = (
            ("uint8",) if self.is_colour else ("uint8", "int16", "float32") if self.is_volume else ("uint8", "float32")
        )
        if self.pixels.ndim not in (2, 3) or 0 in shape or dtype.name not in allowed:
            raise GeometryError(
                f"viewer: an image of shape {shape} and type {dtype} cannot be shown",
                remedy="pass uint8 (H, W) or (H, W, 3), float32 (H, W), or uint8, int16 or float32 (Z, H, W)",
            )
        if self.spacing_mm is not None and (
            len(self.spacing_mm) != len(self.spatial_shape)
            or not all(s > 0 and np.isfinite(s) for s in self.spacing_mm)
        ):
            raise GeometryError(f"viewer: spacing {self.spacing_mm} does not fit an image of shape {shape}")

    @property
    def is_colour(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.pixels.ndim == 3 and self.pixels.shape[-1] == 3 and self.pixels.dtype == np.uint8

    @property
    def is_volume(self) -> bool:
        """Whether the first axis counts slices."""
        return self.pixels.ndim == 3 and not self.is_colour

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """``(H, W)`` or ``(Z, H, W)``."""
        return self.pixels.shape[:2] if self.is_colour else self.pixels.shape

    @cached_property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value that the window sliders reach."""
        return encode.value_range(self.pixels)

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The planes of a volume, that of its slices first."""
        return SCANS if self.scans else patient_planes(self.direction or AXIAL)

    @property
    def is_linked(self) -> bool:
        """Whether a volume is first shown in three planes; thin ones and B-scans are shown slice by slice."""
        return not self.scans and min(self.spatial_shape) >= THIN

    @cached_property
    def asset(self) -> encode.Asset:
        """The bytes that the browser gets."""
        return encode.encode_volume(self.pixels) if self.is_volume else encode.encode_image(self.pixels)

    @cached_property
    def key(self) -> str:
        """``version``, or a hash of the encoded pixels."""
        return self.version or hashlib.sha256(self.asset.content).hexdigest()[:24]

    @classmethod
    def from_study(cls, study: Study, alt: str) -> ViewerImage:
        """Make the picture of a study; colour and plain pictures become 8 bits.

        Parameters
        ----------
        study : Study
        alt : str
            Text for readers who cannot see the picture.
        """
        eight_bits = study.unit in ("rgb", "normalised") and (study.is_colour or study.pixels.ndim == 2)
        pixels = encode.to_uint8(study.pixels) if eight_bits else study.pixels
        return cls(
            pixels=pixels,
            alt=alt,
            version=study.sha256,
            spacing_mm=study.spacing_mm,
            window=None if eight_bits else study.window,
            unit=study.unit if study.unit == "HU" else "",
            direction=study.orientation if study.pixels.ndim == 3 else None,
            scans=study.modality in SCAN_MODALITIES,
        )


@dataclass(frozen=True, eq=False)
class ViewerOverlay:
    """One map over the image. Keep the instance between reruns: it holds its own encoding.

    Attributes
    ----------
    id : str
        Letters, digits, ``_`` and ``-``; the chip's ``data-testid`` is ``viewer-method-<id>``.
    name : str
        On the chip, such as "Grad-CAM".
    map : ndarray of float32
        On the image's spatial grid. Values that are not finite count as 0.
    signed : bool
        Whether negative values mean "against"; the colours then diverge around zero.
    grade : str
        ``A``, ``B``, ``C``, ``fails`` or empty.
    description : str
        A sentence or two for the chip's tooltip and the settings panel.
    target : str
        What the map explains, in words, such as "Melanoma".
    limit : float or None
        Absolute value at the end of the colours; None for the map's own largest.
    """

    id: str
    name: str
    map: NDArray[np.float32]
    signed: bool = False
    grade: str = ""
    description: str = ""
    target: str = ""
    limit: float | None = None

    def __post_init__(self) -> None:
        """Check the id, which enters file names and selectors."""
        if not self.id or not all(c.isalnum() or c in "_-" for c in self.id):
            raise GeometryError(f"viewer: overlay id {self.id!r} may hold letters, digits, _ and - only")

    @cached_property
    def asset(self) -> encode.Asset:
        """The quantised map as the browser gets it."""
        return encode.encode_map(self.map, signed=self.signed, limit=self.limit)

    @cached_property
    def volume_asset(self) -> encode.BoxedAsset:
        """A map ``(Z, H, W)`` as the browser gets it."""
        return encode.encode_volume_map(self.map, signed=self.signed, limit=self.limit)

    @classmethod
    def from_attribution(
        cls, attribution: Attribution, *, name: str, target: str, description: str = ""
    ) -> ViewerOverlay:
        """Make the overlay of one explanation; ``name`` and ``target`` are words for the reader."""
        return cls(
            id=attribution.method,
            name=name,
            map=attribution.map,
            signed=attribution.signed,
            grade=attribution.fidelity.grade,
            description=description or " ".join(attribution.fidelity.remarks),
            target=target,
        )


@dataclass(frozen=True, eq=False)
class ViewerOutline:
    """A contour, such as the lesion's edge. Keep the instance between reruns: it holds its own encoding.

    Attributes
    ----------
    name : str
    mask : ndarray of bool
        What the contour encloses, on the image's spatial grid.
    """

    name: str
    mask: NDArray[np.bool_]

    @cached_property
    def paths(self) -> list[list[list[float]]]:
        """Closed polylines of (row, column) on a flat image, pixel centres at whole numbers."""
        return encode.mask_outlines(self.mask)

    @cached_property
    def volume_asset(self) -> encode.BoxedAsset:
        """A mask ``(Z, H, W)`` as the browser gets it, which traces it slice by slice."""
        return encode.encode_volume_mask(self.mask)


@dataclass(frozen=True)
class ViewerStrip:
    """A chart along a volume that was read slice by slice.

    Attributes
    ----------
    title : str
        What the curve is, such as "Probability of CNV".
    alt : str
        The chart in words.
    values, low, high : tuple of float or None
        Per slice, 0..1: the curve and the members' spread; None where a slice has no score.
    decisions : tuple of str
        Per slice: ``report``, ``refer`` or ``reject``.
    """

    title: str
    alt: str
    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    decisions: tuple[str, ...]


@dataclass(frozen=True)
class ViewerOptions:
    """How the viewer behaves.

    Attributes
    ----------
    tools : tuple of str
        Which of ``pan``, ``point``, ``box`` and ``brush`` are offered.
    tool : str
        The tool that is in hand at first.
    overlay : str
        Id of the overlay to show; a change of it on a rerun switches the viewer.
    simulated : bool
        Burns "simulated image" into the downloaded PNG.
    footer : str
        Another line burnt into the PNG, such as the plugin and its version.
    report_overlay : bool
        Whether choosing a method reruns the page, so that ``ViewerEvent.overlay`` follows.
    window_presets : tuple of (str, float, float)
        Name, centre and width, such as ``("Lung", -600, 1500)``.
    mark : tuple of int or None
        Point that was analysed: shown as a ring, and the planes go there when it changes.
    slice : int or None
        Slice to go to when this changes.
    slice_action : str
        Words of a button that asks for something for the slice on show; the event is of kind ``slice``.
    strip : ViewerStrip or None
        One entry per slice.
    link : str
        Viewers of the same image with the same link look at the same place; empty for none.
    """

    tools: tuple[Tool, ...] = TOOLS
    tool: Tool = "pan"
    overlay: str = ""
    simulated: bool = False
    footer: str = ""
    report_overlay: bool = False
    window_presets: tuple[tuple[str, float, float], ...] = ()
    mark: Index | None = None
    slice: int | None = None
    slice_action: str = ""
    strip: ViewerStrip | None = None
    link: str = ""


@dataclass(frozen=True)
class Stroke:
    """One brush stroke: the pixels that its centre visited, and its radius in pixels."""

    points: tuple[Index, ...]
    radius: float


@dataclass(frozen=True)
class ViewerEvent:
    """The reader's marks on this image, in source pixels: ``(row, column)`` or ``(slice, row, column)``.

    Attributes
    ----------
    kind : str
        What was done last: ``none``, ``click``, ``box``, ``brush``, ``clear`` or ``slice``.
    seq : int
        Grows with every mark; compare it with the last one seen to tell new from old.
    click : tuple of int or None
    box : tuple of two tuples of int or None
        Smallest and largest corner, both inside the box.
    brush : tuple of Stroke
    overlay : str
        Id of the chosen overlay, where ``report_overlay`` is set; else empty.
    slice : int or None
        Slice of the large plane that was on show then; None on a flat image.
    """

    kind: EventKind = "none"
    seq: int = 0
    click: Index | None = None
    box: tuple[Index, Index] | None = None
    brush: tuple[Stroke, ...] = field(default=())
    overlay: str = ""
    slice: int | None = None
