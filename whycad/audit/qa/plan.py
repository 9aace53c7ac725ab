"""Which simulated sets there are: task, artefact, strength, and sets with a leak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

TaskName = Literal["skin", "oct", "ct", "mr"]
LeakName = Literal["", "duplicates", "patients", "source", "subject"]

# Two tasks with every artefact, two with one each and fewer sets.
ARTEFACTS: dict[TaskName, tuple[str, ...]] = {
    "skin": ("ruler", "ink", "patches", "dark_corner", "hair"),
    "oct": ("white_corner", "orig_size", "burned_in_text"),
    "ct": ("table_edge", "scanner"),
    "mr": ("padding", "scanner"),
}
FULL_TASKS: tuple[TaskName, ...] = ("skin", "oct")
STRENGTHS = (0.2, 0.5, 0.9)
LEAKS: tuple[LeakName, ...] = ("duplicates", "patients", "source", "subject")
NULL_SETS = 60
SETS = 6
# Of a leak; it is there or it is not, so few sets tell.
LEAK_SETS = 5
# Most of the checks' thresholds were set on sets with seeds below; none of those is tested again.
FIRST_SEED = 500


@dataclass(frozen=True)
class SetSpec:
    """One simulated set.

    Attributes
    ----------
    task : str
    artefact : str
        The one that is planted; it is as common as not, with phi between it and the label.
    phi : float
        0 for a set without a shortcut.
    number : int
        Tells sets of one kind apart and seeds everything.
    leak : str
        What leaks in it, if anything; then no network is trained.
    """

    task: TaskName
    artefact: str
    phi: float
    number: int
    leak: LeakName = ""

    @property
    def id(self) -> str:
        """Such as ``skin-ruler-phi5-03``."""
        kind = f"leak-{self.leak}" if self.leak else f"phi{round(10 * self.phi)}"
        return f"{self.task}-{self.artefact}-{kind}-{self.number:02d}"

    @property
    def plugin_id(self) -> str:
        """Id of the task that is trained on it."""
        return "phantom_" + self.id.replace("-", "_")

    @property
    def seed(self) -> int:
        """Of everything random about the set."""
        tasks = list(ARTEFACTS)
        place = tasks.index(self.task) * 10 + ARTEFACTS[self.task].index(self.artefact)
        leak = 1 + LEAKS.index(self.leak) if self.leak else 0
        return ((place * 10 + round(10 * self.phi)) * 10 + leak) * 1000 + FIRST_SEED + self.number


def plan_sets(n_sets: int = SETS, *, quick: bool = False) -> tuple[SetSpec, ...]:
    """Return the sets to make, so ordered that a run that is cut short has some of every kind.

    Parameters
    ----------
    n_sets : int
        Sets per artefact and strength of the two full tasks; the others have a third of it.
    quick : bool
        One set of each of a few kinds.
    """
    if quick:
        return _quick()
    planted = [spec for number in range(n_sets) for spec in _planted(number, n_sets)]
    nulls = list(_nulls(max(NULL_SETS, n_sets)))
    return tuple(_mixed(planted, nulls, list(_leaks(min(LEAK_SETS, n_sets)))))


def _quick() -> tuple[SetSpec, ...]:
    shown: tuple[tuple[TaskName, str], ...] = (("skin", "patches"), ("oct", "white_corner"))
    planted = [SetSpec(task, artefact, phi, 0) for phi in (0.9, 0.5) for task, artefact in shown]
    return (*planted, *islice(_nulls(NULL_SETS), 4), *_leaks(1))


def _planted(number: int, n_sets: int) -> Iterator[SetSpec]:
    for task, artefacts in ARTEFACTS.items():
        if task not in FULL_TASKS and number >= max(1, n_sets // 3):
            continue
        for artefact in artefacts:
            yield from (SetSpec(task, artefact, phi, number) for phi in STRENGTHS)


def _nulls(n: int) -> Iterator[SetSpec]:
    kinds = [(task, artefact) for task in FULL_TASKS for artefact in ARTEFACTS[task]]
    sampled = [(task, artefact) for task in ARTEFACTS if task not in FULL_TASKS for artefact in ARTEFACTS[task]]
    every = [*kinds, *kinds, *sampled]
    for index, (task, artefact) in enumerate(islice(cycle(every), n)):
        yield SetSpec(task, artefact, 0.0, index)


def _leaks(n: int) -> Iterator[SetSpec]:
    for number in range(n):
        for task in FULL_TASKS:
            yield from (SetSpec(task, ARTEFACTS[task][0], 0.0, number, leak) for leak in LEAKS)


def _mixed(*kinds: list[SetSpec]) -> Iterator[SetSpec]:
    """Yield sets of several kinds in turns, each at its own pace."""
    places = [
        ((index + 0.5) / len(kind), order, spec) for order, kind in enumerate(kinds) for index, spec in enumerate(kind)
    ]
    yield from (spec for _, _, spec in sorted(places, key=lambda place: place[:2]))
