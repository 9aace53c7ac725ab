"""An audit's figures and findings on their way into a model card."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from whycad.audit.audit_performance import performance_of, write_performance
from whycad.audit.card_renewal import renew_from
from whycad.audit.checks import load_check
from whycad.audit.context import AuditOptions
from whycad.audit.findings import CheckStatus
from whycad.audit.run.runner import FIGURES_FILE, AuditRequest, assemble, write_audit
from whycad.card_audits import read_audits
from whycad.errors import DatasetError
from whycad.performance import read_performance
from whycad.plugin import Plugin
from whycad.testing.audits import AuditRecipe, simulated_context

CHECKS = ("imbalance", "ledger")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """The folder of a finished audit, and its context."""
    folder = tmp_path_factory.mktemp("runs") / "run-7"
    folder.mkdir()
    context = simulated_context(AuditRecipe(n=300, prevalence=(0.9, 0.1), options=AuditOptions(n_draws=50)), folder)
    results = [load_check(name).run(context) for name in CHECKS]
    states = [CheckStatus(check=name, status="done") for name in CHECKS]
    write_performance(context, folder / FIGURES_FILE)
    request = AuditRequest(context.ref.path, folder, "simulated", "val", command=context.command)
    write_audit(assemble(context, request, results, states, 1.0), results, folder)
    return folder, context


@pytest.fixture
def plugin(tmp_path, audited):
    return Plugin(audited[1].manifest, tmp_path)


def test_figures_are_in_the_schema_that_the_app_reads(audited, plugin):
    folder, context = audited
    path = renew_from(folder, plugin)
    assert path.name == "performance.json"
    found = read_performance(plugin.folder)
    assert (found.dataset, found.n) == ("simulated", 300)
    right = (context.answers.predicted == context.answers.label)[context.answers.label == 1]
    assert found.per_class["c1"].sensitivity == pytest.approx(right.mean())
    assert {group.field for group in found.subgroups} == {"age_years", "sex", "site"}
    assert json.loads(path.read_text())["run"] == "run-7"


def test_the_split_use_is_in_the_document(audited):
    document = json.loads((audited[0] / "audit.json").read_text())
    assert document["run"]["split_uses"] >= 1
    assert document["metrics"]["accuracy_above_majority"].keys() == {"value", "ci_low", "ci_high", "n"}


def test_findings_are_kept_with_the_runs_name_and_replaced_by_the_next_run(audited, plugin):
    renew_from(audited[0], plugin)
    renew_from(audited[0], plugin)
    (kept,) = read_audits(plugin.folder).audits
    assert (kept.run, kept.split) == ("run-7", "val")
    assert kept.simulated
    assert any(finding.check == "imbalance" for finding in kept.findings)
    assert all(finding.severity != "ok" for finding in kept.findings)


def test_figures_of_another_data_set_stay(audited, plugin):
    other = {"dataset": "Other", "split": "val", "command": "whycad predict --dataset other.npz", "metrics": {}}
    (plugin.folder / "performance.json").write_text(json.dumps(other))
    assert renew_from(audited[0], plugin).name == "performance-simulated.json"
    assert json.loads((plugin.folder / "performance.json").read_text()) == other


def test_figures_of_the_same_file_are_replaced_and_keep_their_name(audited, plugin):
    before = {
        "dataset": "A Set, 2017",
        "split": "val",
        "metrics": {},
        "command": "whycad predict --dataset simulated.npz",
    }
    (plugin.folder / "performance-a.json").write_text(json.dumps(before))
    assert renew_from(audited[0], plugin).name == "performance-a.json"
    assert json.loads((plugin.folder / "performance-a.json").read_text())["dataset"] == "A Set, 2017"
    assert read_audits(plugin.folder).audits[0].dataset == "A Set, 2017"


def test_an_audit_of_another_task_or_of_other_weights_is_refused(audited, plugin):
    other = Plugin(plugin.manifest.model_copy(update={"id": "other"}), plugin.folder)
    with pytest.raises(DatasetError, match="no audit of task 'other'"):
        renew_from(audited[0], other)
    text = (audited[0] / "audit.json").read_text()
    changed = plugin.folder / "changed"
    changed.mkdir()
    (changed / "audit.json").write_text(text.replace(plugin.weights_sha256, "0" * 64))
    with pytest.raises(DatasetError, match="other weights"):
        renew_from(changed, plugin)


def test_an_audit_without_figures_is_refused(audited, plugin):
    bare = plugin.folder / "bare"
    bare.mkdir()
    (bare / "audit.json").write_text((audited[0] / "audit.json").read_text())
    with pytest.raises(DatasetError, match="no figures"):
        renew_from(bare, plugin)


def test_cases_that_failed_or_were_refused_are_counted(audited):
    _, context = audited
    answers = context.answers
    predicted, error = answers.predicted.copy(), answers.error.astype("<U20")
    predicted[:5], error[:2] = -1, "broken"
    changed = replace(context)
    vars(changed).update(answers=replace(answers, predicted=predicted, error=error), calibration=context.calibration)
    found = performance_of(changed)
    assert (found["n"], found["n_failed"], found["n_unscored"]) == (295, 2, 3)
    assert np.isfinite(found["metrics"]["macro_auroc"]["value"])
