"""The schema on file is that of the code, and what an audit writes keeps to it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from whycad.audit.checks import ALL_CHECKS
from whycad.audit.findings import SCHEMA_VERSION
from whycad.audit.report.schema import audit_schema


def test_the_schema_on_file_is_current(repo: Path) -> None:
    on_file = (repo / "docs" / "audit.schema.json").read_text(encoding="utf-8")
    assert on_file == audit_schema(), "run `whycad audit-report --schema docs/audit.schema.json`"


def test_what_is_written_keeps_to_the_schema(sample_folder: Path) -> None:
    check = jsonschema.Draft202012Validator(json.loads(audit_schema()))
    files = [sample_folder / "audit.json", *(sample_folder / "checks").glob("*.json")]
    assert len(files) > 10
    for file in files:
        check.validate(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("key", "value"), [("severity", "bad"), ("n", "many"), ("unheard_of", 1), ("cases", ["x"] * 201), ("message", None)]
)
def test_the_schema_refuses_a_broken_finding(sample_folder: Path, key: str, value: object) -> None:
    body = json.loads((sample_folder / "audit.json").read_text(encoding="utf-8"))
    body["findings"][0][key] = value
    assert not jsonschema.Draft202012Validator(json.loads(audit_schema())).is_valid(body)


def test_the_documentation_names_every_check_and_the_version(repo: Path) -> None:
    text = (repo / "docs" / "audit.md").read_text(encoding="utf-8")
    assert not [check for check in ALL_CHECKS if f"| `{check}` |" not in text]
    assert f"`schema_version` is {SCHEMA_VERSION}." in text
