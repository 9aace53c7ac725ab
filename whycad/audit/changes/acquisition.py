"""How the answers fare on each scanner, kernel or site of acquisition that the metadata name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Statistic
from whycad.audit.change_stats import Effect, effects, interval_words, size_words
from whycad.audit.changes.skill import balanced_accuracy, difference
from whycad.audit.changes.words import listed
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import MetadataColumn
from whycad.audit.findings import Column, Finding, Severity, Table

CHECK_ID = "robustness"
# The body site of a lesion is no site of acquisition.
NAMES = re.compile(
    r"(^|_)(scanner|manufacturer|vendor|kernel|device|camera|dermatoscope|hospital|institution|centre|center|"
    r"field_strength|field_t|protocol)(_|$)"
)
WORTH_A_LOOK, LARGE = 0.05, 0.15
FEWEST_OF_A_LABEL = 5
NO_COLUMN = "Acquisition shift was not looked at: the metadata name no scanner, kernel or centre."
N_CASES = 12

Part = tuple[tuple[Finding, ...], tuple[Table, ...], str]


def acquisition_columns(context: AuditContext) -> list[MetadataColumn]:
    """Return the columns that say how or where an image was taken."""
    return [c for c in context.in_scope.columns if c.kind == "category" and NAMES.search(c.name.casefold())]


def acquisition_part(context: AuditContext) -> Part:
    """Compare each way of acquisition with all others.

    Returns
    -------
    (tuple of Finding, tuple of Table, str)
        The last is a note, where there is nothing to compare.
    """
    columns = acquisition_columns(context)
    if not columns:
        return (), (), NO_COLUMN
    # Values are corrected within their column, by Holm, and columns by Bonferroni.
    found = {
        (column.name, value): replace(effect, p=min(1.0, effect.p * len(columns)))
        for column in columns
        for value, effect in _compared(context, column).items()
    }
    if not found:
        return (_unknown(context, columns),), (), ""
    loud = {key: effect for key, effect in found.items() if effect.sure and abs(effect.value) >= WORTH_A_LOOK}
    findings = [_loud(context, *key, effect) for key, effect in loud.items()]
    quiet = {key: effect for key, effect in found.items() if key not in loud}
    alike = {key: effect for key, effect in quiet.items() if effect.far_end < LARGE}
    open_ones = {key: effect for key, effect in quiet.items() if key not in alike}
    findings += [part(some) for part, some in ((_alike, alike), (_not_alike, open_ones)) if some]
    return tuple(findings), (_table(found),), ""


def _compared(context: AuditContext, column: MetadataColumn) -> dict[str, Effect]:
    """Return by value how much balanced accuracy differs from that of all other known values."""
    answers, least = context.answers, context.options.least_n
    judged = answers.judged & column.known
    draws = context.bootstrap(context.in_scope.groups[judged])
    values, labels, predicted = column.values[judged], answers.label[judged], answers.predicted[judged]
    statistics = {}
    for value in np.unique(values):
        own = np.asarray(values == value)
        shared = _shared_labels(labels, own)
        inside, outside = own & np.isin(labels, shared), ~own & np.isin(labels, shared)
        if len(shared) < 2 or min(inside.sum(), outside.sum()) < least:
            continue
        first, second = (balanced_accuracy_among(predicted, labels, part) for part in (inside, outside))
        statistics[str(value)] = (difference(first, second), int(inside.sum()))
    return effects(statistics, draws, dict.fromkeys(statistics, draws.n_groups)) if statistics else {}


def balanced_accuracy_among(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], part: NDArray[np.bool_]
) -> Statistic:
    """Return balanced accuracy within a part of the cases."""
    inner = balanced_accuracy(predicted[part], labels[part])
    return lambda weights: inner(weights[:, part])


def _shared_labels(labels: NDArray[np.int64], own: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the labels with enough cases on both sides."""
    found = np.unique(labels)
    enough = [min((labels[own] == one).sum(), (labels[~own] == one).sum()) >= FEWEST_OF_A_LABEL for one in found]
    return np.asarray(found[np.array(enough, bool)])


