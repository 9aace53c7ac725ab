"""A job queue without workers: it answers from hand-made results, for tests of pages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from whycad.errors import JobError, WhyCadError
from whycad.jobs import JobStatus
from whycad.manifest import Manifest
from whycad.phantom import PhantomCase
from whycad.testing.example_what_ifs import example_what_ifs
from whycad.testing.examples import ExampleOptions, example_result, example_study
from whycad.types import AnalysisRequest, AnalysisResult, Progress, Study
from whycad.whatif.request import WhatIfRequest


@dataclass(frozen=True)
class Submitted:
    """What was asked for."""

    plugin_id: str
    study: Study
    request: AnalysisRequest
    owner: str
    what: WhatIfRequest | None = None


@dataclass
class FakeQueue:
    """Keeps what is asked for, and finishes every job at the next look unless told to hold it.

    Attributes
    ----------
    manifest : Manifest
        Of the task that is asked for where ``others`` has none.
    options : ExampleOptions
        What every result says.
    error : WhyCadError or None
        What every job fails with.
    hold : bool
        Whether jobs stay unfinished.
    others : dict of str to Manifest
        More tasks, by id.
    real : tuple of PhantomCase
        Real cases to pick, of any task.
    """

    manifest: Manifest
    options: ExampleOptions = field(default_factory=lambda: ExampleOptions(leading=4))
    error: WhyCadError | None = None
    hold: bool = False
    submitted: list[Submitted] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    others: dict[str, Manifest] = field(default_factory=dict)
    real: tuple[PhantomCase, ...] = ()

    def submit(self, study: Study, plugin_id: str, request: AnalysisRequest, owner: str) -> str:
        """Keep the request."""
        self.submitted.append(Submitted(plugin_id, study, request, owner))
        return f"job-{len(self.submitted) - 1}"

    def submit_what_if(
        self, study: Study, plugin_id: str, request: AnalysisRequest, what: WhatIfRequest, owner: str
    ) -> str:
        """Keep the request."""
        self.submitted.append(Submitted(plugin_id, study, request, owner, what))
        return f"job-{len(self.submitted) - 1}"

    def submit_samples(self, plugin_id: str, owner: str) -> str:
        """Return a job that is done."""
        return f"samples-{plugin_id}"

    def submit_pack_cases(self, plugin_id: str, data: Path, owner: str) -> str:
        """Return a job that is done."""
        return f"real-{plugin_id}"

    def status(self, job_id: str, owner: str) -> JobStatus:
        """Answer the job's owner from an example."""
        done = Progress("done", 1.0)
        if job_id.startswith("samples-"):
            return JobStatus("done", done, samples=example_samples(self._manifest_of(job_id.partition("-")[2])))
        if job_id.startswith("real-"):
            return JobStatus("done", done, samples=self.real)
        asked = self.submitted[int(job_id.removeprefix("job-"))]
        if owner != asked.owner:
            raise JobError("there is no such job")
        if self.hold:
            return JobStatus("running", Progress("predict", 0.4, "Running the members"))
        if self.error is not None:
            return JobStatus("failed", done, error=self.error)
        if asked.what is not None:
            return JobStatus("done", done, what_if=example_what_ifs(self._result(asked), asked.study, asked.what))
        return JobStatus("done", done, result=self._result(asked))

    def forget(self, job_id: str, owner: str) -> None:
        """Note it."""
        self.forgotten.append(job_id)

    def warm_up(self) -> None:
        """Do nothing: there are no workers."""

    def _manifest_of(self, plugin_id: str) -> Manifest:
        return self.others.get(plugin_id, self.manifest)

    def _result(self, asked: Submitted) -> AnalysisResult:
        options = replace(self.options, methods=asked.request.explain)
        result = example_result(asked.study, self._manifest_of(asked.plugin_id), options)
        if result.profile is not None and asked.request.region is not None:
            result = replace(result, profile=replace(result.profile, shown=int(asked.request.region.start[0])))
        target = asked.request.target or result.prediction.predicted
        return replace(result, attributions=tuple(replace(a, target=target) for a in result.attributions))


def example_samples(manifest: Manifest, n: int = 3) -> tuple[PhantomCase, ...]:
    """Return simulated cases of the first ``n`` labels."""
    mask = np.zeros((96, 128), dtype=bool)
    return tuple(
        PhantomCase(example_study(seed=seed), mask, label.code, label.name, f"A simulated {label.name.lower()}.")
        for seed, label in enumerate(manifest.labels[:n])
    )
