"""What is looked at: a study, where the reader points, and what the network sees of it.

Coordinates are always in array order, ``(row, column)`` or ``(slice, row, column)``, with the
centre of the first pixel at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError

FloatArray = NDArray[np.float32]
MetadataValue = str | float | int | bool


@dataclass(frozen=True, eq=False)
class Study:
    """One image or volume, in physical units where they are known, and nothing of the patient.

    Attributes
    ----------
    pixels : ndarray of float32
        ``(H, W)``, ``(H, W, 3)`` or ``(Z, H, W)``. Colour and plain pictures (PNG, JPEG) are in
        0..1; DICOM grey images are in the output units of the modality LUT (HU for CT).
    modality : str
        DICOM modality code, such as ``CT``, ``MR``, ``XC``, ``OP``; ``OT`` for plain pictures.
    sha256 : str
        Of the source bytes, in hexadecimal; of the sorted hashes of its slices for a series.
    unit : str
        ``HU``, ``rgb``, ``normalised`` (0..1) or ``stored`` (arbitrary).
    spacing_mm : tuple of float or None
        Distance between pixel centres per spatial axis, in array order; None where unknown.
    window : tuple of float or None
        Centre and width that the file proposes for display, in ``unit``.
    orientation : tuple of float or None
        DICOM ImageOrientationPatient: direction cosines of the rows, then of the columns.
    position_mm : tuple of float or None
        Patient coordinates of the first pixel's centre.
    laterality, view : str
        From the file's coded tags; empty where unknown.
    metadata : mapping
        Allow-listed, non-identifying facts such as ``sex``, ``age_years``, ``site``, ``manufacturer``.
    subject_key : str
        Keyed hash of the patient id, for grouping only; empty where the file has none.
    warnings : tuple of str
        Lasting remarks for the reader, free of patient data.
    simulated : bool
        Whether the image was made by a phantom.
    """

    pixels: FloatArray
    modality: str
    sha256: str
    unit: str = "normalised"
    spacing_mm: tuple[float, ...] | None = None
    window: tuple[float, float] | None = None
    orientation: tuple[float, ...] | None = None
    position_mm: tuple[float, float, float] | None = None
    laterality: str = ""
    view: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    subject_key: str = ""
    warnings: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def is_colour(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.pixels.ndim == 3 and self.pixels.shape[-1] == 3 and self.unit == "rgb"

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape without the colour axis: ``(H, W)`` or ``(Z, H, W)``."""
        return self.pixels.shape[:-1] if self.is_colour else self.pixels.shape


@dataclass(frozen=True)
class Region:
    """A point or box that the reader points at, in source pixels.

    Attributes
    ----------
    start : tuple of float
        The point, or the box's first corner, ``(row, column)`` or ``(slice, row, column)``.
    stop : tuple of float or None
        The opposite corner (inclusive pixel centre); None for a point.
    """

    start: tuple[float, ...]
    stop: tuple[float, ...] | None = None

    @property
    def is_point(self) -> bool:
        """Whether this is a point, not a box."""
        return self.stop is None


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a model's pixels lie in the source: an affine map of pixel centres.

    Attributes
    ----------
    to_source : ndarray of float64 (d + 1, d + 1)
        Homogeneous map from model coordinates to source coordinates, d = 2 or 3.
    model_shape, source_shape : tuple of int
        Spatial shapes of the two grids.
    """

    to_source: NDArray[np.float64]
    model_shape: tuple[int, ...]
    source_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check shapes and that the map can be inverted."""
        d = len(self.model_shape)
        if self.to_source.shape != (d + 1, d + 1) or len(self.source_shape) != d:
            raise GeometryError(
                f"geometry: a {d}-D map needs a matrix of shape {(d + 1, d + 1)}, not {self.to_source.shape}"
            )
        if not np.all(np.isfinite(self.to_source)) or abs(np.linalg.det(self.to_source)) < 1e-12:
            raise GeometryError("geometry: the map from model to source cannot be inverted")

    def points_to_source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map model coordinates ``(n, d)`` to source coordinates ``(n, d)``."""
        return np.asarray(points @ self.to_source[:-1, :-1].T + self.to_source[:-1, -1])

    def points_to_model(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map source coordinates ``(n, d)`` to model coordinates ``(n, d)``."""
        inverse = np.linalg.inv(self.to_source)
        return np.asarray(points @ inverse[:-1, :-1].T + inverse[:-1, -1])


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the network sees, and where that came from.

    Attributes
    ----------
    array : ndarray of float32
        ``(C, H, W)`` or ``(C, Z, H, W)``, normalised as the model was trained.
    geometry : Geometry
        From the array's spatial grid to the source's.
    baseline : float or ndarray
        The value that stands for "nothing here" in explanations; broadcasts to ``array``.
    """

    array: FloatArray
    geometry: Geometry
    baseline: float | FloatArray = 0.0
