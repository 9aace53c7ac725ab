"""The policy refers what it must, says why, and reports the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad.manifest import CostTable, Label, load_manifest
from whycad.types import DecisionKind, OutOfDistribution, TaskKind
from whycad.uncertainty.calibration import Calibration, CalibrationSource
from whycad.uncertainty.decision import (
    CaseNumbers,
    cost_matrix,
    decide,
    expected_cost,
    predict_label,
    predicted_indices,
)
from whycad.uncertainty.ood import SCORES, OodReference

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
    skin = load_manifest(repo / "plugins" / "skin_lesion")
    return skin.model_copy(update={"decision": skin.decision.model_copy(update={"costs": None})})


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


def with_rule(manifest, **changes):
    return manifest.model_copy(update={"decision": manifest.decision.model_copy(update=changes)})


def task(manifest, kind, codes, **rule):
    labels = tuple(Label(code=code, name=code.upper()) for code in codes)
    return with_rule(manifest.model_copy(update={"kind": kind, "labels": labels}), **rule)


def test_the_leading_score_gives_the_reason(calm, manifest, calibration):
    for name, sentence in (("neighbours", "No calibration image resembles it"), ("energy", "finds little in it")):
        strange = replace(calm, out_of_distribution=OutOfDistribution(9.8, 98.0, 9.5, SCORES[name]))
        assert sentence in decide(strange, manifest, calibration).reasons[0]
        far = replace(calm, out_of_distribution=OutOfDistribution(99.0, 100.0, 9.5, SCORES[name]))
        assert sentence in decide(far, manifest, calibration).reasons[0]


def test_no_image_is_stranger_than_a_hundred_percent(calm, manifest, calibration):
    strange = replace(calm, out_of_distribution=OutOfDistribution(9.9, 99.9, 9.5, "distance"))
    assert "stranger than all the calibration images" in decide(strange, manifest, calibration).reasons[0]


@pytest.mark.parametrize(
    ("labels", "kind", "reason"),
    [
        ((), DecisionKind.REFER, "fits neither answer"),
        (("a", "b"), DecisionKind.REFER, "Neither of the two answers can be ruled out"),
        (("a",), DecisionKind.REPORT, None),
    ],
)
def test_two_answers_with_both_or_neither_open_are_referred(manifest, calibration, labels, kind, reason):
    binary = task(manifest, TaskKind.BINARY, "ab")
    decision = decide(CaseNumbers(np.array([0.9, 0.1]), "a", labels, 0.1, None), binary, calibration)
    assert decision.kind is kind
    assert reason is None or reason in decision.reasons[0]


def test_a_long_run_of_stages_is_referred_by_its_ends(manifest, calibration):
    ordinal = task(manifest, TaskKind.ORDINAL, ("f0", "f1", "f2", "f3"))
    p = np.array([0.2, 0.4, 0.3, 0.1])
    decision = decide(CaseNumbers(p, "f1", ("f0", "f1", "f2"), 0.1, None), ordinal, calibration)
    assert decision.reasons == ("No stage from F0 to F2 can be ruled out.",)
    assert decide(CaseNumbers(p, "f1", ("f0", "f1"), 0.1, None), ordinal, calibration).kind is DecisionKind.REPORT


def test_a_label_that_is_too_probable_refers(calm, manifest, calibration):
    careful = with_rule(manifest, refer_probability={"mel": 0.01})
    decision = decide(calm, careful, calibration)
    assert decision.kind is DecisionKind.REFER
    assert "Melanoma has a probability of 1.0%" in decision.reasons[0]
    assert decide(calm, with_rule(manifest, refer_probability={"mel": 0.02}), calibration).kind is DecisionKind.REPORT


def test_costs_refer_what_would_do_more_harm_when_reported(calm, manifest, calibration):
    table = CostTable(report={"mel": {"nv": 50.0}, "bcc": {"nv": 5.0}}, refer=0.5, reject=0.7)
    costly = with_rule(manifest, costs=table)
    assert expected_cost(calm.probabilities, "nv", costly) == pytest.approx(0.01 * 50 + 0.01 * 5)
    decision = decide(calm, costly, calibration)
    assert decision.kind is DecisionKind.REFER
    assert "a report would cost 0.55 on average, a referral 0.5" in decision.reasons[0]
    cheap = with_rule(manifest, costs=table.model_copy(update={"refer": 0.6}))
    assert decide(calm, cheap, calibration).kind is DecisionKind.REPORT


def test_costs_never_overrule_what_must_not_be_missed(calm, manifest, calibration):
    free = with_rule(manifest, costs=CostTable(report={}, refer=10.0, reject=10.0))
    assert decide(replace(calm, predicted="mel"), free, calibration).kind is DecisionKind.REFER
    strange = replace(calm, out_of_distribution=OutOfDistribution(16.0, 100.0, 9.5, "distance"))
    assert decide(strange, free, calibration).kind is DecisionKind.REJECT


def test_without_a_table_every_error_costs_one(manifest):
    costs = cost_matrix(manifest)
    assert np.array_equal(costs, 1 - np.eye(7))


def test_rows_are_judged_like_single_cases(manifest, calibration):
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=20)
    together = predicted_indices(p, manifest, calibration.prior)
    assert [manifest.label_codes[i] for i in together] == [predict_label(r, manifest, calibration.prior) for r in p]
