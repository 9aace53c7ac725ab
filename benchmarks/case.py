"""What a benchmark case is, and how two pieces of work are compared."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch

Work = Callable[[], object]
Maker = Callable[[], Work]
ANSWER_S = 600.0
STOP_S = 20.0


@dataclass(frozen=True)
class Case:
    """A ratio with a bound.

    Attributes
    ----------
    name : str
        What is divided by what.
    bound : float
    measure : callable
        Does the work and returns the ratio; raises ``AssertionError`` where results disagree.
    at_least : bool
        Whether the ratio must be at least the bound, instead of at most.
    """

    name: str
    bound: float
    measure: Callable[[], float]
    at_least: bool = False

    def holds(self, ratio: float) -> bool:
        """Whether a measured ratio keeps the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def interleaved(first: Work, second: Work, *, rounds: int = 5, warm_up: bool = True) -> float:
    """Return the median time of one piece of work over that of another, run in turns.

    Process time of all threads counts, so that waiting for other programs does not. Turns keep
    a change of clock speed from favouring one side.
    """
    if warm_up:
        first()
        second()
    pairs = [(seconds_of(first), seconds_of(second)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


def between_processes(first: Maker, second: Maker, *, rounds: int = 5, tolerance: float | None = None) -> float:
    """Return the ratio as ``interleaved`` does, with each side in a process of its own.

    For a comparison with what users have without this project. Blocks that one side has freed
    decide how many page faults the other side has, so in one process neither has its own speed.

    Parameters
    ----------
    first, second : callable
        Make the work; they must pickle. Work may return an array.
    rounds : int
    tolerance : float or None
        How far the arrays may differ.
    """
    with _side(first) as (one, expected), _side(second) as (other, actual):
        if tolerance is not None:
            np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=0)
        pairs = [(_timed(one), _timed(other)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


def seconds_of(work: Work) -> float:
    """Return the process time of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


@contextmanager
def _side(maker: Maker) -> Iterator[tuple[Connection, object]]:
    """Start a process that makes the work and runs it once; give its connection and what that run returned."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(maker, theirs))
    process.start()
    theirs.close()
    try:
        yield ours, _received(ours)
    finally:
        ours.close()
        process.join(STOP_S)
        if process.is_alive():
            process.terminate()
            process.join(STOP_S)


def _serve(maker: Maker, connection: Connection) -> None:
    torch.set_num_threads(1)
    work = maker()
    returned = work()
    connection.send(returned if isinstance(returned, np.ndarray) else None)
    try:
        while connection.recv():
            connection.send(seconds_of(work))
    except EOFError:
        return


def _timed(connection: Connection) -> float:
    connection.send(True)
    seconds = _received(connection)
    assert isinstance(seconds, float)
    return seconds


def _received(connection: Connection) -> object:
    assert connection.poll(ANSWER_S), "one side of the comparison did not answer"
    try:
        return connection.recv()
    except EOFError as error:
        raise AssertionError("one side of the comparison failed") from error
