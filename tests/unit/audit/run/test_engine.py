"""The engine: chunks on disk, reading ahead, stopping, resuming, and what goes wrong on the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.engine import PART, EngineOptions, StagedWorker, chunks_of, map_batches, parts_of
from whycad.errors import (
    DatasetError,
    DecodeLimitError,
    JobCancelledError,
    MemoryShortError,
    PluginError,
    PredictionError,
    StoreError,
    UnreadableError,
)
from whycad.testing.batch_jobs import CountingJob

SCRIPT = """
import sys
from pathlib import Path
from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.testing.batch_jobs import CountingJob

job = CountingJob(Path(sys.argv[1]), seconds=0.05)
map_batches(job, range(320), EngineOptions(Path(sys.argv[2]), chunk=32))
"""


@pytest.fixture
def job(tmp_path):
    return CountingJob(tmp_path / "notes.txt")


@pytest.fixture
def options(tmp_path):
    return EngineOptions(tmp_path / "cache", chunk=32)


def test_rows_come_back_in_the_order_asked_for(job, options):
    rows = [7, 3, *range(100, 180)]
    table = map_batches(job, rows, options).read()
    assert table["row"].to_pylist() == rows
    assert table["square"].to_pylist() == [row**2 for row in rows]


def test_parts_are_small_and_cover_a_chunk():
    parts = parts_of(range(70))
    assert [row for part in parts for row in part] == list(range(70))
    assert max(len(part) for part in parts) == PART


def test_what_is_on_disk_is_not_computed_again(job, options):
    map_batches(job, range(100), options)
    map_batches(job, range(100), options)
    assert job.computed() == list(range(100))


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda b: flipped(b, 40)])
def test_a_damaged_file_is_computed_again_and_the_others_are_not(job, options, damage):
    chunks = map_batches(job, range(96), options)
    chunks.files[1].write_bytes(damage(chunks.files[1].read_bytes()))
    again = map_batches(job, range(96), options)
    assert job.computed() == [*range(96), *range(32, 64)]
    assert again.read()["row"].to_pylist() == list(range(96))


def flipped(content: bytes, at: int) -> bytes:
    """Return bytes with one changed that no header tells of."""
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def test_a_file_of_too_few_rows_is_computed_again(job, options):
    chunks = map_batches(job, range(64), options)
    pq.write_table(pq.read_table(chunks.files[0]).slice(0, 5), chunks.files[0])
    assert map_batches(job, range(64), options).read().num_rows == 64


def test_a_damaged_file_that_is_read_later_says_what_to_do(job, options):
    chunks = map_batches(job, range(32), options)
    chunks.files[0].write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="--resume"):
        chunks.read()


def test_a_run_that_was_killed_goes_on_where_it_was(job, options, tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(job.notes), str(options.cache)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    folder = chunks_of(job, range(32), options)[0].file.parent
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {row for c in chunks_of(job, range(320), options) if c.file.exists() for row in c.rows}
    assert 64 <= len(finished) < 320
    before = len(job.computed())
    table = map_batches(job, range(320), options).read()
    assert table["square"].to_pylist() == [row**2 for row in range(320)]
    assert set(job.computed()[before:]) == set(range(320)) - finished


def test_a_run_that_is_stopped_keeps_its_finished_chunks(job, options, tmp_path):
    def stopped():
        return len(job.computed()) >= 64

    with pytest.raises(JobCancelledError, match="--resume"):
        map_batches(job, range(320), EngineOptions(options.cache, chunk=32, stopped=stopped))
    assert len(job.computed()) == 64
    map_batches(job, range(320), options)
    assert sorted(job.computed()) == list(range(320))


def test_progress_is_told_from_what_is_there_to_the_end(job, options):
    map_batches(job, range(32), options)
    told = []
    heard = EngineOptions(options.cache, chunk=32, told=lambda *what: told.append(what))
    map_batches(job, range(80), heard)
    assert told == [("counting", n, 80) for n in (32, 48, 64, 80)]


def test_one_chunk_that_fails_does_not_lose_the_others(tmp_path, options):
    broken = CountingJob(tmp_path / "notes.txt", broken=(40,))
    with pytest.raises(
        PredictionError, match=r"counting: 1 of 4 chunks failed \(ZeroDivisionError\).*--resume"
    ) as found:
        map_batches(broken, range(128), options)
    assert "quote data" not in str(found.value)
    assert isinstance(found.value.__cause__, ZeroDivisionError)
    mended = CountingJob(tmp_path / "other.txt")
    map_batches(mended, range(128), options)
    assert mended.computed() == list(range(32, 64))


def test_a_job_that_cannot_be_opened_fails_as_it_says(tmp_path, options):
    with pytest.raises(DatasetError, match="counting job is closed"):
        map_batches(CountingJob(tmp_path / "notes.txt", closed=True), range(10), options)


def test_a_full_disk_is_named_and_no_part_of_a_file_stays(job, options, monkeypatch):
    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StoreError, match=r"No space left on device.*--cache.*--resume"):
        map_batches(job, range(10), options)
    assert not [path for path in options.cache.rglob("*") if path.is_file()]


class Failing:
    """A job some of whose rows fail, until they do no longer."""

    name, digest = "failing", "2" * 64

    def __init__(self, error, column):
        self.errors = {40: error, 100: DatasetError("broken for good")}
        self.column = column
        self.computed = []

    def content(self, rows):
        return [str(row) for row in rows]

    def open(self):
        return self.compute

    def compute(self, rows):
        self.computed += rows
        texts = [failure_text(self.errors[row]) if row in self.errors else "" for row in rows]
        return pa.table({self.column: texts if self.column == "error" else [["", text] for text in texts]})


@pytest.mark.parametrize("column", ["error", "why"])
@pytest.mark.parametrize("kind", [DecodeLimitError, UnreadableError, MemoryShortError, StoreError])
def test_a_failure_that_may_pass_is_tried_again_once_by_each_run(tmp_path, kind, column):
    job, chunk = Failing(kind("too slow"), column), list(range(32, 64))

    def run():
        return EngineOptions(tmp_path / "cache", chunk=32)

    first = run()
    table = map_batches(job, range(128), first).read()
    assert "too slow" in str(table[column][40])
    job.computed.clear()
    map_batches(job, range(128), replace(first, told=lambda *_: None))
    assert job.computed == []
    second = run()
    for _ in range(2):
        map_batches(job, range(128), second)
    assert job.computed == chunk
    del job.errors[40]
    job.computed.clear()
    table = map_batches(job, range(128), run()).read()
    assert job.computed == chunk
    assert not any(table[column][40].as_py())
    map_batches(job, range(128), run())
    assert job.computed == chunk


def test_what_an_earlier_run_had_is_kept_where_another_try_is_stopped(tmp_path):
    job = Failing(DecodeLimitError("too slow"), "error")
    map_batches(job, range(64), EngineOptions(tmp_path, chunk=32))
    with pytest.raises(JobCancelledError):
        map_batches(job, range(64), EngineOptions(tmp_path, chunk=32, stopped=lambda: True))
    assert all(chunk.file.exists() for chunk in chunks_of(job, range(64), EngineOptions(tmp_path, chunk=32)))


def test_lack_of_memory_in_other_software_may_pass():
    error = PluginError("preprocess raised MemoryError")
    error.__cause__ = MemoryError()
    assert failure_text(error) != str(error)
    error.__cause__ = ValueError()
    assert failure_text(error) == str(error)


class Reading:
    """A job whose reading and computing note when they happen."""

    name, digest = "reading", "0" * 64

    def __init__(self):
        self.steps = []
        self.read_two = threading.Event()

    def content(self, rows):
        return [str(row) for row in rows]

    def open(self):
        return StagedWorker(self.load, self.compute)

    def load(self, rows):
        self.steps.append(("load", rows[0]))
        if rows[0] == PART:
            self.read_two.set()
        return rows

    def compute(self, rows):
        if rows[0] == 0:
            assert self.read_two.wait(20), "the second part is not read while the first is computed"
        self.steps.append(("compute", rows[0]))
        return pa.table({"row": list(rows)})


def test_the_next_part_is_read_while_one_is_computed_and_no_more(tmp_path):
    job = Reading()
    map_batches(job, range(4 * PART), EngineOptions(tmp_path, chunk=2 * PART))
    assert job.steps[:2] == [("load", 0), ("load", PART)]
    for step, (kind, row) in enumerate(job.steps):
        read = [r for k, r in job.steps[:step] if k == "load"]
        assert kind == "load" or max(read) <= row + PART


class Heavy:
    """A job whose parts take memory."""

    name, digest = "heavy", "1" * 64

    def content(self, rows):
        return [str(row) for row in rows]

    def open(self):
        return StagedWorker(
            lambda rows: np.zeros((len(rows), 20_000)),
            lambda images: pa.table(
                {"features": pa.FixedSizeListArray.from_arrays(pa.array(images[:, :4].ravel()), 4)}
            ),
        )


def peak_bytes(n_rows, folder):
    tracemalloc.start()
    chunks = map_batches(Heavy(), range(n_rows), EngineOptions(folder))
    for _ in chunks.stream():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    peak_bytes(64, tmp_path / "warm")
    # As many rows in either: a short run alone may miss the moment when two parts are in memory.
    few = max(peak_bytes(320, tmp_path / f"few-{number}") for number in range(8))
    many = peak_bytes(2560, tmp_path / "many")
    assert many < 1.3 * few
