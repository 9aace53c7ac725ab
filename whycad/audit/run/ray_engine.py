"""``map_batches`` on an existing Ray cluster (extra ``scale``).

Actors compute, the driver writes: workers need the images and the task under the same paths, but no
folder to write to. Chunks are cut as they are without a cluster, so the answers are the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from whycad.audit.run.chunk_files import Chunk, joined, write_chunk
from whycad.audit.run.engine import Failures, StagedWorker, parts_of, staged, stopped_error
from whycad.errors import PredictionError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.run.engine import BatchJob, EngineOptions

ADDRESS_VARIABLE = "RAY_ADDRESS"
# What decides on a worker which tasks there are and where data lie.
PASSED_ON = ("WHYCAD_PLUGINS", "WHYCAD_DATA")
# One chunk is read while another is computed.
PER_ACTOR = 2
# A chunk is given up after this many deaths of the workers that had it: it may be what kills them.
MAX_RETRIES = 3
MOST_ACTORS = 64
ASKED_EVERY_S = 0.5


class ChunkActor:
    """Lives on a worker: opens the job once, then computes chunks.

    Parameters
    ----------
    job : BatchJob
    """

    def __init__(self, job: BatchJob) -> None:
        self._job = job
        self._worker: StagedWorker | None = None
        self._turn = threading.Lock()

    def ready(self) -> bool:
        """Open the job; here rather than at the start, so that what it raises comes back as it is."""
        with self._turn:
            self._worker = self._worker or staged(self._job.open())
        return True

    def compute(self, rows: Sequence[int]) -> pa.Table:
        """Compute one chunk; another call may read its images meanwhile."""
        self.ready()
        assert self._worker is not None
        tables = []
        for part in parts_of(rows):
            loaded = self._worker.load(part)
            with self._turn:
                tables.append(self._worker.compute(loaded))
        return joined(tables)


def run_on_ray(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[int]:
    """Compute chunks by actors of a Ray cluster and yield how many rows each chunk had.

    Raises
    ------
    JobCancelledError, StoreError, PredictionError, WhyCadError
        As ``map_batches``.
    """
    ray = connected()
    actors = _start(ray, job, len(todo))
    try:
        _check_open(ray, actors)
        yield from _spread(ray, actors, job, todo, options)
    finally:
        for actor in actors:
            ray.kill(actor)


def connected() -> Any:
    """Return the ``ray`` module, connected to a cluster that runs already.

    Raises
    ------
    PredictionError
        When Ray is not installed or no cluster can be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise PredictionError("Ray is not installed", remedy="install whycad[scale], or use --engine local") from error
    if not ray.is_initialized():
        try:
            ray.init(address=os.environ.get(ADDRESS_VARIABLE) or "auto", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise PredictionError(
                "no Ray cluster can be reached",
                remedy=f"start one (ray start --head) or name it in {ADDRESS_VARIABLE}, or use --engine local",
            ) from error
    return ray


def _start(ray: Any, job: BatchJob, n_chunks: int) -> list[Any]:
    """Start as many actors as the cluster has room for: one per GPU where there are any, else one per core."""
    there = ray.cluster_resources()
    n_gpus, n_cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
    n_actors = max(1, min(n_gpus or n_cpus, n_chunks, MOST_ACTORS))
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    kind = ray.remote(
        num_cpus=1,
        num_gpus=1 if n_gpus else 0,
        max_restarts=-1,
        max_task_retries=MAX_RETRIES,
        max_concurrency=PER_ACTOR,
        runtime_env={"env_vars": variables},
    )(ChunkActor)
    return [kind.remote(job) for _ in range(n_actors)]


def _check_open(ray: Any, actors: Sequence[Any]) -> None:
    """Wait for the first actor that is ready; say plainly why none can be."""
    try:
        ray.get(actors[0].ready.remote())
    except ray.exceptions.RayError as error:
        raise _plain(error, "a worker of the Ray cluster could not start") from error


def _spread(
    ray: Any, actors: Sequence[Any], job: BatchJob, todo: Sequence[Chunk], options: EngineOptions
) -> Iterator[int]:
    """Keep a bounded number of chunks in flight; write each as it comes."""
    failures, waiting = Failures(job.name), iter(todo)
    flying: dict[Any, tuple[Chunk, Any]] = {}

    def give(actor: Any) -> None:
        chunk = next(waiting, None)
        if chunk is not None:
            flying[actor.compute.remote(chunk.rows)] = (chunk, actor)

    for actor, _ in zip(cycle(actors), range(PER_ACTOR * len(actors)), strict=False):
        give(actor)
    while flying:
        if options.stopped():
            raise stopped_error()
        done, _ = ray.wait(list(flying), num_returns=1, timeout=ASKED_EVERY_S)
        for answer in done:
            chunk, actor = flying.pop(answer)
            give(actor)
            try:
                table = ray.get(answer)
            except ray.exceptions.RayError as error:
                failures.add(_plain(error, "a worker of the Ray cluster died"))
            else:
                write_chunk(table, chunk.file)
            yield len(chunk.rows)
    failures.check(len(todo))


def _plain(error: Any, otherwise: str) -> BaseException:
    """Return what went wrong on a worker as it would have been raised here."""
    from whycad.errors import WhyCadError

    cause = getattr(error, "cause", None)
    if isinstance(cause, WhyCadError):
        return cause
    if isinstance(error, WhyCadError):
        return error
    if isinstance(cause, Exception):
        return cause
    return PredictionError(f"{otherwise} ({type(error).__name__})")
