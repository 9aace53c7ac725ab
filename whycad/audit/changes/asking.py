"""Which of an audit's images are changed, and what the task answers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.changes.change import Change
from whycad.audit.context import AuditContext
from whycad.audit.run.changed import ABSENT, BY_SLICES, ChangedAnswers, ChangedJob, changed_from
from whycad.audit.run.engine import map_batches

# A chunk is lost when a run is killed: so many copies at most, a minute or two of work.
COPIES_OF_A_CHUNK = 256

IntArray = NDArray[np.int64]


def balanced_sample(
    labels: IntArray, groups: NDArray[np.str_], eligible: NDArray[np.bool_], limit: int, seed: int
) -> IntArray:
    """Choose rows with the labels as equally many as there are rows of them, and of each group as few as possible.

    Parameters
    ----------
    labels, groups : ndarray (n,)
    eligible : ndarray of bool (n,)
    limit, seed : int

    Returns
    -------
    ndarray of int64
        Ascending row numbers, at most ``limit``.
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(eligible))
    order = order[np.argsort(_turns(groups[order]), kind="stable")]
    queues = [order[labels[order] == label] for label in np.unique(labels[order])]
    chosen: list[int] = []
    for turn in range(max((len(queue) for queue in queues), default=0)):
        chosen += [int(queue[turn]) for queue in queues if turn < len(queue)]
    return np.array(sorted(chosen[:limit]), np.int64)


def _turns(groups: NDArray[np.str_]) -> IntArray:
    """Return how many of its group stand before each row, ``(n,)``."""
    seen: Counter[str] = Counter()
    turns = np.empty(len(groups), np.int64)
    for place, group in enumerate(groups.tolist()):
        turns[place] = seen[group]
        seen[group] += 1
    return turns


def sampled(context: AuditContext, limit: int, eligible: NDArray[np.bool_] | None = None) -> IntArray:
    """Choose scored rows of the scope, see ``balanced_sample``."""
    answers = context.answers
    wanted = answers.scored if eligible is None else answers.scored & eligible
    return balanced_sample(answers.label, context.in_scope.groups, wanted, limit, context.options.seed)


def ask(context: AuditContext, scope: IntArray, changes: Sequence[Change]) -> ChangedAnswers:
    """Return the task's answers to changed copies of rows, ``scope`` being places in the audit's scope."""
    job = ChangedJob(context.ref, tuple(changes), context.options.seed, context.device)
    chunk = max(1, COPIES_OF_A_CHUNK // max(1, len(changes)))
    rows = context.scope[scope].tolist()
    chunks = map_batches(job, rows, replace(context.engine, chunk=min(context.engine.chunk, chunk)))
    return changed_from(chunks.read(), scope, job.changes, context.answers.codes)


def only_volumes(answers: ChangedAnswers) -> bool:
    """Tell whether nothing was changed because every row is a volume that is read slice by slice."""
    return bool(answers.why.size and (answers.why == BY_SLICES).all())


def present(answers: ChangedAnswers, change: Change) -> NDArray[np.bool_]:
    """Return in which rows there was something to change, ``(n,)``."""
    return np.asarray(answers.why[:, answers.of(change)] != ABSENT)
