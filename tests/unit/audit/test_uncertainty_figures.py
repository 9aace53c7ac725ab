"""Each figure is the known one on cases made to have it, and its bound is judged."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from whycad.audit.case_table import CaseTable
from whycad.audit.uncertainty_figures import (
    Judged,
    calibration_figures,
    healthy_labels,
    judged_cases,
    policy_figures,
    ranking_figures,
    selective_figures,
    set_figures,
    weighted_kappa,
)
from whycad.manifest import CostTable, Label, load_manifest
from whycad.testing.plugins import make_calibration
from whycad.types import TaskKind


class _Weights:
    def __init__(self, manifest):
        self.manifest, self.weights_sha256 = manifest, "0" * 64


@pytest.fixture(scope="module")
def skin(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


def task(skin, kind, k, task_id="made", **rule):
    labels = tuple(Label(code=f"s{i}", name=f"S{i}", severity=i) for i in range(k))
    decision = skin.decision.model_copy(update={"balance_power": 0.0} | rule)
    return skin.model_copy(
        update={"kind": kind, "labels": labels, "operating_points": (), "decision": decision, "id": task_id}
    )


def judged(manifest, n=400, seed=0, **more):
    """Calibrated by construction: labels are drawn from the ensemble's own probabilities."""
    rng = np.random.default_rng(seed)
    k = len(manifest.labels)
    mean = rng.dirichlet(np.full(k, 0.5), n)
    noise = 0.3 * mean.min(axis=1, keepdims=True)[None] * rng.normal(size=(3, n, k))
    members = np.clip(mean + noise - noise.mean(axis=0), 1e-6, None)
    members /= members.sum(axis=-1, keepdims=True)
    label = np.array([rng.choice(k, p=p) for p in members.mean(axis=0)])
    table = CaseTable(
        codes=np.array(manifest.label_codes),
        members=members,
        conformal_p=np.clip(members.mean(axis=0) + 0.1, 0, 1),
        gate_score=rng.random(n),
        label=label,
        predicted=members.mean(axis=0).argmax(axis=1),
        decision=np.where(members.mean(axis=0).max(axis=1) > 0.7, "report", "refer"),
        group=np.arange(n).astype(str),
    )
    return Judged(table, manifest, make_calibration(_Weights(manifest)), n_draws=100, **more)


def by_name(figures):
    return {figure.name: figure for figure in figures}


def test_a_rival_is_compared_where_it_is_known(skin):
    data = judged(task(skin, TaskKind.BINARY, 2, "lung_nodule"))
    rival = data.table.label + np.random.default_rng(1).normal(size=400)
    rival[:40] = np.nan
    found = by_name(ranking_figures(Judged(data.table, data.manifest, data.calibration, 100, rival=rival)))
    positive, p = data.table.label[40:] == 1, data.table.probabilities[40:, 1]
    alone = found["AUROC of diameter alone"]
    assert alone.value == pytest.approx(roc_auc_score(positive, rival[40:]))
    assert alone.note == "360 cases with a diameter"
    gain = roc_auc_score(positive, p) - roc_auc_score(positive, rival[40:])
    assert found["AUROC above diameter alone"].value == pytest.approx(gain)


def test_two_answers_have_one_auroc_and_its_rival(skin):
    data = judged(task(skin, TaskKind.BINARY, 2, "lung_nodule"))
    rival = data.table.label + np.random.default_rng(1).normal(size=400)
    found = by_name(ranking_figures(Judged(data.table, data.manifest, data.calibration, 100, rival=rival)))
    positive = data.table.label == 1
    assert found["AUROC"].value == pytest.approx(roc_auc_score(positive, data.table.probabilities[:, 1]))
    assert found["AUROC"].met is (found["AUROC"].value >= 0.93)
    assert found["AUROC of diameter alone"].value == pytest.approx(roc_auc_score(positive, rival))
    gain = found["AUROC"].value - found["AUROC of diameter alone"].value
    assert found["AUROC above diameter alone"].value == pytest.approx(gain)
    assert "AUROC of diameter alone" not in by_name(ranking_figures(data))


def test_stages_have_the_clinical_cuts_and_kappa(skin):
    data = judged(task(skin, TaskKind.ORDINAL, 4))
    found = by_name(ranking_figures(data))
    p, label = data.table.probabilities, data.table.label
    assert found["AUROC, s2 or more"].value == pytest.approx(roc_auc_score(label >= 2, p[:, 2:].sum(axis=1)))
    assert found["AUROC, s3"].value == pytest.approx(roc_auc_score(label == 3, p[:, 3]))
    kappa = cohen_kappa_score(label, data.table.predicted, weights="quadratic")
    assert found["quadratic-weighted kappa"].value == pytest.approx(kappa)


