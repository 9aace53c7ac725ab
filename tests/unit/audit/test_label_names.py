"""Labels are said by the task's names, and by the data set's where there is no task."""

from __future__ import annotations

from dataclasses import fields as fields_of
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whycad.audit.context import AuditContext
from whycad.audit.data.cases import AuditCases, MetadataColumn
from whycad.audit.judged import Judged
from whycad.plugin import Plugin, load_plugin


@pytest.fixture(scope="module")
def plugins(repo) -> dict[str, Plugin]:
    return {name: load_plugin(repo / "plugins" / name) for name in ("skin_lesion", "liver_fibrosis")}


def context(plugin: Plugin | None) -> AuditContext:
    given: dict[str, Any] = {field.name: None for field in fields_of(AuditContext)}
    return AuditContext(**(given | {"plugin": plugin, "shared": {}}))


def test_a_label_has_the_tasks_name(plugins) -> None:
    assert context(plugins["skin_lesion"]).said("akiec") == "actinic keratosis"
    assert context(plugins["liver_fibrosis"]).said("F2") == "F2"


def test_without_a_task_or_of_another_task_it_has_the_data_sets_own(plugins) -> None:
    assert context(None).said("seborrheic_keratosis") == "seborrheic keratosis"
    assert context(plugins["skin_lesion"]).said("no_finding") == "no finding"


def test_operating_points_write_labels_as_the_task_does(plugins) -> None:
    manifest = plugins["liver_fibrosis"].manifest
    facts = SimpleNamespace(manifest=manifest, answers=SimpleNamespace(codes=manifest.label_codes))
    judged = Judged(cast(AuditContext, facts), np.arange(0))
    assert judged.point_name("at_least_f2") == "at least F2"
    assert judged.said("F4") == "F4"


def test_columns_that_tell_the_label_by_right_are_left_out_and_named() -> None:
    ids = np.array(["1", "2"])
    columns = tuple(MetadataColumn(name, "number", np.array([1.0, 2.0])) for name in ("rating", "age"))
    cases = AuditCases("set", ids, ids, ids, ids, columns)
    kept = cases.without(("rating", "absent"))
    assert [column.name for column in kept.columns] == ["age"]
    assert kept.warnings == ("columns that tell the label by right were left out: rating",)
    assert cases.without(("absent",)) is cases


def test_a_task_names_such_columns(plugins, repo) -> None:
    fields = load_plugin(repo / "plugins" / "lung_nodule").manifest.audit.label_fields
    ids = np.array(["1"])
    columns = tuple(
        MetadataColumn(name, "number", np.array([1.0])) for name in ("malignancy_mean", "reader_diameter_mm")
    )
    dataset = SimpleNamespace(cases=AuditCases("set", ids, ids, ids, ids, columns))
    given: dict[str, Any] = {field.name: None for field in fields_of(AuditContext)}
    lung = AuditContext(**(given | {"plugin": load_plugin(repo / "plugins" / "lung_nodule"), "dataset": dataset}))
    assert "malignancy_mean" in fields
    assert [column.name for column in lung.cases.columns] == ["reader_diameter_mm"]
