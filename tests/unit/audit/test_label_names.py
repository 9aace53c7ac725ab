"""Labels are said by the task's names, and by the data set's where there is no task."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whycad.audit.context import AuditContext
from whycad.audit.judged import Judged
from whycad.plugin import Plugin, load_plugin


@pytest.fixture(scope="module")
def plugins(repo) -> dict[str, Plugin]:
    return {name: load_plugin(repo / "plugins" / name) for name in ("skin_lesion", "liver_fibrosis")}


def context(plugin: Plugin | None) -> AuditContext:
    given: dict[str, Any] = {field.name: None for field in fields(AuditContext)}
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
