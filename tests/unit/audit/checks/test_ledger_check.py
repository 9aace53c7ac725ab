from __future__ import annotations

from dataclasses import replace

import pytest

from whycad.audit.checks import CheckSkippedError, load_check
from whycad.audit.context import AuditOptions
from whycad.audit.findings import Severity
from whycad.audit.ledger import LEDGER_VARIABLE, ledger_path, read_ledger
from whycad.manifest import Weights, WeightsFile
from whycad.testing.audits import AuditRecipe, simulated_context


@pytest.fixture(autouse=True)
def own_file(monkeypatch, tmp_path):
    monkeypatch.setenv(LEDGER_VARIABLE, str(tmp_path / "ledger" / "ledger.jsonl"))


def context(out, purpose="audit", split="val"):
    out.mkdir(exist_ok=True)
    return simulated_context(AuditRecipe(n=50, split=split, options=AuditOptions(n_draws=20, purpose=purpose)), out)


def test_each_run_is_one_use_however_often_it_is_asked(tmp_path, checked):
    first = context(tmp_path / "a")
    assert "has one use of split val;" in checked("ledger", first).findings[0].message
    assert "has one use of split val;" in checked("ledger", first).findings[0].message
    assert "has 2 uses of split val;" in checked("ledger", context(tmp_path / "b")).findings[0].message


@pytest.mark.parametrize(
    ("split", "severity"), [("val", Severity.UNKNOWN), ("test", Severity.OK), ("Test 2", Severity.OK)]
)
def test_a_ledger_that_has_just_begun_vouches_for_a_test_split_only(tmp_path, checked, split, severity):
    (finding,) = checked("ledger", context(tmp_path / "a", split=split)).findings
    day = read_ledger(ledger_path()).entries[0].time_utc[:10]
    assert finding.severity is severity
    assert finding.message == (
        f"The ledger, begun on {day}, has one use of split {split}; what was chosen before is not counted."
    )


def test_a_run_that_goes_on_is_not_counted_twice(tmp_path, checked):
    checked("ledger", context(tmp_path / "a"))
    assert "has one use of split val;" in checked("ledger", context(tmp_path / "a")).findings[0].message


def test_choices_made_on_the_split_are_warned_of(tmp_path, checked, worries):
    checked("ledger", context(tmp_path / "a", "tuning"))
    (finding,) = worries(checked("ledger", context(tmp_path / "b")))
    assert finding.severity is Severity.WARNING
    assert "tuning (once)" in finding.message
    assert worries(checked("ledger", context(tmp_path / "c", split="test"))) == []


def test_a_broken_chain_is_worrying_and_nothing_is_lost(tmp_path, checked, worries):
    checked("ledger", context(tmp_path / "a"))
    path = ledger_path()
    path.write_text(path.read_text().replace('"n": 50', '"n": 51'))
    (finding,) = worries(checked("ledger", context(tmp_path / "b")))
    assert finding.severity is Severity.CRITICAL
    assert "line 1 was changed" in finding.message
    assert [entry.n for entry in read_ledger(path).entries] == [51, 50]


def test_other_weights_are_counted_apart(tmp_path, checked):
    checked("ledger", context(tmp_path / "a"))
    path = ledger_path()
    assert read_ledger(path).entries[0].purpose == "audit"
    other = context(tmp_path / "b")
    weights = Weights(files=(WeightsFile(path="w.safetensors", sha256="1" * 64),))
    manifest = other.manifest.model_copy(update={"weights": weights})
    changed = replace(other, plugin=replace(other.plugin, manifest=manifest))
    vars(changed)["answers"] = other.answers
    assert "has 2 uses of split val, once with this model version;" in checked("ledger", changed).findings[0].message


def test_without_a_named_split_nothing_is_recorded(tmp_path):
    with pytest.raises(CheckSkippedError, match="no named split"):
        load_check("ledger").run(context(tmp_path / "a", split=""))
    assert not ledger_path().exists()


def test_a_ledger_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, checked):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(LEDGER_VARIABLE, str(tmp_path / "file" / "ledger.jsonl"))
    (finding,) = checked("ledger", context(tmp_path / "a")).findings
    assert finding.severity is Severity.UNKNOWN
    assert "could not be recorded" in finding.message
