"""The audits in a folder: their record, how they stand, and how they are started, stopped and gone on with."""

from __future__ import annotations

import argparse
import os
import stat
import time
from pathlib import Path

import psutil
import pytest

from whycad.audit.context import AuditOptions
from whycad.audit.data.samples import SAMPLES
from whycad.audit.run import launch
from whycad.audit.run.launch import last_words, resume_audit, start_audit, stop_audit
from whycad.audit.run.record import RECORD_FILE, RunRecord, absolute, read_record, write_record
from whycad.audit.run.runs import AuditRun, find_run, find_runs, is_alive, read_run
from whycad.audit.run.status import STATUS_FILE, STOP_FILE, Status, forget_old_stop
from whycad.commands import audit, audit_data
from whycad.errors import DatasetError, JobError

NOBODY = 2**22 + 1
RECORD = RunRecord(
    dataset=Path("/data/a pack.npz"),
    task="skin",
    split="val",
    where=("site!=ear",),
    checks=("slice",),
    cache=Path("/cache"),
)


def status(folder: Path, **facts: object) -> Status:
    folder.mkdir(parents=True, exist_ok=True)
    found = Status.model_validate({"state": "running", "pid": os.getpid(), "updated_utc": time.time(), **facts})
    (folder / STATUS_FILE).write_text(found.model_dump_json())
    return found


def run_of(folder: Path) -> AuditRun:
    found = read_run(folder)
    assert found is not None
    return found


def test_a_record_comes_back_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    write_record(RECORD, tmp_path)
    assert read_record(tmp_path) == RECORD
    assert stat.S_IMODE((tmp_path / RECORD_FILE).stat().st_mode) == 0o600
    (tmp_path / RECORD_FILE).write_text("{")
    assert read_record(tmp_path) is None


@pytest.mark.parametrize(
    "record", [RECORD, RunRecord(dataset=Path("/d"), pdf=False, options=AuditOptions(seed=3, purpose="a b"))]
)
def test_the_command_line_takes_a_record_back(record: RunRecord) -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    audit.add_parser(subparsers)
    audit_data.add_parser(subparsers)
    args = parser.parse_args(record.arguments(Path("/out"), resume=True))
    assert (args.dataset, args.out, args.resume) == (record.dataset, Path("/out"), True)
    assert (args.seed, args.draws, args.purpose) == (record.options.seed, 1000, record.options.purpose)
    assert getattr(args, "task", "") == record.task
    assert tuple(args.checks) == record.checks
    assert args.no_pdf is not record.pdf


def test_samples_lie_nowhere() -> None:
    assert absolute(SAMPLES) == SAMPLES
    assert absolute(Path("x")).is_absolute()


def test_runs_are_found_the_newest_first_and_stand_as_their_files_say(tmp_path: Path) -> None:
    status(tmp_path / "running")
    status(tmp_path / "dead", pid=NOBODY)
    status(tmp_path / "stopped", state="stopped")
    (tmp_path / "no audit").mkdir()
    (tmp_path / ".hidden").mkdir()
    os.utime(tmp_path / "dead" / STATUS_FILE, (1, 1))
    found = find_runs(tmp_path)
    assert {run.name: run.state for run in found} == {
        "running": "running", "dead": "interrupted", "stopped": "stopped",
    }  # fmt: skip
    assert found[-1].name == "dead"
    assert not found[-1].can_resume, "nothing says what it was asked for"
    assert find_runs(tmp_path / "nowhere") == ()


def test_a_process_that_was_given_the_number_later_is_another_one(tmp_path: Path) -> None:
    assert is_alive(status(tmp_path))
    assert not is_alive(status(tmp_path, updated_utc=psutil.Process().create_time() - 60))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../x", "none"])
def test_names_that_lead_elsewhere_are_no_runs(tmp_path: Path, name: str) -> None:
    status(tmp_path / "root" / "a" / "b")
    status(tmp_path / "x")
    with pytest.raises(DatasetError):
        find_run(tmp_path / "root", name)


class FakeProcess:
    pid = NOBODY

    def wait(self) -> int:
        return 0


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    asked: list[list[str]] = []

    def popen(command: list[str], **_facts: object) -> FakeProcess:
        asked.append(command)
        return FakeProcess()

    monkeypatch.setattr(launch.subprocess, "Popen", popen)
    return asked


def test_a_start_makes_a_folder_that_says_so(tmp_path: Path, commands: list[list[str]]) -> None:
    first, second = start_audit(RECORD, tmp_path / "new"), start_audit(RECORD, tmp_path / "new")
    assert first != second
    assert first.parent == tmp_path / "new"
    assert " " not in first.name
    assert read_record(first) == RECORD
    assert run_of(first).state == "interrupted", "the stand-in's process is not there"
    assert commands[0][3:] == RECORD.arguments(first)


def test_at_most_two_run_at_once(tmp_path: Path, commands: list[list[str]]) -> None:
    status(tmp_path / "one")
    status(tmp_path / "two")
    with pytest.raises(JobError, match="2 audits run already"):
        start_audit(RECORD, tmp_path)
    assert commands == []


def test_a_stopped_run_goes_on_and_a_running_one_does_not(tmp_path: Path, commands: list[list[str]]) -> None:
    status(tmp_path / "one", state="stopped")
    write_record(RECORD, tmp_path / "one")
    stop_audit(tmp_path / "one")
    resume_audit(run_of(tmp_path / "one"), tmp_path)
    assert commands[0][-1] == "--resume"
    assert not (tmp_path / "one" / STOP_FILE).exists()
    status(tmp_path / "one")
    with pytest.raises(JobError, match="cannot go on"):
        resume_audit(run_of(tmp_path / "one"), tmp_path)


def test_a_wish_to_stop_that_came_while_libraries_were_loaded_is_heeded(tmp_path: Path) -> None:
    stop_audit(tmp_path)
    forget_old_stop(tmp_path)
    assert (tmp_path / STOP_FILE).exists()
    os.utime(tmp_path / STOP_FILE, (1, 1))
    forget_old_stop(tmp_path)
    assert not (tmp_path / STOP_FILE).exists()


def test_last_words_are_the_last_lines(tmp_path: Path) -> None:
    assert last_words(tmp_path) == ""
    (tmp_path / launch.LOG_FILE).write_bytes(b"x" * 9000 + b"\none\n\ntwo \xff\n")
    assert last_words(tmp_path).splitlines()[-2:] == ["one", "two \ufffd"]
