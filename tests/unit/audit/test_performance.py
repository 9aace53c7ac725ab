"""The figures of the model card, on cases small enough to count and large enough to know."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from whycad.audit.performance import Evaluation, evaluate
from whycad.audit.predictions import Predictions
from whycad.errors import DatasetError
from whycad.manifest import load_manifest
from whycad.performance import Performance


@pytest.fixture(scope="module")
def manifest(repo):
    return load_manifest(repo / "plugins" / "skin_lesion")


def made(manifest, n=300, seed=0, groups=None):
    """Return cases whose labels are drawn from the model's own probabilities: calibrated by construction."""
    rng = np.random.default_rng(seed)
    codes = manifest.label_codes
    probabilities = rng.dirichlet(np.full(len(codes), 0.4), n)
    labels = np.array([rng.choice(len(codes), p=p) for p in probabilities])
    order = np.argsort(-probabilities, axis=1)
    in_set = np.zeros_like(probabilities, bool)
    np.put_along_axis(in_set, order[:, :2], True, axis=1)
    return Predictions(
        codes=codes,
        row=np.arange(n),
        group=np.array([f"g{i}" for i in (np.arange(n) if groups is None else groups)]),
        label=labels,
        predicted=order[:, 0],
        probabilities=probabilities,
        in_set=in_set,
        decision=np.where(probabilities.max(axis=1) > 0.6, "report", "refer"),
        epistemic=np.zeros(n),
        aleatoric=np.zeros(n),
    )


@pytest.fixture(scope="module")
def cases(manifest):
    return made(manifest)


@pytest.fixture(scope="module")
def found(cases, manifest):
    metadata = [
        {"sex": "female" if row % 3 else "male", "age_years": 20.0 + row % 60, "site": "ear" if row == 0 else "back"}
        for row in cases.row
    ]
    evaluation = Evaluation("set", "val", "whycad", {"malignant": 0.3}, {"mel": 10}, metadata, n_draws=200)
    return evaluate(cases, manifest, evaluation)


def value(found, name):
    return found["metrics"][name]["value"]


def test_ranking_and_accuracy_are_scikit_learns(cases, found):
    assert value(found, "macro_auroc") == pytest.approx(
        roc_auc_score(cases.label, cases.probabilities, multi_class="ovr", average="macro")
    )
    assert value(found, "balanced_accuracy") == pytest.approx(balanced_accuracy_score(cases.label, cases.predicted))
    assert value(found, "accuracy") == pytest.approx((cases.label == cases.predicted).mean())
    low, high = found["metrics"]["macro_auroc"]["interval"]
    assert low < value(found, "macro_auroc") < high


def test_a_calibrated_model_has_no_excess_error(found):
    assert abs(value(found, "ece_excess")) < 0.03
    assert value(found, "ece_excess") == pytest.approx(value(found, "ece") - value(found, "ece_expected"))


def test_sets_are_counted_per_class(cases, found):
    assert value(found, "mean_set_size") == 2
    coverages = []
    for index, code in enumerate(cases.codes):
        mask = cases.label == index
        coverages.append(cases.in_set[mask, index].mean())
        assert found["per_class"][code]["coverage"] == pytest.approx(coverages[-1])
        assert found["per_class"][code]["n"] == mask.sum()
    assert value(found, "macro_coverage") == pytest.approx(np.mean(coverages))
    nv = found["per_class"]["nv"]
    textbook = np.sqrt(nv["coverage"] * (1 - nv["coverage"]) / nv["n"])
    assert nv["coverage_se"] == pytest.approx(textbook, rel=0.2)


def test_shares_of_decisions_add_up(found):
    assert sum(value(found, f"share_{kind}") for kind in ("report", "refer", "reject")) == pytest.approx(1)
    assert value(found, "accuracy_reported") > value(found, "accuracy")


def test_operating_points_judge_the_summed_probability(cases, found, manifest):
    members = [cases.codes.index(code) for code in manifest.operating_points[0].labels]
    positive = np.isin(cases.label, members)
    flagged = cases.probabilities[:, members].sum(axis=1) >= 0.3
    point = found["operating_points"]["malignant"]
    assert point["sensitivity"] == pytest.approx(flagged[positive].mean())
    assert point["specificity"] == pytest.approx((~flagged)[~positive].mean())
    assert (point["n_positive"], point["n_negative"]) == (positive.sum(), (~positive).sum())


def test_subgroups_count_their_own_and_small_ones_are_left_out(cases, found):
    by_name = {(group["field"], group["value"]): group for group in found["subgroups"]}
    assert ("site", "ear") not in by_name
    assert {("sex", "female"), ("sex", "male"), ("age_years", "<40"), ("age_years", "60+")} <= by_name.keys()
    men = cases.select(cases.row % 3 == 0)
    group = by_name["sex", "male"]
    assert group["n"] == len(men)
    mel = cases.codes.index("mel")
    assert group["per_class"]["mel"]["sensitivity"] == pytest.approx((men.predicted == mel)[men.label == mel].mean())


def test_the_app_can_read_what_is_written(found):
    stored = Performance.model_validate(found)
    assert stored.n == 300
    assert stored.training_counts == {"mel": 10}
    assert stored.subgroups_of({"sex": "female", "age_years": 35.0})
    assert stored.operating_points["malignant"].threshold == 0.3


def test_a_class_that_is_absent_is_left_out_of_means(cases, manifest):
    part = cases.select(cases.label != cases.codes.index("df"))
    found = evaluate(part, manifest, Evaluation(n_draws=20))
    assert found["per_class"]["df"] == {"n": 0, "n_groups": 0}
    aurocs = [figures["auroc"] for figures in found["per_class"].values() if "auroc" in figures]
    assert len(aurocs) == 6
    assert value(found, "macro_auroc") == pytest.approx(np.mean(aurocs))


def test_rows_without_a_label_are_counted_and_left_out(cases, manifest, found):
    label = cases.label.copy()
    label[::2] = -1
    part = evaluate(replace(cases, label=label), manifest, Evaluation(n_draws=20))
    assert (part["n"], part["n_without_label"]) == (150, 150)
    with pytest.raises(DatasetError, match="no row"):
        evaluate(replace(cases, label=np.full(300, -1)), manifest, Evaluation())


def test_groups_widen_intervals(manifest, cases):
    def width(groups):
        group = np.array([f"g{i}" for i in groups])
        found = evaluate(replace(cases, group=group), manifest, Evaluation(n_draws=200))
        low, high = found["metrics"]["accuracy"]["interval"]
        return found["n_groups"], high - low

    order = np.argsort(cases.predicted == cases.label)
    alike = np.empty(300, int)
    alike[order] = np.arange(300) // 10
    assert width(alike)[0] == 30
    assert width(alike)[1] > 2 * width(np.arange(300))[1]


def test_an_uncovered_class_shows(cases, manifest):
    in_set = cases.in_set.copy()
    mel = cases.codes.index("mel")
    in_set[:, mel] = False
    found = evaluate(replace(cases, in_set=in_set), manifest, Evaluation(n_draws=20))
    assert found["per_class"]["mel"]["coverage"] == 0
    assert found["per_class"]["mel"]["coverage_interval"][1] > 0
