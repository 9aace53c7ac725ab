"""How answers to worse images compare with those to the images as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, Statistic
from whycad.audit.change_stats import Effect, effects
from whycad.audit.changes.change import Change
from whycad.audit.changes.corrupt import CORRUPTIONS
from whycad.audit.changes.skill import (
    balanced_accuracy,
    difference,
    error_among_reported,
    macro_auroc,
    share_withheld,
)
from whycad.audit.context import AuditContext
from whycad.audit.findings import Severity
from whycad.audit.run.changed import ChangedAnswers

# The middle of five strengths: plain to see, and seen in practice.
JUDGED_AT = 3
# A change by less than five in a hundred is not worth a look.
WORTH_A_LOOK = 0.05
MEASURES = ("balanced_accuracy", "auroc", "withheld", "error_reported")

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answered:
    """Answers to n labelled images, as they are or changed in one way.

    Attributes
    ----------
    probabilities : ndarray (n, k)
    predicted, labels : ndarray of int64 (n,)
        ``predicted`` is -1 where nothing reached the model.
    decision : ndarray of str (n,)
    """

    probabilities: NDArray[np.float64]
    predicted: IntArray
    labels: IntArray
    decision: NDArray[np.str_]

    def statistics(self) -> dict[str, Statistic]:
        """Return the measures; ranking and accuracy of the cases that were scored."""
        scored = self.predicted >= 0
        found: dict[str, Statistic] = {
            "withheld": share_withheld(self.decision),
            "error_reported": error_among_reported(self.predicted, self.labels, self.decision),
        }
        if scored.any():
            found["balanced_accuracy"] = _among(scored, balanced_accuracy(self.predicted[scored], self.labels[scored]))
            ranking = macro_auroc(self.probabilities[scored], self.labels[scored])
            if ranking is not None:
                found["auroc"] = _among(scored, ranking)
        return found


def _among(kept: NDArray[np.bool_], statistic: Statistic) -> Statistic:
    """Return a statistic of some cases as one of all."""
    return lambda weights: statistic(weights[:, kept])


def unchanged(context: AuditContext, answers: ChangedAnswers) -> Answered:
    """Return the answers to the sampled images as they are."""
    base, scope = context.answers, answers.scope
    return Answered(base.probabilities[scope], base.predicted[scope], base.label[scope], base.decision[scope])


def changed(context: AuditContext, answers: ChangedAnswers, change: Change) -> Answered:
    """Return the answers to the images that were changed in one way; a copy that failed counts as rejected."""
    place = answers.of(change)
    decision = np.where(answers.answered[:, place], answers.decision[:, place], "reject")
    labels = context.answers.label[answers.scope]
    return Answered(answers.probabilities[:, place], answers.predicted[:, place], labels, decision)


@dataclass(frozen=True, eq=False)
class Curve:
    """One corruption's measures from strength 0 (as they are) on.

    Attributes
    ----------
    kind : str
    points : tuple of mapping of str to Estimate
        By measure, one mapping per strength.
    n : int
    """

    kind: str
    points: tuple[dict[str, Estimate], ...]
    n: int


def curves_of(context: AuditContext, answers: ChangedAnswers) -> list[Curve]:
    """Return every corruption's curve."""
    draws = context.bootstrap(context.in_scope.groups[answers.scope])
    first = draws.estimate(unchanged(context, answers).statistics())
    curves = []
    for kind in CORRUPTIONS:
        steps = [change for change in answers.changes if change.kind == kind]
        later = [draws.estimate(changed(context, answers, change).statistics()) for change in steps]
        curves.append(Curve(kind, (first, *later), len(answers.scope)))
    return curves


@dataclass(frozen=True, eq=False)
class Degraded:
    """What one corruption does at the strength that findings are about.

    Attributes
    ----------
    kind : str
    accuracy, withheld, error : Effect
        Change in balanced accuracy, in the share that is referred or rejected, and in the share of
        errors among the reported cases.
    n_reported : int
        Reported cases, changed.
    rows : ndarray of int64
        Cases that are reported and wrong, and were not before, as places in the scope.
    """

    kind: str
    accuracy: Effect
    withheld: Effect
    error: Effect
    n_reported: int
    rows: IntArray

    @property
    def notices(self) -> bool:
        """Whether clearly more cases are referred or rejected."""
        return self.withheld.sure and self.withheld.value >= WORTH_A_LOOK


def degraded(context: AuditContext, answers: ChangedAnswers) -> list[Degraded]:
    """Compare every corruption with the images as they are, case by case."""
    draws = context.bootstrap(context.in_scope.groups[answers.scope])
    base = unchanged(context, answers)
    changes = [Change("corrupt", kind, JUDGED_AT) for kind in CORRUPTIONS]
    after = {change.kind: changed(context, answers, change) for change in changes}
    found = {}
    for measure in ("balanced_accuracy", "withheld", "error_reported"):
        first = base.statistics()[measure]
        later = {kind: one.statistics().get(measure) for kind, one in after.items()}
        statistics = {
            kind: (_undefined if statistic is None else difference(statistic, first), _count(after[kind], measure))
            for kind, statistic in later.items()
        }
        found[measure] = effects(statistics, draws, dict.fromkeys(statistics, draws.n_groups))
    wrong = (base.decision == "report") & (base.predicted != base.labels)
    return [
        Degraded(
            kind,
            found["balanced_accuracy"][kind],
            found["withheld"][kind],
            found["error_reported"][kind],
            int((one.decision == "report").sum()),
            answers.scope[(one.decision == "report") & (one.predicted != one.labels) & ~wrong],
        )
        for kind, one in after.items()
    ]


def _undefined(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(weights), np.nan)


def _count(one: Answered, measure: str) -> int:
    """Return how many cases a measure rests on."""
    if measure == "error_reported":
        return int((one.decision == "report").sum())
    return len(one.decision) if measure == "withheld" else int((one.predicted >= 0).sum())


def severity_of(found: Degraded) -> Severity:
    """Return how worrying a corruption is."""
    more_errors = found.error.sure and found.error.value >= WORTH_A_LOOK
    worse = found.accuracy.sure and found.accuracy.value <= -WORTH_A_LOOK
    if more_errors and not found.notices:
        return Severity.CRITICAL
    return Severity.WARNING if worse or more_errors else Severity.OK
