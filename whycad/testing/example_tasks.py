"""Tasks of the other kinds, as manifests: a seeded CT task, one that reads scans slice by slice, a staged one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whycad.manifest import Manifest
from whycad.types import JsonObject
from whycad.uncertainty.calibration import Calibration, CalibrationSource, StoredOperatingPoint
from whycad.uncertainty.calibration_parts import HeldOutRisk, Reliability, ReliabilityBins
from whycad.uncertainty.ood import OodReference


def example_manifest(task: str, kind: str, labels: Sequence[JsonObject], **sections: object) -> Manifest:
    """Return the manifest of a task that has no files.

    Parameters
    ----------
    task, kind : str
        Id and task kind.
    labels : sequence of mapping
    **sections
        More of the manifest, such as ``input``.
    """
    body = {
        "schema_version": 1,
        "id": task,
        "version": "0.1.0",
        "title": f"Stand-in {task}",
        "kind": kind,
        "evidence_level": "real",
        "intended_use": "Tests only.",
        "labels": list(labels),
        "code": {"build_model": "m:build_model", "preprocess": "m:preprocess", "phantom": "m:phantom"},
        **sections,
    }
    return Manifest.model_validate(body)


def _input(modality: str, shape: Sequence[int], **more: object) -> JsonObject:
    return {
        "modalities": [modality], "colour": False, "channels": 1, "shape": list(shape), "value_range": [0.0, 1.0],
        "min_size_px": 16, **more,
    }  # fmt: skip


NODULE = example_manifest(
    "nodule",
    "binary",
    [{"code": "benign", "name": "Benign"}, {"code": "malignant", "name": "Malignant", "must_not_miss": True}],
    input=_input("CT", [8, 32, 32], needs_region=True, region_name="nodule", window=[-600.0, 1500.0]),
    decision={"costs": {"report": {"malignant": {"benign": 10.0}, "benign": {"malignant": 1.0}}, "refer": 0.5}},
    operating_points=[{"name": "malignant", "labels": ["malignant"], "sensitivity": 0.95}],
)
SCANS = example_manifest(
    "scans",
    "binary",
    [{"code": "normal", "name": "No sign of CNV"}, {"code": "cnv", "name": "CNV", "must_not_miss": True}],
    input=_input("OPT", [32, 32], per_slice=True),
)
STAGES = example_manifest(
    "stages",
    "ordinal",
    [{"code": f"F{n}", "name": f"F{n}", "severity": n, "must_not_miss": n == 4} for n in range(5)],
    input=_input("MR", [32, 32]),
    evidence_level="simulated",
    operating_points=[{"name": "f4", "labels": ["F4"], "sensitivity": 0.9}],
)


def example_calibration(task: Manifest, *, reliability: bool = True) -> Calibration:
    """Return a calibration with everything that a page can show; all labels are equally common.

    Parameters
    ----------
    task : Manifest
    reliability : bool
        Whether said against observed is stored with it.
    """
    codes = task.label_codes
    scores = tuple(float(v) for v in np.linspace(0, 1, 99))
    bins = ReliabilityBins(counts=(0, 5, 100), confidence=(None, 0.5, 0.8), observed=(None, 0.4, 0.78))
    stored = Reliability(edges=(0.0, 1 / 3, 2 / 3, 1.0), top=bins, per_class={}, ece=0.02, ece_expected=0.01)
    quantiles = tuple(float(v) for v in np.linspace(0, 8, 101))
    return Calibration(
        source=CalibrationSource(dataset="made", selection="none", n=105, n_groups=99, weights_sha256="0" * 64),
        labels=codes,
        log_prior_shift=(0.0,) * len(codes),
        temperature=1.0,
        offset=(0.0,) * len(codes),
        prior=(1 / len(codes),) * len(codes),
        conformal_scores=dict.fromkeys(codes, scores),
        epistemic_quantiles=tuple(float(v) for v in np.linspace(0, 1, 101)),
        operating_points={
            point.name: StoredOperatingPoint(
                threshold=0.2, sensitivity=0.95, specificity=0.6, n_positive=50, n_negative=50
            )
            for point in task.operating_points
        },
        ood=OodReference(
            projection=((1.0,),), centre=(0.0,), scale=(1.0,), quantiles=quantiles, refer_above=7.5, reject_above=12.0
        ),
        reliability=stored if reliability else None,
        held_out=HeldOutRisk(
            n=105, n_groups=99, coverage=(0.5, 1.0), risk=(0.02, 0.1), aurc=0.05, aurc_median_member=0.06,
            shares={"report": 0.6, "refer": 0.35, "reject": 0.05}, error_all=0.1, error_reported=0.03,
            harm_policy=0.3, harm_report_all=0.5,
        ),
    )  # fmt: skip
