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

from whycad.evidence_types import (
    Attribution,
    Concept,
    Evidence,
    Fidelity,
    Finding,
    Measurement,
    Segmentation,
    SimilarCase,
)
from whycad.study_types import FloatArray, Geometry, MetadataValue, ModelInput, Region, Study

__all__ = [
    "AnalysisRequest",
    "AnalysisResult",
    "Attribution",
    "Concept",
    "Decision",
    "DecisionKind",
    "Evidence",
    "EvidenceLevel",
    "Fidelity",
    "Finding",
    "FloatArray",
    "Geometry",
    "JsonObject",
    "Measurement",
    "MetadataValue",
    "ModelInput",
    "OutOfDistribution",
    "Prediction",
    "Progress",
    "ProgressStage",
    "Provenance",
    "Region",
    "Segmentation",
    "SimilarCase",
    "SliceProfile",
    "Study",
    "TaskKind",
    "Uncertainty",
]


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


@dataclass(frozen=True, eq=False)
class SliceProfile:
    """What the model said along a volume that it reads slice by slice.

    Attributes
    ----------
    probabilities : ndarray of float32 (Z, k)
        Calibrated, the mean over the members; NaN where a slice could not be scored.
    members : ndarray of float32 (m, Z, k)
        Each member's own.
    predicted : tuple of str (Z,)
        Label codes; empty where a slice could not be scored.
    decisions : tuple of str (Z,)
        ``report``, ``refer`` or ``reject``.
    ood_scores : ndarray of float32 (Z,)
        Of the out-of-distribution gate; NaN where there is none.
    epistemic : ndarray of float32 (Z,)
        In nats.
    shown : int
        The slice that the maps and the evidence are of.
    """

    probabilities: FloatArray
    members: FloatArray
    predicted: tuple[str, ...]
    decisions: tuple[str, ...]
    ood_scores: FloatArray
    epistemic: FloatArray
    shown: int


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
        What to explain, as ``whycad.targets`` writes it: a label code, ``>=CODE``, or
        ``CODE/CODE``; empty for the predicted label.
    region : Region or None
    coverage : float
        Nominal coverage of the conformal set.
    seed : int
    each_way : bool
        Where the set holds two labels, explain each rather than the other, instead of the target.
    grade : bool
        Whether each map is tested and graded after it is shown.
    stop_when_stable : bool
        Whether LIME and KernelSHAP draw no more samples once the ranking of the superpixels is stable.
    """

    explain: tuple[str, ...] = ()
    target: str = ""
    region: Region | None = None
    coverage: float = 0.9
    seed: int = 0
    each_way: bool = False
    grade: bool = True
    stop_when_stable: bool = False


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
    concepts : tuple of Concept
    segmentations : tuple of Segmentation
    profile : SliceProfile or None
        Of a volume that was read slice by slice.
    findings : tuple of Finding
        The line of argument, strongest first.
    similar : tuple of SimilarCase
        From the task's reference set, nearest first within each role.
    artefacts : tuple of str
        Kinds of artefact found in the image, the surest first; empty in a volume, where nothing is looked for.
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
    concepts: tuple[Concept, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    profile: SliceProfile | None = None
    findings: tuple[Finding, ...] = ()
    similar: tuple[SimilarCase, ...] = ()
    artefacts: tuple[str, ...] = ()

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
