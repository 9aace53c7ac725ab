"""Phantom tests end to end: one small set through training and audit, and many sets resumed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad import cli
from whycad.audit.findings import Finding, Severity
from whycad.audit.qa import harness, one_set
from whycad.audit.qa.harness import run_sets
from whycad.audit.qa.one_set import QaOptions, SetResult, read_result, result_file, run_set
from whycad.audit.qa.plan import SetSpec
from whycad.audit.qa.sets import make_set, make_truth
from whycad.audit.qa.trained import Probabilities
from whycad.errors import DatasetError, JobError
from whycad.registry import FOLDERS_VARIABLE

SPEC = SetSpec("mr", "padding", 0.9, 0)


def found_nothing(spec: SetSpec) -> SetResult:
    return SetResult(id=spec.id, task=spec.task, artefact=spec.artefact, phi=spec.phi, leak=spec.leak)


def test_a_strong_shortcut_is_used_by_the_network_and_seen_by_the_audit(tmp_path, monkeypatch):
    monkeypatch.setattr(one_set, "ALARM_CHECKS", ("metadata_label", "metadata_prediction"))
    monkeypatch.setattr(one_set, "make_truth", lambda spec: make_truth(spec, 160))
    responses, truth_of = {}, one_set.truth_of

    def told(spec, plugin):
        images = make_truth(spec, 24).images
        responses.update(one_set.responses_of(images, spec, plugin, Probabilities(plugin)))
        return truth_of(spec, plugin)

    monkeypatch.setattr(one_set, "truth_of", told)
    before = os.environ.get(FOLDERS_VARIABLE)
    result = run_set(SPEC, QaOptions(tmp_path, n_draws=100, n_patients=160))
    assert result.failed == ""
    assert result.uses_shortcut
    assert result.responses == {}, "asked for in sets without a shortcut only"
    assert responses["padding"] > one_set.LEAST_RESPONSE
    assert result.phi_found == pytest.approx(0.9, abs=0.1)
    assert result.seen["metadata_label"]
    assert result.seen["metadata_prediction"]
    assert read_result(tmp_path, SPEC) == result
    assert os.environ.get(FOLDERS_VARIABLE) == before
    assert not (tmp_path / "sets" / SPEC.id).exists()


def test_a_leak_is_audited_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(one_set, "ALARM_CHECKS", ("group_across_splits",))
    result = run_set(SetSpec("oct", "white_corner", 0.0, 0, "patients"), QaOptions(tmp_path, n_patients=80))
    assert result.seen == {"group_across_splits": True}
    assert result.auc_whole is None
    assert not result.is_null


def test_a_set_that_fails_is_a_result_that_says_why(tmp_path, monkeypatch):
    def broken(*_args):
        raise DatasetError("no images")

    monkeypatch.setattr(one_set, "_tested", broken)
    result = run_set(SPEC, QaOptions(tmp_path))
    assert result.failed == "no images"
    assert not result.is_null
    assert read_result(tmp_path, SPEC) == result


def test_only_sets_without_a_result_are_run(tmp_path, monkeypatch):
    specs = [SetSpec("ct", "scanner", 0.5, number) for number in range(3)]
    options = QaOptions(tmp_path)
    result_file(tmp_path, specs[1]).parent.mkdir(parents=True)
    result_file(tmp_path, specs[1]).write_text(found_nothing(specs[1]).model_dump_json())
    result_file(tmp_path, specs[2]).write_text("{ torn")
    asked = []

    def each(todo, _options, _jobs):
        asked.extend(todo)
        yield from ((spec, found_nothing(spec)) for spec in todo)

    monkeypatch.setattr(harness, "_each", each)
    told = []
    results = run_sets(specs, options, told=told.append)
    assert asked == [specs[0], specs[2]]
    assert [result.id for result in results] == [spec.id for spec in specs]
    assert told[0] == "1 of 3 sets are done already"


def die(*_args):
    os._exit(1)


def test_a_process_that_dies_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "run_set", die)
    with pytest.raises(JobError, match="--resume"):
        run_sets([SPEC], QaOptions(tmp_path))


PARENT = """
import sys, time
from multiprocessing import get_context
from pathlib import Path

from whycad.testing.waiting import wait_and_tell

if __name__ == "__main__":
    get_context("spawn").Process(target=wait_and_tell, args=(sys.argv[1],)).start()
    time.sleep(120)
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_command_that_was_killed(tmp_path):
    script, told = tmp_path / "parent.py", tmp_path / "pid.txt"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    parent = subprocess.Popen([sys.executable, str(script), str(told)], env=environment)
    worker = int(wait_for(lambda: told.exists() and told.read_text()))
    assert is_alive(worker)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(worker))


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def quick_sets(monkeypatch):
    def each(todo, options, _jobs):
        for spec in todo:
            result = found_nothing(spec)
            result_file(options.folder, spec).parent.mkdir(parents=True, exist_ok=True)
            result_file(options.folder, spec).write_text(result.model_dump_json())
            yield spec, result

    monkeypatch.setattr(harness, "_each", each)


def test_the_command_writes_figures_and_page_and_resumes(tmp_path, quick_sets, capsys):
    out, page = tmp_path / "qa", tmp_path / "qa.md"
    assert cli.main(["qa", "--quick", "--out", str(out), "--document", str(page)]) == 0
    assert "All" in page.read_text()
    assert "whycad qa --quick --out qa" in page.read_text()
    assert cli.main(["qa", "--quick", "--out", str(out)]) == 1
    assert "add --resume" in capsys.readouterr().err
    assert cli.main(["qa", "--quick", "--resume", "--out", str(out)]) == 0
    assert "sets are done already" in capsys.readouterr().err


def test_an_alarm_keeps_what_the_finding_said(monkeypatch, tmp_path):
    finding = Finding(check="slice", severity=Severity.WARNING, message="Worse.", column="age", effect=0.2)
    alarm = one_set._alarm(finding)
    assert (alarm.check, alarm.column, alarm.effect, alarm.message) == ("slice", "age", 0.2, "Worse.")


def test_a_matched_performance_is_asked_for_only_where_there_is_enough_to_match():
    made = make_set(SPEC, 120)
    assert "matched_performance" not in one_set.musts_of(SPEC, made)
    assert "metadata_label" in one_set.musts_of(SPEC, made)
    even = replace(made, planted=np.arange(len(made)) % 2 == 0)
    assert "matched_performance" in one_set.musts_of(SPEC, even)
    assert one_set.musts_of(SetSpec("mr", "padding", 0.0, 0), made) == ()
