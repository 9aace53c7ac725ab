"""What-if jobs: run in the worker, returned whole, with typed errors and cancellation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.errors import GeometryError, JobCancelledError, JobError, PluginError
from whycad.inference import load_members
from whycad.jobs import JobQueue, JobSettings
from whycad.registry import discover
from whycad.testing.planted import blob_mask, with_blob, write_blob_task
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest, Region
from whycad.whatif.request import WhatIfKind, WhatIfRequest, runs_of
from whycad.whatif.run import what_if

ME = "my session"
REQUEST = AnalysisRequest()
BLOB = WhatIfRequest(WhatIfKind.REGION, runs=runs_of(blob_mask()))


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    write_blob_task(folder)
    raising = "def artefacts(study):\n    raise ValueError('CANARY')\n"
    write_plugin(folder, TinyPlugin(files={"finder.py": raising}, code='artefacts = "finder:artefacts"\n'))
    return folder


@pytest.fixture(scope="module")
def queue(plugins: Path) -> Iterator[JobQueue]:
    jobs = JobQueue(discover([plugins]), JobSettings(devices=("cpu",), cancel_grace_s=60.0))
    yield jobs
    jobs.close()


def test_a_job_gives_what_the_same_call_here_gives(queue: JobQueue, plugins: Path) -> None:
    job = queue.submit_what_if(with_blob(), "linear", REQUEST, BLOB, ME)
    status = queue.wait(job, ME, 120)
    assert status.error is None
    assert status.state == "done"
    (found,) = status.what_if
    ensemble = load_members(queue.registry.get("linear"), torch.device("cpu"))
    (here,) = what_if(with_blob(), ensemble, REQUEST, BLOB)
    assert found.title == here.title
    assert found.label_moved
    np.testing.assert_array_equal(found.mask, blob_mask())
    np.testing.assert_array_equal(found.picture, here.picture)
    np.testing.assert_allclose(found.after.probabilities, here.after.probabilities, atol=1e-6)


@pytest.mark.parametrize("kind", [WhatIfKind.ARTEFACT, WhatIfKind.COUNTERFACTUAL, WhatIfKind.FRAGILITY])
def test_every_other_kind_runs(queue: JobQueue, kind: WhatIfKind) -> None:
    status = queue.wait(queue.submit_what_if(with_blob(), "linear", REQUEST, WhatIfRequest(kind), ME), ME, 120)
    assert status.state == "done"
    assert [item.kind for item in status.what_if] == ([] if kind is WhatIfKind.ARTEFACT else [kind])


def test_a_bad_region_is_a_clear_error_and_the_worker_stays(queue: JobQueue) -> None:
    pids = queue.worker_pids()
    outside = WhatIfRequest(WhatIfKind.REGION, box=Region((90, 90), (99, 99)))
    status = queue.wait(queue.submit_what_if(with_blob(), "linear", REQUEST, outside, ME), ME, 120)
    assert status.state == "failed"
    assert isinstance(status.error, GeometryError)
    assert "no pixel" in status.error.message
    assert queue.worker_pids() == pids


def test_a_detector_that_raises_is_named_and_quotes_nothing(queue: JobQueue) -> None:
    what = WhatIfRequest(WhatIfKind.ARTEFACT)
    status = queue.wait(queue.submit_what_if(make_study(), "tiny", REQUEST, what, ME), ME, 120)
    assert isinstance(status.error, PluginError)
    assert "'tiny'" in status.error.message
    assert "CANARY" not in str(status.error)


def test_a_job_is_its_owners_and_can_be_cancelled(queue: JobQueue) -> None:
    job = queue.submit_what_if(with_blob(), "linear", REQUEST, WhatIfRequest(WhatIfKind.FRAGILITY), ME)
    with pytest.raises(JobError, match="no such job"):
        queue.status(job, "another session")
    queue.cancel(job, ME)
    status = queue.wait(job, ME, 60)
    assert status.state in ("cancelled", "done")
    assert status.state == "done" or isinstance(status.error, JobCancelledError)
    assert queue.wait(queue.submit_what_if(with_blob(), "linear", REQUEST, BLOB, ME), ME, 120).state == "done"
