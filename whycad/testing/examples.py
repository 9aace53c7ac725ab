"""Hand-made results and studies, for tests of whatever shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from whycad.manifest import Manifest
from whycad.types import (
    AnalysisRequest,
    AnalysisResult,
    Attribution,
    Concept,
    Decision,
    DecisionKind,
    Evidence,
    EvidenceLevel,
    Fidelity,
    Finding,
    FloatArray,
    Measurement,
    MetadataValue,
    OutOfDistribution,
    Prediction,
    Provenance,
    Segmentation,
    SimilarCase,
    SliceProfile,
    Study,
    Uncertainty,
)


@dataclass(frozen=True)
class ExampleOptions:
    """What an example result says.

    Attributes
    ----------
    leading : int
        Index of the predicted label.
    probability : float
        Its probability; the rest is shared.
    kind : DecisionKind
    reasons : tuple of str
    methods : tuple of str
        Methods with a map for the predicted label.
    warnings : tuple of str
    evidence : Evidence
    by_slices : bool
        Whether a volume was read slice by slice.
    """

    leading: int = 0
    probability: float = 0.71
    kind: DecisionKind = DecisionKind.REFER
    reasons: tuple[str, ...] = ("The set holds what must not be missed: melanoma.",)
    methods: tuple[str, ...] = ("gradcam", "lime")
    warnings: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    by_slices: bool = False
    grades: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    similar: tuple[SimilarCase, ...] = ()


def example_study(shape: tuple[int, int] = (96, 128), *, seed: int = 0, simulated: bool = True) -> Study:
    """Return a small colour study with a dark blob right of and above the centre."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    blob = np.exp(-(((rows - 0.35 * shape[0]) / 16) ** 2) - ((columns - 0.65 * shape[1]) / 20) ** 2)
    noise = np.random.default_rng(seed).normal(0, 0.01, (*shape, 3))
    skin = np.array([0.85, 0.65, 0.55]) - 0.6 * blob[..., None]
    pixels = np.clip(skin + noise, 0, 1).astype(np.float32)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    facts: dict[str, MetadataValue] = {"sex": "female", "age_years": 64.0, "site": "back"}
    return Study(pixels, "XC", digest, "rgb", metadata=facts, simulated=simulated)


