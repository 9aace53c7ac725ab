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

AUDITS = """
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import ray

from whycad.audit.context import AuditOptions
from whycad.audit.run.runner import AuditRequest, run_audit
from whycad.testing.plugins import TinyPlugin, write_plugin

place = Path(sys.argv[1])
write_plugin(place / "plugins", TinyPlugin())
os.environ |= {"WHYCAD_PLUGINS": str(place / "plugins"), "WHYCAD_LEDGER": str(place / "ledger.jsonl")}
rng = np.random.default_rng(0)
np.savez(
    place / "pack.npz",
    images=rng.integers(0, 256, (150, 24, 24, 3), dtype=np.uint8),
    y=rng.integers(0, 3, 150),
    class_names=np.array(["a", "b", "c"]),
    patient=np.arange(150) // 2,
    site=rng.choice(["x", "y"], 150),
)
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def audited(engine):
    checks = ("performance", "metadata_prediction", "metadata_label")
    request = AuditRequest(
        place / "pack.npz", place / engine, "tiny", checks=checks, engine=engine, options=AuditOptions(n_draws=50)
    )
    run_audit(request)
    files = sorted((place / engine / "checks").glob("*.json"))
    found = {file.name: json.loads(file.read_text()) for file in files}
    audit = json.loads((place / engine / "audit.json").read_text())
    return found | {name: audit[name] for name in ("data", "model", "checks", "findings", "metrics", "failed")}


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=1e-6)
    return one == other


here, there = audited("local"), audited("ray")
assert len(here["checks"]) == 3 and all(check["status"] == "done" for check in here["checks"]), here["checks"]
assert same(here, there)
"""


def test_a_missing_cluster_or_ray_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PredictionError, match=r"Ray is not installed.*whycad\[scale\]"):
        map_batches(CountingJob(tmp_path / "notes.txt"), range(3), EngineOptions(tmp_path, engine="ray"))


@pytest.mark.timeout(540)
@pytest.mark.parametrize("script", [DRIVER, AUDITS], ids=["answers, errors, stops and deaths", "the same audit"])
def test_a_cluster_of_two_workers(tmp_path, script):
    pytest.importorskip("ray", reason="Ray is not installed (extra scale)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
