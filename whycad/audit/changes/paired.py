"""What artefacts put in or taken out do to the answer, each against its control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import Effect, mean_effects
from whycad.audit.changes.change import Change
from whycad.audit.context import AuditContext
from whycad.audit.findings import Severity
from whycad.audit.run.changed import ChangedAnswers
from whycad.audit.stats import CHECK_ALPHA

# A mean change of a probability by less is not worth a look; by a tenth it decides cases. Of it so much must be the
# artefact's own, not what any change of this size does.
WORTH_A_LOOK, LARGE = 0.05, 0.10
OWN, OWN_OF_LARGE = 0.02, 0.05
N_CASES = 12

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Paired:
    """What changes of a kinds of artefacts did to n sampled rows.

    Attributes
    ----------
    scope : ndarray of int64 (n,)
        The rows, as places in the audit's scope.
    kinds, codes : tuple of str
        Artefacts, and the labels that are tested.
    change : ndarray (a, n, len(codes))
        Probability with the change less that with the control; NaN where either is missing.
    flips : ndarray (a, 2, n)
        Whether the predicted label is another one with the change and with the control; NaN where unknown.
    refused : ndarray (a,)
        Share of the changed images that get no answer.
    effects : mapping of (str, str) to Effect
        Mean change by artefact and label, tested together.
    plain : mapping of (str, str) to Effect
        The same against the image as it was, without a control.
    """

    scope: IntArray
    kinds: tuple[str, ...]
    codes: tuple[str, ...]
    change: FloatArray
    flips: FloatArray
    refused: FloatArray
    effects: dict[tuple[str, str], Effect]
    plain: dict[tuple[str, str], Effect]

    def severity(self, kind: str, code: str) -> Severity:
        """Return how worrying a mean change of a probability is.

        The artefact must move the answer, and further than its control does: where only the control
        moves it, the artefact does not, and where both do alike, any change of this size would.
        """
        effect, plain = self.effects[kind, code], self.plain[kind, code]
        both = effect.sure and plain.sure and plain.p < CHECK_ALPHA and effect.value * plain.value > 0
        if not both or abs(plain.value) < WORTH_A_LOOK or abs(effect.value) < OWN:
            return Severity.OK
        large = abs(plain.value) >= LARGE and abs(effect.value) >= OWN_OF_LARGE
        return Severity.CRITICAL if large else Severity.WARNING

    def leading(self, kind: str) -> tuple[str, Effect]:
        """Return the label that an artefact moves most, those first that are worth a look, then those beyond chance."""
        own = {code: effect for (name, code), effect in self.effects.items() if name == kind}

        def rank(item: tuple[str, Effect]) -> tuple[bool, bool, float]:
            code, effect = item
            return self.severity(kind, code) is not Severity.OK, effect.sure, abs(float(np.nan_to_num(effect.value)))

        return max(own.items(), key=rank)

    def flip_shares(self, kind: str) -> tuple[float | None, float | None]:
        """Return how often the answer is another one: with the change, and with the control."""
        with_it, with_control = (_share(part) for part in self.flips[self.kinds.index(kind)])
        return with_it, with_control

    def clearest(self, context: AuditContext, kind: str, code: str, limit: int = N_CASES) -> tuple[str, ...]:
        """Return ids of the rows that changed most in the direction of the mean."""
        values = np.nan_to_num(self.change[self.kinds.index(kind), :, self.codes.index(code)])
        moved = values * np.sign(np.nan_to_num(self.effects[kind, code].value))
        order = [place for place in np.argsort(-moved, kind="stable") if moved[place] > 0]
        return context.ids(self.scope[order[:limit]], limit)


def _share(part: FloatArray) -> float | None:
    return float(np.nanmean(part)) if np.isfinite(part).any() else None


def paired(context: AuditContext, answers: ChangedAnswers, changes: Sequence[Change]) -> Paired:
    """Compare changes with their controls.

    Parameters
    ----------
    context : AuditContext
    answers : ChangedAnswers
        To every change and its control.
    changes : sequence of Change
    """
    columns = tested_columns(context)
    codes = tuple(context.answers.codes[column] for column in columns)
    kinds = tuple(change.kind for change in changes)
    real = [answers.of(change) for change in changes]
    sham = [answers.of(change.control) for change in changes]
    before = context.answers.predicted[answers.scope]
    moved = (answers.probabilities[:, real] - answers.probabilities[:, sham])[:, :, columns].transpose(1, 0, 2)
    first = context.answers.probabilities[answers.scope][:, None]
    plain = (answers.probabilities[:, real] - first)[:, :, columns].transpose(1, 0, 2)
    flips = [[_flips(answers.predicted[:, place], before) for place in pair] for pair in zip(real, sham, strict=True)]
    made = answers.answered[:, real]
    refused = ((answers.predicted[:, real] < 0) & made).sum(axis=0) / np.maximum(made.sum(axis=0), 1)
    groups = context.in_scope.groups[answers.scope]
    places = [(i, j) for i in range(len(kinds)) for j in range(len(codes))]
    values, alone = ({(kinds[i], codes[j]): part[i, :, j] for i, j in places} for part in (moved, plain))
    draws = context.bootstrap(groups)
    effects, changes_alone = mean_effects(values, groups, draws), mean_effects(alone, groups, draws)
    return Paired(answers.scope, kinds, codes, moved, np.array(flips), np.asarray(refused), effects, changes_alone)


def tested_columns(context: AuditContext) -> list[int]:
    """Return the columns of the labels that are tested: all, or of two the one that must not be missed."""
    labels = context.manifest.labels
    if len(labels) > 2:
        return list(range(len(labels)))
    return [0 if labels[0].must_not_miss and not labels[1].must_not_miss else 1]


def _flips(after: IntArray, before: IntArray) -> FloatArray:
    return np.where(after >= 0, (after != before).astype(np.float64), np.nan)
