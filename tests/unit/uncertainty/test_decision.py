"""The policy refers what it must, says why, and reports the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad.manifest import load_manifest
from whycad.types import DecisionKind, OutOfDistribution
from whycad.uncertainty.calibration import Calibration, CalibrationSource
from whycad.uncertainty.decision import CaseNumbers, decide, predict_label
from whycad.uncertainty.ood import OodReference

SOURCE = CalibrationSource(dataset="made", selection="all", n=1, n_groups=1, weights_sha256="0" * 64)
OOD = OodReference(
    projection=((1.0,),),
    centre=(0.0,),
    scale=(1.0,),
    quantiles=tuple(np.linspace(0, 10, 101)),
    refer_above=9.5,
    reject_above=15.0,
)


@pytest.fixture(scope="module")
def manifest(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def calibration(manifest):
    k = len(manifest.labels)
    return Calibration(
        source=SOURCE,
        labels=manifest.label_codes,
        log_prior_shift=(0.0,) * k,
        temperature=1.0,
        offset=(0.0,) * k,
        prior=(0.04, 0.05, 0.11, 0.01, 0.11, 0.66, 0.02),
        conformal_scores=dict.fromkeys(manifest.label_codes, (0.1,)),
        epistemic_quantiles=tuple(np.linspace(0, 1, 101)),
        ood=OOD,
    )


@pytest.fixture
def calm():
    p = np.array([0.01, 0.01, 0.02, 0.0, 0.01, 0.95, 0.0])
    return CaseNumbers(p, "nv", ("nv",), 0.1, OutOfDistribution(3.0, 30.0, 9.5, "distance"))


def test_a_clear_benign_case_is_reported(calm, manifest, calibration):
    decision = decide(calm, manifest, calibration)
    assert decision.kind is DecisionKind.REPORT
    assert decision.reasons == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"predicted": "mel"}, "Melanoma must not be missed"),
        ({"conformal_set": ("nv", "mel")}, "melanoma"),
        ({"conformal_set": ("nv", "bkl", "df")}, "3 of 7 diagnoses cannot be ruled out"),
        ({"epistemic": 0.99}, "members disagree"),
        ({"out_of_distribution": OutOfDistribution(9.8, 98.0, 9.5, "distance")}, "stranger than 98 %"),
    ],
)
def test_each_danger_refers_with_its_reason(calm, manifest, calibration, change, reason):
    decision = decide(replace(calm, **change), manifest, calibration)
    assert decision.kind is DecisionKind.REFER
    assert any(reason in text for text in decision.reasons)


def test_what_was_never_seen_is_rejected(calm, manifest, calibration):
    strange = replace(calm, out_of_distribution=OutOfDistribution(16.0, 100.0, 9.5, "distance"))
    assert decide(strange, manifest, calibration).kind is DecisionKind.REJECT


def test_the_rule_weighs_rare_labels_up(manifest, calibration):
    p = np.array([0.0, 0.0, 0.0, 0.2, 0.0, 0.8, 0.0])
    assert predict_label(p, manifest, calibration.prior) == "df"
    level = manifest.model_copy(update={"decision": manifest.decision.model_copy(update={"balance_power": 0.0})})
    assert predict_label(p, level, calibration.prior) == "nv"
