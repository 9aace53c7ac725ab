"""Train several members at once, each in a process of its own on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
# Small networks leave a GPU idle between their kernels: several share it.
MOST_ON_GPU = 10


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def side_by_side(work: Callable[[Job], Result], jobs: Sequence[Job], device: str) -> list[Result]:
    """Run jobs in processes of their own: as many as there are cores, on a GPU at most ten.

    Parameters
    ----------
    work : callable
        A module's own function: it is sent to the processes by name.
    jobs : sequence
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    list
        What ``work`` returned, in the order of the jobs.
    """
    cores = os.cpu_count() or 1
    workers = max(1, min(len(jobs), cores if device == "cpu" else min(cores, MOST_ON_GPU)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        return list(pool.map(work, jobs))