def test_kappa_counts_weights():
    label, said = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1])
    twice = np.repeat(label, [1, 2, 1, 1]), np.repeat(said, [1, 2, 1, 1])
    found = weighted_kappa(label, said, 3)(np.array([[1.0, 2, 1, 1]]))[0]
    assert found == pytest.approx(cohen_kappa_score(*twice, weights="quadratic"))


def test_a_calibrated_model_keeps_the_bound_and_a_boastful_one_does_not(skin):
    honest = judged(task(skin, TaskKind.MULTICLASS, 3), 800)
    assert by_name(calibration_figures(honest))["ECE in excess of that"].met
    table = honest.table
    members = table.members**6 / (table.members**6).sum(axis=-1, keepdims=True)
    boast = CaseTable(**{**vars(table), "members": members})
    found = by_name(calibration_figures(Judged(boast, honest.manifest, honest.calibration, 100)))
    assert not found["ECE in excess of that"].met
    assert found["ECE in excess of that"].wanted == "at most 0.02"
    few = by_name(calibration_figures(judged(task(skin, TaskKind.MULTICLASS, 3), 100)))
    assert few["ECE in excess of that"].wanted == "at most 0.03"


def test_sets_are_those_of_the_level(skin):
    data = judged(task(skin, TaskKind.MULTICLASS, 3, "retinal_oct"))
    figures, classes, parts = set_figures(data)
    found = by_name(figures)
    in_set = (np.round(data.table.conformal_p, 7) > 0.1) | (np.eye(3)[data.table.probabilities.argmax(axis=1)] > 0)
    assert found["mean set size"].value == pytest.approx(in_set.sum(axis=1).mean())
    assert found["mean set size"].met is False
    assert [part.name for part in classes] == ["s0", "s1", "s2"]
    assert parts == []
    some = {"first": np.arange(400) < 200}
    assert set_figures(Judged(data.table, data.manifest, data.calibration, 50, subgroups=some))[2][0].n == 200
    binary = judged(task(skin, TaskKind.BINARY, 2))
    assert 'share of empty sets ("neither")' in by_name(set_figures(binary)[0])


def test_the_ensemble_is_compared_by_both_labels_where_the_rule_differs(skin):
    plain = selective_figures(judged(task(skin, TaskKind.MULTICLASS, 3)))
    assert len(plain) == 3
    ruled = selective_figures(judged(task(skin, TaskKind.MULTICLASS, 3, "skin_lesion", balance_power=1.0)))
    assert len(ruled) == 6
    assert ruled[2].wanted == "interval below 0"
    assert all(figure.met is None for figure in ruled[3:])


def test_the_policy_has_its_shares_errors_and_costs(skin):
    costs = CostTable(report={"s0": {"s1": 1.0}, "s1": {"s0": 10.0}}, refer=0.5)
    data = judged(task(skin, TaskKind.BINARY, 2, "retinal_oct", costs=costs))
    found = by_name(policy_figures(data))
    assert found["reported"].value + found["referred"].value == pytest.approx(1)
    assert found["wrong among the reported"].value < found["wrong if all were reported"].value
    saved = found["mean cost if all were reported"].value - found["mean cost under the policy"].value
    assert found["cost saved by the policy"].value == pytest.approx(saved)
    healthy = data.table.label == 0
    assert found["healthy cases referred or rejected"].value == pytest.approx(
        np.mean(data.table.decision[healthy] != "report")
    )
    assert found["healthy cases referred or rejected"].met is False


def test_healthy_is_what_has_no_severity_and_may_be_missed(skin):
    assert healthy_labels(task(skin, TaskKind.BINARY, 2)) == [0]
    assert [skin.label_codes[i] for i in healthy_labels(skin)] == ["bkl", "df", "nv"]


def test_only_labelled_and_scored_cases_are_judged(skin):
    table = judged(task(skin, TaskKind.BINARY, 2)).table
    changed = CaseTable(
        **{**vars(table), "label": np.r_[-1, table.label[1:]], "predicted": np.r_[table.predicted[:-1], -1]}
    )
    assert judged_cases(changed).sum() == 398