def _loud(context: AuditContext, column: str, value: str, effect: Effect) -> Finding:
    found = context.in_scope.column(column)
    assert found is not None
    answers = context.answers
    wrong = np.asarray(found.values == value) & answers.judged & (answers.predicted != answers.label)
    large = abs(effect.value) >= LARGE
    return Finding(
        check=CHECK_ID,
        severity=Severity.CRITICAL if large else Severity.WARNING,
        message=f"With {column} {value[:40]}, balanced accuracy is {abs(effect.value):.2f} "
        f"{'lower' if effect.value < 0 else 'higher'} than with all others ({size_words(effect)}).",
        column=column,
        effect=effect.value,
        effect_name="difference in balanced accuracy",
        ci_low=effect.low,
        ci_high=effect.high,
        n=effect.n,
        cases=context.ids(wrong, N_CASES),
        n_cases=int(wrong.sum()),
    )


def _alike(found: dict[tuple[str, str], Effect]) -> Finding:
    """Say that ways of acquisition differ little, which their intervals show."""
    largest = max(found.values(), key=lambda effect: abs(effect.value))
    which = _ways(found) if len(found) == 1 else f"{len(found)} ways of acquisition"
    what = "difference" if len(found) == 1 else "largest difference"
    return Finding(
        check=CHECK_ID,
        severity=Severity.OK,
        message=f"With {which}, balanced accuracy differs from that of all others by less than {LARGE:.2f}; the "
        f"{what} is {largest.value:+.2f} ({interval_words(largest.low, largest.high)}).",
        effect=float(largest.value),
        effect_name="largest difference in balanced accuracy",
        ci_low=largest.low,
        ci_high=largest.high,
        n=largest.n,
    )


def _not_alike(found: dict[tuple[str, str], Effect]) -> Finding:
    """Name the ways of acquisition that are neither shown to differ nor shown to be alike."""
    found = dict(sorted(found.items(), key=lambda item: -item[1].far_end))
    widest = next(iter(found.values()))
    size = f"differ by as much as {widest.far_end:.2f}" if widest.low is not None else "differ by an unknown amount"
    return Finding(
        check=CHECK_ID,
        severity=Severity.UNKNOWN,
        message=f"Not shown to be alike: with {_ways(found)}, balanced accuracy could {size} (n = {widest.n}).",
        effect=float(widest.value) if np.isfinite(widest.value) else None,
        effect_name="difference in balanced accuracy",
        ci_low=widest.low,
        ci_high=widest.high,
        n=widest.n,
    )


def _ways(found: dict[tuple[str, str], Effect]) -> str:
    return listed([f"{column} {value[:40]}" for column, value in found])


def _unknown(context: AuditContext, columns: list[MetadataColumn]) -> Finding:
    names = ", ".join(column.name for column in columns)
    return Finding(
        check=CHECK_ID,
        severity=Severity.UNKNOWN,
        message=f"Acquisition shift by {names}: not established, no two values have {context.options.least_n} labelled "
        "cases of two labels.",
        column=columns[0].name,
        n=int(context.answers.judged.sum()),
    )


def _table(found: dict[tuple[str, str], Effect]) -> Table:
    titles = {"column": "Column", "value": "Value", "effect": "Difference", "low": "95 % from", "high": "to"}
    return Table(
        key="acquisition",
        title="Balanced accuracy by acquisition, less that of all others",
        columns=tuple(Column(key=k, title=t) for k, t in (titles | {"p": "p (Holm)", "n": "Images"}).items()),
        rows=tuple(
            (column, value, float(e.value) if np.isfinite(e.value) else None, e.low, e.high, e.p, e.n)
            for (column, value), e in found.items()
        ),
    )
