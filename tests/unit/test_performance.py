"""Stored figures: read, matched to a patient, refused when broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whycad.errors import ManifestError
from whycad.performance import FILE_NAME, NOTHING, Subgroup, read_performance


@pytest.mark.parametrize(
    ("field", "value", "metadata", "holds"),
    [
        ("sex", "female", {"sex": "female"}, True),
        ("sex", "female", {"sex": "F"}, True),
        ("sex", "female", {"sex": "male"}, False),
        ("sex", "female", {}, False),
        ("age_years", "40-59", {"age_years": 59.5}, True),
        ("age_years", "40-59", {"age_years": 60.0}, False),
        ("age_band", "40 to 59", {"age_years": 40}, True),
        ("age_years", "<40", {"age_years": 39}, True),
        ("age_years", "<40", {"age_years": 40}, False),
        ("age_years", "80+", {"age_years": 80}, True),
        ("age_years", "80+", {"age_years": 79}, False),
        ("age_years", "40-59", {"age_years": "unknown"}, False),
        ("site", "lower extremity", {"site": "Lower_Extremity"}, True),
        ("site", "back", {"site": "abdomen"}, False),
    ],
)
def test_patient_belongs_to_a_subgroup(field: str, value: str, metadata: dict[str, object], holds: bool) -> None:
    assert Subgroup(field=field, value=value).holds(metadata) is holds  # type: ignore[arg-type]


def test_file_is_read(tmp_path: Path) -> None:
    body = {
        "dataset": "HAM10000 val",
        "n": 1500,
        "training_counts": {"mel": 700, "nv": 5000},
        "per_class": {"mel": {"n": 120, "sensitivity": 0.7, "interval": [0.6, 0.8]}},
        "subgroups": [{"field": "sex", "value": "male", "per_class": {"mel": {"n": 60}}}],
        "operating_points": {"malignant": {"threshold": 0.1, "sensitivity": 0.95, "specificity": 0.7}},
        "later": "unknown keys do no harm",
    }
    (tmp_path / FILE_NAME).write_text(json.dumps(body), encoding="utf-8")
    found = read_performance(tmp_path)
    assert found.training_total == 5700
    assert found.per_class["mel"].established
    (group,) = found.subgroups_of({"sex": "male"})
    assert not group.per_class["mel"].established


def test_no_file_is_nothing_known(tmp_path: Path) -> None:
    assert read_performance(tmp_path) == NOTHING


@pytest.mark.parametrize("text", ["", "{", '{"n": -1}', '{"per_class": {"mel": {"n": 3, "sensitivity": 7}}}'])
def test_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"performance\.json cannot be read"):
        read_performance(tmp_path)
