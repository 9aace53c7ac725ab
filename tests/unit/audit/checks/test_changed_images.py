"""Checks that change images: each catches the task that it is made for and leaves the honest one alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from whycad.audit.checks import CheckSkippedError, load_check
from whycad.audit.checks.robustness import CHECK as ROBUSTNESS
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult, Finding, Severity
from whycad.audit.run.changed import ChangedJob

WORRYING = {Severity.WARNING, Severity.CRITICAL}


def run(check: str, context: AuditContext) -> CheckResult:
    result = context.once(f"test {check}", lambda: load_check(check).run(context))
    assert isinstance(result, CheckResult)
    return result


def about(result: CheckResult, column: str) -> Finding | None:
    return next((one for one in result.findings if one.column == column), None)


def test_an_inserted_artefact_that_the_task_uses_is_worrying(cheat):
    found = about(run("artefact_insertion", cheat), "white_corner")
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert found.label == "above"
    assert 0.1 < found.ci_low < found.effect < found.ci_high
    assert found.cases
    assert found.message.startswith("Inserting white corners raises the probability of label above by 0.")


def test_an_inserted_artefact_that_the_task_does_not_see_is_fine(honest):
    result = run("artefact_insertion", honest)
    assert about(result, "white_corner") is None
    fine = next(one for one in result.findings if one.severity is Severity.OK)
    assert "white corners" in fine.message


def test_pictures_of_the_clearest_cases_lie_in_the_audits_folder(cheat):
    result = run("artefact_insertion", cheat)
    assert result.pictures[0].caption == "As it is"
    for picture in result.pictures:
        with Image.open(cheat.out / picture.file) as image:
            assert max(image.size) <= 256


def test_few_images_establish_nothing(cheat):
    strict = replace(cheat, options=replace(cheat.options, least_n=100), shared={})
    result = run("artefact_insertion", strict)
    assert {one.severity for one in result.findings} == {Severity.UNKNOWN}
    assert "44 of the 100 images" in result.findings[0].message


def test_what_was_computed_once_is_not_computed_again(cheat, monkeypatch):
    first = run("artefact_insertion", cheat)

    def fail(_job: ChangedJob) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(ChangedJob, "open", fail)
    assert load_check("artefact_insertion").run(replace(cheat, shared={})) == first


def test_removing_an_artefact_that_the_task_uses_is_worrying(cheat):
    found = about(run("artefact_removal", cheat), "white_corner")
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert found.effect < -0.1
    assert "lowers the probability of label above" in found.message


def test_removing_an_artefact_that_the_task_does_not_see_is_fine(honest):
    result = run("artefact_removal", honest)
    assert about(result, "white_corner") is None
    assert any(one.severity is Severity.OK for one in result.findings)


def test_a_task_that_knows_the_label_from_the_background_is_worrying(cheat):
    found = about(run("region_only", cheat), "background")
    assert found is not None
    assert found.severity in WORRYING
    assert found.ci_low > 0.5


def test_a_task_that_needs_the_finding_is_fine_without_it(honest):
    found = about(run("region_only", honest), "background")
    assert found is not None
    assert found.severity is Severity.OK
    assert found.ci_low <= 0.5 <= found.ci_high or found.effect < 0.6


def test_maps_that_lie_in_an_artefact_are_worrying(cheat):
    found = about(run("map_in_artefact", cheat), "white_corner")
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert found.ci_low > 0
    assert "if the map is shifted elsewhere" in found.message


def test_maps_that_keep_clear_of_an_artefact_are_fine(honest):
    assert not {one.severity for one in run("map_in_artefact", honest).findings} & WORRYING


def test_a_group_of_maps_that_goes_with_an_artefact_is_found(cheat):
    result = run("attribution_cluster", cheat)
    found = about(result, "white_corner")
    assert found is not None
    assert found.severity in WORRYING
    assert found.ci_low > 1
    assert found.cases
    assert len(result.pictures) >= 2


def test_maps_of_an_honest_task_show_no_group_that_goes_with_an_artefact(honest):
    found = about(run("attribution_cluster", honest), "white_corner")
    assert found is None


def test_errors_that_are_reported_unnoticed_are_worrying(dazzled):
    found = about(run("robustness", dazzled), "brightness")
    assert found is not None
    assert found.severity in WORRYING
    assert found.effect < -0.05


def test_a_task_that_does_not_mind_the_light_is_not_accused_of_it(honest):
    result = run("robustness", honest)
    assert about(result, "brightness") is None


def test_worse_images_are_told_as_curves_with_intervals(honest):
    result = run("robustness", honest)
    accuracy = next(chart for chart in result.charts if chart.key == "balanced_accuracy")
    assert len(accuracy.series) == 9
    assert [mark.x for mark in accuracy.series[0].marks] == [0, 1, 2, 3, 4, 5]
    assert all(mark.low is not None for mark in accuracy.series[0].marks)
    withheld = next(chart for chart in result.charts if chart.key == "withheld")
    assert len(withheld.series) == 9


def test_scanners_named_in_the_metadata_are_compared(honest):
    result = run("robustness", honest)
    assert any(table.key == "acquisition" for table in result.tables)
    assert ROBUSTNESS.question


def test_maps_are_graded_on_the_audited_images(honest):
    few = replace(honest, options=replace(honest.options, n_explained=10), shared={})
    result = run("explanation", few)
    found = about(result, "ig")
    assert found is not None
    assert found.n == 10
    assert found.ci_low is not None
    assert "hiding what the map marks lowers the score" in found.message
    assert "of its range" in found.message
    assert "these images" in found.message


def test_maps_are_not_graded_without_enough_images_or_stored_grades(honest):
    none = replace(honest, options=replace(honest.options, n_explained=5), shared={})
    with pytest.raises(CheckSkippedError, match="stored no grades"):
        run("explanation", none)
