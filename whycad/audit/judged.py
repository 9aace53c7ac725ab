"""The scored and labelled rows of an audit, which every check of a model's answers starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap
from whycad.audit.checks import CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import MetadataColumn
from whycad.audit.findings import Finding
from whycad.audit.words import within_sentence
from whycad.manifest import Manifest
from whycad.uncertainty.conformal import set_masks

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
EXAMPLES = 60


@dataclass(frozen=True, eq=False)
class Target:
    """A yes-or-no question to the model's probabilities.

    Attributes
    ----------
    key : str
        Label code, or the name of an operating point.
    name : str
        For readers.
    scores : ndarray (n,)
        Probability.
    positive : ndarray of bool (n,)
    """

    key: str
    name: str
    scores: FloatArray
    positive: BoolArray

    @property
    def fewest(self) -> int:
        """Cases of the rarer of both answers."""
        return int(min(self.positive.sum(), (~self.positive).sum()))


@dataclass(frozen=True, eq=False)
class Judged:
    """Cases with probabilities and a known label.

    Attributes
    ----------
    context : AuditContext
    rows : ndarray of int64 (n,)
        Into ``context.scope``.
    """

    context: AuditContext
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def manifest(self) -> Manifest:
        """Of the task."""
        return self.context.manifest

    @property
    def codes(self) -> tuple[str, ...]:
        """Label codes ``(k,)``."""
        return self.context.answers.codes

    @cached_property
    def members(self) -> FloatArray:
        """Calibrated probabilities ``(m, n, k)``."""
        return np.asarray(self.context.answers.members[:, self.rows])

    @cached_property
    def probabilities(self) -> FloatArray:
        """The ensemble's, ``(n, k)``."""
        return np.asarray(self.context.answers.probabilities[self.rows])

    @cached_property
    def label(self) -> IntArray:
        """Index into ``codes``, ``(n,)``."""
        return np.asarray(self.context.answers.label[self.rows])

    @cached_property
    def predicted(self) -> IntArray:
        """What the task's rule answers, ``(n,)``."""
        return np.asarray(self.context.answers.predicted[self.rows])

    @cached_property
    def wrong(self) -> BoolArray:
        """Whether that answer is wrong, ``(n,)``."""
        return np.asarray(self.predicted != self.label)

    @cached_property
    def decision(self) -> NDArray[np.str_]:
        """``report``, ``refer`` or ``reject``, ``(n,)``."""
        return np.asarray(self.context.answers.decision[self.rows])

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """Patient or lesion, ``(n,)``."""
        return np.asarray(self.context.in_scope.groups[self.rows])

    @cached_property
    def columns(self) -> tuple[MetadataColumn, ...]:
        """Metadata of these cases."""
        return self.context.in_scope.select(self.rows).columns

    @cached_property
    def in_set(self) -> BoolArray:
        """Which labels are in each case's set at the task's level, ``(n, k)``."""
        p = self.context.answers.conformal_p[self.rows]
        return set_masks(p, self.set_coverage, self.probabilities.argmax(axis=1), self.manifest.kind)

    @property
    def set_coverage(self) -> float:
        """What the sets promise."""
        return self.manifest.decision.set_coverage

    @property
    def least_n(self) -> int:
        """Below this many cases a figure is not established."""
        return self.context.options.least_n

    def bootstrap(self, n_draws: int | None = None) -> GroupBootstrap:
        """Return a bootstrap over these cases' groups, with fewer draws where a search asks for many figures."""
        options = self.context.options
        n = min(options.n_draws, n_draws or options.n_draws)
        made = self.context.once(f"bootstrap {n}", lambda: GroupBootstrap(self.groups, n, options.seed))
        assert isinstance(made, GroupBootstrap)
        return made

    def ids(self, which: BoolArray | IntArray, limit: int = EXAMPLES) -> tuple[str, ...]:
        """Return the ids of some of these cases, the first ``limit``."""
        chosen = self.rows[which][:limit]
        return tuple(str(name) for name in self.context.in_scope.ids[chosen])

    def worst_first(self, which: BoolArray, limit: int = EXAMPLES) -> tuple[str, ...]:
        """Return ids of the cases ``which`` ``(n,)``, those whose label is least probable first."""
        rows = np.flatnonzero(which)
        own = self.probabilities[rows, self.label[rows]]
        return self.ids(rows[np.argsort(own, kind="stable")], limit)

    def name(self, code: str) -> str:
        """Return a label's name for readers."""
        return self.manifest.label(code).name

    def said(self, code: str) -> str:
        """Return a label's name as it stands within a sentence."""
        return within_sentence(self.name(code))

    def point_name(self, name: str) -> str:
        """Return an operating point's name for readers."""
        return self.manifest.point_name(name)

    def n_of(self, code: str) -> int:
        """Return how many cases of a label there are."""
        return int((self.label == self.codes.index(code)).sum())

    def targets(self, least: int = 1) -> tuple[Target, ...]:
        """Return one question per class, of a binary task only that of the label that matters more.

        Parameters
        ----------
        least : int
            Cases that both answers must have.
        """
        chosen: Sequence[str] = self.codes
        if len(self.codes) == 2:
            labels = self.manifest.labels
            chosen = [max(labels, key=lambda label: (label.must_not_miss, label.severity, labels.index(label))).code]
        found = [self._target((code,), code, self.name(code)) for code in chosen]
        return tuple(target for target in found if target.fewest >= max(least, 1))

    def point_targets(self) -> tuple[Target, ...]:
        """Return the questions of the task's operating points."""
        points = self.manifest.operating_points
        return tuple(self._target(point.labels, point.name, self.point_name(point.name)) for point in points)

    def _target(self, labels: Sequence[str], key: str, name: str) -> Target:
        members = [self.codes.index(code) for code in labels]
        scores = self.probabilities[:, members].sum(axis=1)
        return Target(key, name, np.asarray(scores), np.isin(self.label, members))


def judged_cases(context: AuditContext) -> Judged:
    """Return the cases that performance is measured on, the same object for every check.

    Raises
    ------
    CheckSkippedError
        When no row has both probabilities and a label.
    """
    found = context.once("judged", lambda: Judged(context, np.flatnonzero(context.answers.judged)))
    assert isinstance(found, Judged)
    if not len(found):
        raise CheckSkippedError("no row has both an answer of the model and a label of the task")
    return found


def figure(estimate: Estimate, digits: int = 2, *, signed: bool = False) -> str:
    """Return a figure with its interval in words: ``0.71 (0.65 to 0.77)``."""
    sign = "+" if signed else ""
    text = f"{estimate.value:{sign}.{digits}f}"
    if estimate.interval is None:
        return f"{text} (no interval)"
    low, high = estimate.interval
    return f"{text} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def bounds(estimate: Estimate) -> dict[str, float | None]:
    """Return ``effect``, ``ci_low`` and ``ci_high`` as a finding has them."""
    low, high = estimate.interval or (None, None)
    return {"effect": finite(estimate.value), "ci_low": low, "ci_high": high}


def metric(estimate: Estimate, n: int) -> dict[str, float | None]:
    """Return a figure as ``CheckResult.metrics`` has it."""
    low, high = estimate.interval or (None, None)
    return {"value": finite(estimate.value), "ci_low": low, "ci_high": high, "n": float(n)}


def finite(value: float) -> float | None:
    """Return a number, None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def with_estimate(finding: Finding, estimate: Estimate) -> Finding:
    """Return a finding with its effect and interval."""
    return finding.model_copy(update=bounds(estimate))


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as a list in words, cut short where there are many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
