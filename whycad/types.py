"""The vocabulary of the house: frozen dataclasses that every layer speaks.

Arrays are numpy, so that nothing here needs torch. Coordinates are always in array order,
``(row, column)`` or ``(slice, row, column)``, with the centre of the first pixel at 0.
Instances that hold arrays compare by identity; ``result_io.results_equal`` compares contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError

FloatArray = NDArray[np.float32]
MetadataValue = str | float | int | bool


class TaskKind(StrEnum):
    """What the labels of a task mean to each other."""

    MULTICLASS = "multiclass"
    BINARY = "binary"
    MULTILABEL = "multilabel"
    ORDINAL = "ordinal"


class EvidenceLevel(StrEnum):
    """What a model was trained on."""

    REAL = "real"
    SIMULATED = "simulated"


class DecisionKind(StrEnum):
    """What the tool says about a case: answer, hand over, or decline."""

    REPORT = "report"
    REFER = "refer"
    REJECT = "reject"


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
        Of the source bytes, in hexadecimal; of all files in name order for a series.
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


@dataclass(frozen=True)
class Decision:
    """What to do with a case, and why, in words for the reader."""

    kind: DecisionKind
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uncertainty:
    """Entropy of the mean prediction in nats, split (Depeweg 2018).

    ``total = aleatoric + epistemic``: the mean entropy of the members, and the mutual
    information between the label and the choice of member.
    """

    total: float
    aleatoric: float
    epistemic: float


@dataclass(frozen=True)
class OutOfDistribution:
    """How unlike the calibration data an image is.

    Attributes
    ----------
    score : float
        Larger is stranger; the gate's own unit.
    percentile : float
        Share of calibration images (0..100) with a smaller score.
    threshold : float
        Score above which the gate refuses.
    method : str
        Name of the score.
    """

    score: float
    percentile: float
    threshold: float
    method: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the ensemble says.

    Attributes
    ----------
    labels : tuple of str
        Codes, in the manifest's order; every array below follows it.
    probabilities : ndarray of float32 (k,)
        Calibrated to the prevalence of the calibration data.
    member_probabilities : ndarray of float32 (m, k)
        Each member's own, calibrated the same way.
    predicted : str
        The label that the manifest's decision rule chooses.
    conformal_set : tuple of str
        Class-conditional set, never empty for multi-class tasks.
    coverage : float
        Nominal coverage of that set, such as 0.9.
    conformal_p : ndarray of float32 (k,)
        Conformal p-value per label, from which the set at any level can be redrawn.
    uncertainty : Uncertainty
    out_of_distribution : OutOfDistribution or None
    decision : Decision
    operating_points : mapping of str to (float, float)
        Score and threshold of each binary operating point, such as ``malignant``.
    """

    labels: tuple[str, ...]
    probabilities: FloatArray
    member_probabilities: FloatArray
    predicted: str
    conformal_set: tuple[str, ...]
    coverage: float
    conformal_p: FloatArray
    uncertainty: Uncertainty
    out_of_distribution: OutOfDistribution | None
    decision: Decision
    operating_points: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def probability(self, label: str) -> float:
        """Return the calibrated probability of one label code."""
        return float(self.probabilities[self.labels.index(label)])


@dataclass(frozen=True)
class Fidelity:
    """How far a map can be trusted; every figure is None where it was not measured.

    Attributes
    ----------
    convergence_delta : float or None
        Integrated gradients: sum of the map less the change in output, relative to the change.
    local_r2 : float or None
        LIME: weighted R2 of the linear surrogate.
    n_samples : int or None
        Model evaluations spent.
    mass_inside : float or None
        Share of positive mass inside the region or mask.
    grade : str
        ``A``, ``B``, ``C``, ``fails`` or empty where not graded yet.
    remarks : tuple of str
        Sentences for the reader.
    """

    convergence_delta: float | None = None
    local_r2: float | None = None
    n_samples: int | None = None
    mass_inside: float | None = None
    grade: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map of what mattered to the output for one label; never a localisation.

    Attributes
    ----------
    method : str
        Method id: ``gradcam``, ``ig``, ``occlusion``, ``lime``.
    target : str
        Label code that was explained.
    map : ndarray of float32
        On the source's spatial grid.
    signed : bool
        Whether negative values mean "against".
    parameters : mapping
        Everything needed to make it again.
    seed : int
    fidelity : Fidelity
    """

    method: str
    target: str
    map: FloatArray
    signed: bool
    parameters: Mapping[str, MetadataValue] = field(default_factory=dict)
    seed: int = 0
    fidelity: Fidelity = field(default_factory=Fidelity)


@dataclass(frozen=True)
class Measurement:
    """A number taken from the image.

    Attributes
    ----------
    name, unit : str
    value : float
    reference_range : tuple of float or None
        Central range in the calibration data.
    method : str
        How it was measured.
    """

    name: str
    value: float
    unit: str
    reference_range: tuple[float, float] | None = None
    method: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a result came from, so that it can be made again."""

    plugin_id: str
    plugin_version: str
    weights_sha256: str
    code_version: str
    device: str
    precision: str
    evidence_level: EvidenceLevel
    created_utc: str
    seed: int
    calibration_set: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnalysisRequest:
    """What a reader asks for.

    Attributes
    ----------
    explain : tuple of str
        Method ids, in the order in which they are wanted.
    target : str
        Label code to explain; empty for the predicted label.
    region : Region or None
    coverage : float
        Nominal coverage of the conformal set.
    seed : int
    """

    explain: tuple[str, ...] = ()
    target: str = ""
    region: Region | None = None
    coverage: float = 0.9
    seed: int = 0


@dataclass(frozen=True, eq=False)
class AnalysisResult:
    """One analysed case. The source's pixels are not in it; the Study has them.

    Attributes
    ----------
    study_sha256 : str
    source_shape : tuple of int
        Spatial shape that every map has.
    request : AnalysisRequest
    prediction : Prediction
    attributions : tuple of Attribution
    measurements : tuple of Measurement
    provenance : Provenance
    warnings : tuple of str
        Of the study and of the analysis.
    metadata : mapping
        The study's allow-listed metadata, for subgroup look-ups.
    simulated : bool
        Whether the image or the model's training data were simulated.
    """

    study_sha256: str
    source_shape: tuple[int, ...]
    request: AnalysisRequest
    prediction: Prediction
    attributions: tuple[Attribution, ...]
    measurements: tuple[Measurement, ...]
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    simulated: bool = False

    @property
    def key(self) -> tuple[str, str, str, str, AnalysisRequest]:
        """The one key under which a result is kept."""
        p = self.provenance
        return (self.study_sha256, p.plugin_id, p.plugin_version, p.weights_sha256, self.request)


ProgressStage = Literal["queued", "preprocess", "predict", "explain", "done"]


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    stage : str
    fraction : float
        0..1 over the whole job.
    message : str
        For the reader, such as "LIME, 400 of 1,000 samples".
    """

    stage: ProgressStage
    fraction: float
    message: str = ""


JsonObject = dict[str, Any]
