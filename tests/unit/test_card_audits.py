from __future__ import annotations

import pytest

from whycad.card_audits import CardAudit, CardFinding, add_audit, audit_block, read_audits, with_audit_section
from whycad.errors import ManifestError

WEIGHTS = "a" * 64


def audit(**changes):
    facts = {
        "run": "run-1", "dataset": "Set", "split": "val", "created_utc": "2026-01-02T03:04:05+00:00",
        "command": "whycad audit", "weights_sha256": WEIGHTS, "n": 1500, "split_uses": 3,
        "counts": {"critical": 1, "ok": 2},
        "findings": (CardFinding(severity="critical", check="slice", message="Bad."),),
    }  # fmt: skip
    return CardAudit(**{**facts, **changes})


def test_the_block_names_run_data_and_findings():
    text = audit_block([audit()], WEIGHTS)
    assert "### Audit of Set, split `val`: 1 worrying, 0 look closer, 0 not established, 2 fine" in text
    assert "Run `run-1` of 2026-01-02, 1,500 images" in text
    assert "used 3 times" in text
    assert "| worrying | slice | Bad. |" in text


def test_findings_of_other_weights_are_marked():
    assert "other weights" in audit_block([audit()], "b" * 64)
    assert "other weights" not in audit_block([audit()], WEIGHTS)


def test_simulated_cases_are_called_so():
    assert "simulated" in audit_block([audit(simulated=True)], WEIGHTS)


def test_names_from_a_table_cannot_act_in_the_card():
    hostile = CardFinding(severity="warning", check="subgroup", message="a | b <img onerror=x> `c`\n| d |[e](http://f)")
    line = audit_block([audit(findings=(hostile,))], WEIGHTS).splitlines()[-1]
    assert line.count("|") == 4
    assert not set(line) & set("<>`[]")


def test_one_audit_is_kept_per_data_and_split(tmp_path):
    add_audit(tmp_path, audit())
    add_audit(tmp_path, audit(split="test"))
    add_audit(tmp_path, audit(run="run-2"))
    assert [(one.split, one.run) for one in read_audits(tmp_path).audits] == [("test", "run-1"), ("val", "run-2")]


def test_a_broken_file_is_said_to_be(tmp_path):
    assert read_audits(tmp_path).audits == ()
    (tmp_path / "audits.json").write_text("{")
    with pytest.raises(ManifestError, match=r"audits\.json"):
        read_audits(tmp_path)


def test_a_card_gets_one_place_for_audits_before_its_known_faults():
    card = "---\nid: x\n---\n# T\n\n## What is known to be wrong with it\n\nMuch.\n"
    once = with_audit_section(card)
    assert once.index("audit: generated") < once.index("## What is known")
    assert with_audit_section(once) == once
    assert with_audit_section("# T\n").count("audit: generated") == 1
