"""What an audit says of one image."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycad.audit.case_lines import AuditSummary, case_lines, latest_summary, packaged_summary, summary_of
from whycad.audit.findings import Finding, Severity
from whycad.audit.run.record import RunRecord, write_record
from whycad.errors import ManifestError
from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.testing.sample_audit import sample_audit, write_sample_audit

NAMES = {"melanoma": "Melanoma"}


def sample_summary() -> AuditSummary:
    found = summary_of(sample_audit())
    assert found is not None
    return found


def test_an_artefact_in_the_image_is_worded_with_its_interval() -> None:
    lines = case_lines(sample_summary(), ("hair", "ruler", "patches"), {}, lambda code: NAMES.get(code, code))
    assert [line.what for line in lines] == ["coloured patch", "ruler"], "the worrying one first; hair has no finding"
    assert lines[0].sentence == (
        "Melanoma was 16 times rarer with one (odds ratio 0.06 (0.02 to 0.19)). "
        "A coloured patch lowers the probability of melanoma by 0.19 (0.14 to 0.24)."
    )
    assert lines[0].artefact == "patches"
    assert "2.4 times commoner" in lines[1].sentence


def test_a_level_other_than_present_keeps_its_own_words() -> None:
    message = "Melanoma is 3.0 times rarer in images whose ruler is no (odds ratio 0.33, 0.2 to 0.5)."
    body = {"severity": "warning", "message": message, "column": "ruler_in_image", "label": "melanoma"}
    ratio = {"effect": 0.33, "effect_name": "odds ratio", "no_effect": 1.0, "ci_low": 0.2, "ci_high": 0.5}
    finding = Finding.model_validate({"check": "metadata_label", **body, **ratio})
    summary = sample_summary().model_copy(update={"findings": (finding,)})
    assert case_lines(summary, ("ruler",), {})[0].sentence == message


def test_an_image_without_artefacts_has_no_lines() -> None:
    assert case_lines(sample_summary(), (), {"sex": "female", "age_years": 50}) == ()


@pytest.mark.parametrize(
    ("column", "message", "value", "told"),
    [
        ("sex=female", "Worse.", "female", True),
        ("sex", "AUC is lower in female patients.", "Female", True),
        ("sex", "AUC is lower in female patients.", "male", False),
        ("site", "AUC is lower in female patients.", "female", False),
    ],
)
def test_a_fact_of_the_patient_is_told_where_a_finding_names_its_value(
    column: str, message: str, value: str, told: bool
) -> None:
    finding = Finding(check="metadata_prediction", severity=Severity.WARNING, message=message, column=column)
    summary = sample_summary().model_copy(update={"findings": (finding,)})
    assert bool(case_lines(summary, (), {"sex": value})) is told


@pytest.mark.parametrize(
    ("message", "value", "told"),
    [
        ("higher with age years <40 by +0.06.", 39, True),
        ("higher with age years <40 by +0.06.", 40, False),
        ("higher with age years 40-59 by +0.06.", 59.5, True),
        ("higher with age years 40-59 by +0.06.", 60, False),
        ("higher with age years 60+ by +0.06.", 71.0, True),
        ("rarer in images whose age years is 0.5 to <60 (odds ratio 0.5).", 59, True),
        ("rarer in images whose age years is 0.5 to <60 (odds ratio 0.5).", 60, False),
        ("Among 50 cases of the same age.", 50, False),
    ],
)
def test_a_number_is_told_of_where_a_finding_names_a_range_that_holds_it(message, value, told) -> None:
    finding = Finding(check="metadata_prediction", severity=Severity.WARNING, message=message, column="age_years")
    summary = sample_summary().model_copy(update={"findings": (finding,)})
    assert bool(case_lines(summary, (), {"age_years": value})) is told


def test_a_summary_holds_no_case_ids_and_none_is_made_of_samples_or_data_alone() -> None:
    assert all(not finding.cases for finding in sample_summary().findings)
    assert summary_of(sample_audit("data")) is None
    audit = sample_audit()
    of_samples = audit.model_copy(update={"data": audit.data.model_copy(update={"kind": "samples"})})
    assert summary_of(of_samples) is None


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return write_plugin(tmp_path / "plugins", TinyPlugin(more='[audit]\nsummary = "audit.json"\n'))


def summary_for(plugin: Plugin, when: str, weights: str = "") -> AuditSummary:
    facts = {"task": plugin.id, "weights_sha256": weights or plugin.weights_sha256, "created_utc": when}
    return sample_summary().model_copy(update=facts)


def test_the_latest_audit_of_these_very_weights_counts(plugin: Plugin, tmp_path: Path) -> None:
    audits = tmp_path / "audits"
    assert latest_summary(plugin, audits) is None
    packaged = plugin.audit_path()
    assert packaged is not None
    packaged.write_text(summary_for(plugin, "2026-01-01").model_dump_json())
    assert latest_summary(plugin, audits) == summary_for(plugin, "2026-01-01")
    packaged.write_text(summary_for(plugin, "2026-01-01", weights="0" * 64).model_dump_json())
    assert latest_summary(plugin, audits) is None, "other weights say nothing of these"
    audit = write_sample_audit(audits / "own")
    assert audit.model is not None
    model = audit.model.model_copy(update={"task": plugin.id, "weights_sha256": plugin.weights_sha256})
    (audits / "own" / "audit.json").write_text(audit.model_copy(update={"model": model}).model_dump_json())
    write_record(RunRecord(dataset=tmp_path, task=plugin.id), audits / "own")
    found = latest_summary(plugin, audits)
    assert found is not None
    assert found.created_utc == audit.run.created_utc


def test_a_broken_summary_is_named(plugin: Plugin) -> None:
    path = plugin.audit_path()
    assert path is not None
    path.write_text("{")
    with pytest.raises(ManifestError, match=r"audit\.json cannot be read"):
        packaged_summary(plugin)


@pytest.mark.parametrize(("value", "told"), [("trunk", False), ("face", True)])
def test_what_holds_of_the_others_is_told_of_them(value: str, told: bool) -> None:
    message = "Sensitivity for melanoma is lower in images other than those with site trunk, by -0.20 (-0.30 to -0.10)."
    body = {"check": "subgroup", "severity": "warning", "message": message, "column": "site"}
    summary = sample_summary().model_copy(update={"findings": (Finding.model_validate(body),)})
    assert bool(case_lines(summary, (), {"site": value})) is told
