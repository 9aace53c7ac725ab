"""The engine on a Ray cluster of this machine: the same answers, and nothing lost when a worker dies."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.errors import PredictionError
from whycad.testing.batch_jobs import CountingJob

# In a process of its own: Ray starts threads and services and warns of its own code.
DRIVER = """
import sys
from pathlib import Path

import ray

from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.errors import DatasetError, JobCancelledError, PredictionError
from whycad.testing.batch_jobs import CountingJob

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
place = Path(sys.argv[1])


def run(name, n, stopped=lambda: False, **how):
    job = CountingJob(place / f"{name}.txt", name=name, **how)
    options = EngineOptions(place / "ray", engine="ray", chunk=32, stopped=stopped)
    return job, map_batches(job, range(n), options).read()


job, table = run("plain", 320)
assert table["square"].to_pylist() == [row**2 for row in range(320)]
assert sorted(job.computed()) == list(range(320))

job, table = run("deadly", 320, deadly=100)
assert table["square"].to_pylist() == [row**2 for row in range(320)]
assert (place / "deadly.killed").exists()

try:
    run("closed", 64, closed=True)
except DatasetError as error:
    assert "is closed" in str(error)
else:
    raise AssertionError("a job that cannot be opened went on")

try:
    run("broken", 128, broken=(40,))
except PredictionError as error:
    assert "broken: 1 of 4 chunks failed (ZeroDivisionError)" in str(error), str(error)
else:
    raise AssertionError("a broken chunk was not told")
assert len(list((place / "ray").glob("broken-*/*.parquet"))) == 3

try:
    run("stopped", 3200, seconds=0.2, stopped=(place / "stopped.txt").exists)
except JobCancelledError:
    assert len(CountingJob(place / "stopped.txt").computed()) < 3200
else:
    raise AssertionError("the run was not stopped")
"""


def test_a_missing_cluster_or_ray_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PredictionError, match=r"Ray is not installed.*whycad\[scale\]"):
        map_batches(CountingJob(tmp_path / "notes.txt"), range(3), EngineOptions(tmp_path, engine="ray"))


def test_answers_errors_stops_and_deaths_of_workers_on_a_cluster(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (extra scale)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
