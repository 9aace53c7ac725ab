"""The ledger: uses are counted, changes are found, nothing is ever lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from whycad.audit.ledger import FIRST, LEDGER_VARIABLE, Use, ledger_path, read_ledger, record_use
from whycad.errors import StoreError

USE = Use(
    task="t", version="1.0.0", weights_sha256="a" * 64, dataset="d", data_sha256="b" * 64, split="val", n=10,
    purpose="audit",
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "ledger.jsonl"


def filled(path, n=3):
    return [record_use(USE.model_copy(update={"n": i}), path) for i in range(n)]


def test_every_use_is_a_line_that_names_the_one_before(path):
    entries = filled(path)
    found = read_ledger(path)
    assert found.broken == ()
    assert found.entries == tuple(entries)
    assert [entry.previous for entry in entries] == [FIRST, entries[0].hash, entries[1].hash]


def test_uses_are_counted_by_data_and_split(path):
    filled(path)
    record_use(USE.model_copy(update={"split": "test"}), path)
    assert len(read_ledger(path).of_split("b" * 64, "val")) == 3
    assert len(read_ledger(path).of_split("b" * 64, "test")) == 1
    assert read_ledger(path).of_split("c" * 64, "val") == ()


def test_a_changed_line_is_found(path):
    filled(path)
    path.write_text(path.read_text().replace('"n": 1', '"n": 7'))
    assert read_ledger(path).broken == ("line 2 was changed",)


def test_a_changed_line_with_a_new_hash_breaks_the_next_one(path):
    entries = filled(path)
    other = record_use(USE.model_copy(update={"n": 9}), path.with_name("other.jsonl"))
    forged = path.read_text().splitlines()
    forged[0] = path.with_name("other.jsonl").read_text().strip()
    path.write_text("\n".join(forged) + "\n")
    assert other.hash != entries[0].hash
    assert read_ledger(path).broken == ("line 2 does not follow from the one before it",)


def test_a_line_taken_out_is_found(path):
    filled(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert read_ledger(path).broken == ("line 2 does not follow from the one before it",)


def test_lines_cut_off_at_the_end_are_missed_also_after_the_next_use(path):
    filled(path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert read_ledger(path).broken == ("lines are missing at the end",)
    record_use(USE, path)
    assert read_ledger(path).broken == ("line 2 does not follow from the one before it",)
    assert len(read_ledger(path).entries) == 2


def test_a_line_cut_in_the_middle_stays_and_the_next_one_is_whole(path):
    filled(path, 2)
    half = path.read_text()[:-40]
    path.write_text(half)
    record_use(USE, path)
    found = read_ledger(path)
    assert path.read_text().startswith(half)
    assert "line 2 cannot be read" in found.broken
    assert [entry.n for entry in found.entries] == [0, 10]


def test_a_run_that_died_between_line_and_head_is_no_break(path):
    entries = filled(path)
    path.with_name("ledger.jsonl.last").write_text(entries[1].hash + "\n")
    assert read_ledger(path).broken == ()


def test_uses_at_the_same_time_are_all_kept(path):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: record_use(USE.model_copy(update={"n": n}), path), range(12)))
    found = read_ledger(path)
    assert found.broken == ()
    assert sorted(entry.n for entry in found.entries) == list(range(12))


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        record_use(USE, tmp_path / "file" / "ledger.jsonl")


def test_the_place_is_named_by_the_environment_else_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(LEDGER_VARIABLE, str(tmp_path / "own.jsonl"))
    assert ledger_path() == tmp_path / "own.jsonl"
    monkeypatch.delenv(LEDGER_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ledger_path() == tmp_path / ".local" / "share" / "whycad" / "ledger.jsonl"


def test_lines_with_further_keys_of_a_later_version_are_read(path):
    filled(path, 1)
    facts = json.loads(path.read_text())
    assert set(facts) > {"time_utc", "hash", "previous", "purpose"}