def example_volume(shape: tuple[int, int, int] = (6, 40, 48), *, modality: str = "CT", seed: int = 0) -> Study:
    """Return a small simulated volume with a bright block off its centre: HU for CT, else 0..1."""
    ct = modality == "CT"
    pixels = np.random.default_rng(seed).normal(-850 if ct else 0.2, 15 if ct else 0.02, shape)
    pixels[tuple(slice(side // 2, side // 2 + max(1, side // 6)) for side in shape)] = 40 if ct else 0.8
    values = np.asarray(np.rint(pixels) if ct else np.clip(pixels, 0, 1), np.float32)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return Study(
        values, modality, digest, "HU" if ct else "normalised", spacing_mm=(2.5, 0.7, 0.7), simulated=True
    )  # fmt: skip


def example_result(study: Study, manifest: Manifest, options: ExampleOptions | None = None) -> AnalysisResult:
    """Return a result for a study, with maps that peak where the study is dark."""
    options = options or ExampleOptions()
    refused = options.kind is DecisionKind.REJECT
    prediction = _refusal(manifest, options) if refused else _prediction(manifest, options)
    target = manifest.label_codes[options.leading]
    attributions = (
        ()
        if refused
        else tuple(_map(study, method, target, options.grades.get(method, "")) for method in options.methods)
    )
    return AnalysisResult(
        study_sha256=study.sha256,
        source_shape=study.spatial_shape,
        request=AnalysisRequest(explain=options.methods),
        prediction=prediction,
        attributions=attributions,
        measurements=options.evidence.measurements,
        provenance=_provenance(manifest),
        warnings=options.warnings,
        metadata=dict(study.metadata),
        simulated=study.simulated or manifest.evidence_level is EvidenceLevel.SIMULATED,
        concepts=options.evidence.concepts,
        segmentations=options.evidence.segmentations,
        profile=example_profile(len(study.pixels), len(manifest.labels)) if options.by_slices else None,
        findings=options.findings,
        similar=options.similar,
    )


def example_evidence(shape: tuple[int, ...]) -> Evidence:
    """Return a diameter, a descriptor and the outline of a box in the middle."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(side // 3, max(side // 3 + 1, 2 * side // 3)) for side in shape)] = True
    return Evidence(
        (Measurement("longest_diameter", 12.34, "mm", (4.0, 30.0), "from the outline"),),
        (Concept("margin", "How sharp is the margin?", ("poorly defined", "sharp"), (0.25, 0.75)),),
        (Segmentation("nodule", mask, "mean of the members"),),
    )


def example_profile(n: int, labels: int, *, shown: int = 0) -> SliceProfile:
    """Return the profile of a volume of n slices: rising suspicion of the second label, the last slice refused."""
    members = np.full((5, n, labels), 0.0, np.float32)
    members[:, :, 1] = np.linspace(0, 0.9, n)
    members[:, :, 0] = 1 - members[:, :, 1]
    members[:, -1] = np.nan
    scored = ["report" if i < n // 2 else "refer" for i in range(n - 1)]
    numbers = np.linspace(0, 1, n, dtype=np.float32)
    return SliceProfile(members[0], members, ("",) * n, (*scored, "reject"), numbers, numbers, shown)


def _prediction(manifest: Manifest, options: ExampleOptions) -> Prediction:
    k = len(manifest.labels)
    probabilities = np.full(k, (1 - options.probability) / (k - 1))
    probabilities[options.leading] = options.probability
    spread = np.linspace(-0.08, 0.08, 5)[:, None] * np.where(np.arange(k) == options.leading, 1, -1 / (k - 1))
    conformal_p = np.where(np.arange(k) == options.leading, 0.8, 0.02)
    conformal_p[(options.leading + 1) % k] = 0.15
    labels = manifest.label_codes
    return Prediction(
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        member_probabilities=np.clip(probabilities + spread, 0, 1).astype(np.float32),
        predicted=labels[options.leading],
        conformal_set=tuple(code for code, p in zip(labels, conformal_p, strict=True) if p > 0.1),
        coverage=0.9,
        conformal_p=conformal_p.astype(np.float32),
        uncertainty=Uncertainty(0.57, 0.48, 0.09),
        out_of_distribution=OutOfDistribution(3.1, 38.0, 9.0, "mahalanobis"),
        decision=Decision(options.kind, options.reasons),
        operating_points={point.name: (0.62, 0.2) for point in manifest.operating_points},
    )


def _refusal(manifest: Manifest, options: ExampleOptions) -> Prediction:
    nothing = np.full(len(manifest.labels), np.nan, np.float32)
    return Prediction(
        labels=manifest.label_codes,
        probabilities=nothing,
        member_probabilities=np.empty((0, len(manifest.labels)), np.float32),
        predicted="",
        conformal_set=(),
        coverage=0.9,
        conformal_p=nothing,
        uncertainty=Uncertainty(float("nan"), float("nan"), float("nan")),
        out_of_distribution=None,
        decision=Decision(options.kind, options.reasons),
    )


def _map(study: Study, method: str, target: str, grade: str) -> Attribution:
    grey: FloatArray = np.asarray(study.pixels.mean(axis=-1) if study.is_colour else study.pixels, np.float32)
    signed = method in ("ig", "lime", "occlusion")
    values = np.median(grey) - grey
    remarks = (f"A reason for grade {grade}.",) if grade else ()
    fidelity = Fidelity(n_samples=200, local_r2=0.81 if method == "lime" else None, grade=grade, remarks=remarks)
    return Attribution(
        method=method,
        target=target,
        map=np.asarray(values if signed else np.clip(values, 0, None), np.float32),
        signed=signed,
        parameters={"samples": 200},
        fidelity=fidelity,
        disagreement=np.full(values.shape, 0.25, np.float32),
    )


def _provenance(manifest: Manifest) -> Provenance:
    return Provenance(
        plugin_id=manifest.id,
        plugin_version=manifest.version,
        weights_sha256="0" * 64,
        code_version="0.1.0",
        device="cpu",
        precision="float32",
        evidence_level=manifest.evidence_level,
        created_utc="2026-01-01T00:00:00+00:00",
        seed=0,
        calibration_set="example set",
    )
