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


def _summary(finding: Finding) -> AuditSummary:
    return sample_summary().model_copy(update={"findings": (finding,)})


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
    body = {"severity": "warning", "message": message, "column": "ruler_in_image", "level": "no", "label": "melanoma"}
    ratio = {"effect": 0.33, "effect_name": "odds ratio", "no_effect": 1.0, "ci_low": 0.2, "ci_high": 0.5}
    finding = Finding.model_validate({"check": "metadata_label", "share_ratio": 0.33, **body, **ratio})
    assert case_lines(_summary(finding), ("ruler",), {})[0].sentence == message


def test_never_and_always_keep_their_own_words() -> None:
    message = "No image with ruler is melanoma (odds ratio 0.00, 0.00 to 0.02)."
    body = {"severity": "warning", "message": message, "column": "ruler_in_image", "level": "yes", "label": "melanoma"}
    finding = Finding.model_validate({"check": "metadata_label", "effect": 0.0, "effect_name": "odds ratio", **body})
    assert case_lines(_summary(finding), ("ruler",), {})[0].sentence == message


def test_an_image_without_artefacts_has_no_lines() -> None:
    assert case_lines(sample_summary(), (), {"sex": "female", "age_years": 50}) == ()


@pytest.mark.parametrize(
    ("finding", "fact", "told"),
    [
        (("sex", "female"), ("sex", "Female"), True),
        (("sex", "female"), ("sex", "F"), True),
        (("sex", "female"), ("sex", "male"), False),
        (("sex", ""), ("sex", "female"), False),
        (("site", "female"), ("sex", "female"), False),
        (("site", "head neck"), ("site", "head_neck"), True),
        (("site", "trunk"), ("site", "lower trunk"), False),
        (("age_years", "<40"), ("age_years", 39), True),
        (("age_years", "<40"), ("age_years", 40), False),
        (("age_years", "40-59"), ("age_years", 59.5), True),
        (("age_years", "40-59"), ("age_years", 60), False),
        (("age_years", "60+"), ("age_years", 71.0), True),
        (("age_years", "0.5 to <60"), ("age_years", 59), True),
        (("age_years", "0.5 to <60"), ("age_years", 60), False),
        (("age_years", ""), ("age_years", 50), False),
    ],
)
def test_a_fact_is_told_where_a_finding_is_of_its_level(
    finding: tuple[str, str], fact: tuple[str, str | float], told: bool
) -> None:
    column, level = finding
    warned = Finding(
        check="metadata_prediction", severity=Severity.WARNING, message="Worse.", column=column, level=level
    )
    assert bool(case_lines(_summary(warned), (), dict([fact]))) is told


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
