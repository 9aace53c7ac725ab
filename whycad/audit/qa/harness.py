"""Run many phantom tests, several at a time; what is done already is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread

from whycad.audit.qa.one_set import QaOptions, SetResult, read_result, run_set
from whycad.audit.qa.plan import SetSpec
from whycad.errors import JobError

# Two processes on two cores: more threads each would only be in each other's way.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run_sets(
    specs: Sequence[SetSpec], options: QaOptions, *, jobs: int = 1, told: Callable[[str], None] = lambda _line: None
) -> list[SetResult]:
    """Run every set that has no result yet, and return all results in the order of ``specs``.

    Parameters
    ----------
    specs : sequence of SetSpec
    options : QaOptions
    jobs : int
        Sets at a time, each in a process of its own with one thread.
    told : callable
        Given a line after each set.

    Raises
    ------
    JobError
        When a process died; what is done stays.
    """
    found = {spec: result for spec in specs if (result := read_result(options.folder, spec)) is not None}
    todo = [spec for spec in specs if spec not in found]
    if found:
        told(f"{len(found)} of {len(specs)} sets are done already")
    for spec, result in _each(todo, options, jobs):
        found[spec] = result
        told(_line(len(found), len(specs), result))
    return [found[spec] for spec in specs]


def _each(todo: Sequence[SetSpec], options: QaOptions, jobs: int) -> Iterator[tuple[SetSpec, SetResult]]:
    if not todo:
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    # Read by the libraries of a new process as they start.
    os.environ.update(ONE_THREAD)
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin) as pool:
            waiting = {pool.submit(run_set, spec, options): spec for spec in todo}
            try:
                yield from ((waiting[done], done.result()) for done in as_completed(waiting))
            except BrokenProcessPool as error:
                raise JobError("a process of the phantom tests died", remedy="go on with --resume") from error
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    import torch

    end_with_parent()
    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process when the one that started it is gone: a worker of a pool would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent.sentinel,), name="parent", daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _line(done: int, total: int, result: SetResult) -> str:
    if result.failed:
        return f"{done} of {total}: {result.id} failed: {result.failed}"
    saw = f"seen by {sum(result.seen.values())} of {len(result.seen)} checks" if result.seen else "nothing to see"
    used = ", the network uses it" if result.uses_shortcut else ""
    return f"{done} of {total}: {result.id}: {saw}{used}; {len(result.alarms)} warnings ({result.seconds:.0f} s)"
