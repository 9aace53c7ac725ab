"""Checks of a model's answers: silent without a fault, and each sees the fault that is planted for it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from whycad.audit.checks import CheckSkippedError, load_check
from whycad.audit.context import AuditOptions
from whycad.audit.findings import Severity
from whycad.testing.audits import AuditRecipe, context_of, simulated_context, with_facts

OF_ANSWERS = (
    "performance", "calibration", "imbalance", "subgroup", "slice", "metadata_prediction", "feature_probe",
    "matched_performance",
)  # fmt: skip


def recipe(**changes):
    return AuditRecipe(options=AuditOptions(n_draws=200), **changes)


@pytest.mark.parametrize("name", [name for name in OF_ANSWERS if name != "imbalance"])
def test_a_model_without_faults_worries_no_check(name, clean, checked, worries):
    assert worries(checked(name, clean)) == []


@pytest.mark.parametrize("name", OF_ANSWERS)
def test_twenty_cases_establish_nothing(name, tiny, checked, worries):
    result = checked(name, tiny)
    assert worries(result) == []
    assert any(finding.severity is Severity.UNKNOWN for finding in result.findings)


@pytest.mark.parametrize("name", OF_ANSWERS)
def test_without_a_label_a_check_is_skipped(name, clean):
    cases = replace(clean.cases, labels=np.full(len(clean.cases), ""))
    context = context_of(cases, clean.answers.members, clean.out, clean.options)
    with pytest.raises(CheckSkippedError, match="no row has both"):
        load_check(name).run(context)


@pytest.mark.parametrize("name", OF_ANSWERS)
def test_one_class_only_is_no_error(name, small, checked):
    cases = replace(small.cases, labels=np.full(len(small.cases), "c0"))
    context = context_of(cases, small.answers.members, small.out, small.options)
    checked(name, with_facts(context, small.features, small.facts))


@pytest.mark.parametrize("name", ["subgroup", "metadata_prediction", "feature_probe", "matched_performance"])
def test_without_metadata_a_check_is_skipped(name, clean):
    context = context_of(replace(clean.cases, columns=()), clean.answers.members, clean.out, clean.options)
    vars(context)["features"] = clean.features
    with pytest.raises(CheckSkippedError, match="no metadata"):
        load_check(name).run(context)


def test_performance_is_what_sklearn_says(clean, checked):
    metrics = checked("performance", clean).metrics
    answers = clean.answers
    assert metrics["macro_auroc"]["value"] == pytest.approx(roc_auc_score(answers.label, answers.probabilities[:, 1]))
    expected = balanced_accuracy_score(answers.label, answers.predicted)
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(expected)
    assert metrics["macro_auroc"]["ci_low"] < metrics["macro_auroc"]["value"] < metrics["macro_auroc"]["ci_high"]
    assert metrics["macro_auroc"]["n"] == 700


def test_a_model_that_knows_nothing_is_worrying(tmp_path, checked):
    result = checked("performance", simulated_context(recipe(signal=0.02), tmp_path))
    assert result.findings[0].severity is Severity.CRITICAL


def test_many_images_of_few_groups_are_said_to_be_few(tmp_path, checked):
    result = checked("performance", simulated_context(recipe(n=200, cases_per_group=10), tmp_path))
    assert any("only 20 groups (200 images)" in finding.message for finding in result.findings)


def test_a_promised_sensitivity_that_is_missed_is_worrying(tmp_path, checked, worries):
    found = worries(checked("performance", simulated_context(recipe(signal=0.5, prevalence=(0.8, 0.2)), tmp_path)))
    assert any("the threshold for severe" in finding.message and "short of" in finding.message for finding in found)


def test_a_threshold_and_the_answer_given_are_told_apart(clean, checked):
    (point,) = [f for f in checked("performance", clean).findings if f.message.startswith("Operating point")]
    assert "the threshold for severe has a sensitivity of" in point.message
    (rarest,) = [f for f in checked("imbalance", clean).findings if "rarest class" in f.message and "n = " in f.message]
    assert rarest.message.startswith("Sensitivity of the answer given, for the rarest class, class 1, is")
    assert point.effect_name != rarest.effect_name


def test_a_calibration_error_is_told_with_what_chance_gives(clean, checked):
    finding = checked("calibration", clean).findings[0]
    told = re.match(r"Calibration error is ([\d.]+), where chance alone gives ([\d.]+): ", finding.message)
    error, chance = told.groups()
    assert float(error) - float(chance) == pytest.approx(finding.effect, abs=0.002)
    assert finding.effect_name == "calibration error beyond chance"


def test_cases_without_an_answer_are_counted(small, checked):
    context = context_of(small.cases, small.answers.members, small.out, small.options)
    predicted, probabilities = context.answers.predicted.copy(), context.answers.members.copy()
    predicted[:3], probabilities[:, :3] = -1, np.nan
    vars(context)["answers"] = replace(context.answers, predicted=predicted, members=probabilities)
    (finding,) = [f for f in checked("performance", context).findings if "got no answer" in f.message]
    assert finding.message == "3 of 130 cases got no answer (0 failed, 3 refused)."


def test_cells_of_the_confusion_matrix_open_their_cases(clean, checked):
    (chart,) = [chart for chart in checked("performance", clean).charts if chart.kind == "heatmap"]
    answers = clean.answers
    for mark in chart.series[0].marks:
        inside = (answers.label == int(mark.y[-1])) & (answers.predicted == int(mark.x[-1]))
        assert mark.n == inside.sum()
        assert set(mark.cases) <= set(clean.cases.ids[inside])


def test_curves_have_no_more_than_120_points(clean, checked):
    for chart in checked("performance", clean).charts:
        assert all(len(series.marks) <= 120 for series in chart.series)


def test_too_sure_a_model_is_found_with_its_direction(faulty, checked, worries):
    messages = [finding.message for finding in worries(checked("calibration", faulty))]
    assert any("too sure" in message for message in messages)


def test_sets_that_fail_at_one_site_are_found(faulty, checked, worries):
    assert any(finding.column == "site" for finding in worries(checked("calibration", faulty)))


def test_referral_that_buys_nothing_is_found(clean, checked, worries):
    context = context_of(clean.cases, clean.answers.members, clean.out, clean.options)
    decision = np.where(np.arange(len(clean.cases)) % 2, "report", "refer")
    vars(context)["answers"] = replace(context.answers, decision=decision)
    assert any("Referral does not" in finding.message for finding in worries(checked("calibration", context)))


def test_accuracy_that_the_majority_beats_is_found(tmp_path, checked, worries):
    context = simulated_context(recipe(prevalence=(0.95, 0.05), signal=0.3, n=800), tmp_path)
    found = worries(checked("imbalance", context))
    assert any("always answering class 0" in finding.message for finding in found)
    assert any("times as common" in finding.message for finding in found)


def test_a_better_threshold_is_advised_and_measured_on_other_groups(tmp_path, checked, worries):
    context = simulated_context(recipe(prevalence=(0.85, 0.15), n=1200), tmp_path)
    (advice,) = [f for f in worries(checked("imbalance", context)) if "Another rule" in f.message]
    assert advice.ci_low > 0


def test_a_site_that_is_read_badly_is_found_by_subgroup_and_slice(faulty, checked, worries):
    gaps = [f for f in worries(checked("subgroup", faulty)) if f.column == "site"]
    assert any("lower in images with site hand than in the others" in finding.message for finding in gaps)
    worst = [f for f in worries(checked("slice", faulty)) if "site" in f.column]
    assert "site hand" in worst[0].message
    sites = faulty.cases.column("site").values
    chosen = np.isin(faulty.cases.ids, worst[0].cases)
    assert (sites[chosen] == "hand").all()


def test_only_the_worse_side_of_a_gap_is_a_finding_and_charts_mark_it_alike(faulty, checked, worries):
    result = checked("subgroup", faulty)
    found = worries(result)
    assert found
    assert all(finding.effect < 0 and " is lower in images " in finding.message for finding in found)
    told = {(finding.column, finding.label, finding.effect_name) for finding in found if " and " not in finding.column}
    assert len(told) == len([finding for finding in found if " and " not in finding.column])
    (chart,) = [chart for chart in result.charts if chart.key == "gaps"]
    marks = chart.series[0].marks
    worried = [mark for mark in marks if mark.severity is not Severity.OK]
    assert all(mark.x < 0 for mark in worried)
    assert {(finding.effect, finding.severity) for finding in found} <= {(mark.x, mark.severity) for mark in worried}
    (table,) = [table for table in result.tables if table.key == "gaps"]
    place = [column.key for column in table.columns].index("gap")
    assert any(row[place] > 0.05 for row in table.rows), "the better side stays in the table"


def test_what_is_only_better_is_told_from_the_others(clean, checked, worries):
    answers, site = clean.answers, clean.cases.column("site").values
    rng = np.random.default_rng(0)
    wrong = (site != "back") & (answers.label == 0) & (rng.random(len(site)) < 0.35)
    context = context_of(clean.cases, answers.members, clean.out, clean.options)
    best = np.where(site == "back", answers.label, answers.predicted)
    vars(context)["answers"] = replace(context.answers, predicted=np.where(wrong, 1, best))
    found = [f for f in worries(checked("subgroup", context)) if f.column == "site" and f.label == "c0"]
    assert all(f.effect < 0 for f in found)
    behind = np.isin(clean.cases.ids, [case for f in found for case in f.cases])
    assert behind.any()
    assert not (site[behind] == "back").any()


def test_fairlearns_largest_difference_is_the_difference_of_the_levels(faulty, checked):
    tables = {table.key: table for table in checked("subgroup", faulty).tables}
    accuracy = [row[3] for row in tables["levels"].rows if row[0] == "site"]
    (row,) = [row for row in tables["columns"].rows if row[:2] == ("site", "Accuracy")]
    assert row[2] == pytest.approx(max(accuracy) - min(accuracy))
    assert row[3] <= row[2] <= row[4]


def test_a_shortcut_is_found_with_its_direction(faulty, checked, worries):
    (finding,) = [f for f in worries(checked("metadata_prediction", faulty)) if f.column == "ruler"]
    assert finding.severity is Severity.CRITICAL
    assert finding.label == "c1"
    assert "higher with ruler" in finding.message
    assert finding.level == "yes"
    assert finding.effect > 0.15


def test_a_column_that_goes_with_the_label_is_not_called_used(tmp_path, checked, worries):
    context = simulated_context(recipe(ruler_share=(0.9, 0.1), ruler_use=0.0, n=900), tmp_path)
    assert worries(checked("metadata_prediction", context)) == []
    assert worries(checked("matched_performance", context)) == []


def test_features_that_know_an_artefact_are_worrying_only_where_answers_follow(faulty, tmp_path, checked, worries):
    (finding,) = [f for f in worries(checked("feature_probe", faulty)) if f.column == "ruler"]
    assert "more clearly than the picture alone" in finding.message
    knows = simulated_context(recipe(ruler_in_features=3.0, n=300, columns=("ruler",)), tmp_path)
    result = checked("feature_probe", knows)
    assert worries(result) == []
    assert any("Features know of ruler" in finding.message for finding in result.findings)


def test_what_shows_in_the_picture_is_said_to(tmp_path, checked):
    result = checked(
        "feature_probe", simulated_context(recipe(ruler_in_image=4.0, n=300, columns=("ruler",)), tmp_path)
    )
    (row,) = [row for row in result.tables[0].rows if row[0] == "ruler"]
    from_features, from_image = row[3], row[6]
    assert from_features < 0.7 < from_image


def test_the_auroc_falls_where_the_shortcut_points_the_wrong_way(faulty, checked, worries):
    (finding,) = [f for f in worries(checked("matched_performance", faulty)) if f.column == "ruler"]
    assert finding.severity is Severity.CRITICAL
    assert finding.level == "yes"
    assert finding.ci_low > 0.05
    ruler = faulty.cases.column("ruler").values == "yes"
    positive = faulty.answers.label == 1
    conflict = positive != ruler
    assert finding.n == conflict.sum()
    table = checked("matched_performance", faulty).tables[0]
    column = [column.key for column in table.columns].index("conflicting")
    (row,) = [row for row in table.rows if row[1] == "ruler"]
    expected = roc_auc_score(positive[conflict], faulty.answers.probabilities[conflict, 1])
    assert row[column] == pytest.approx(expected)
