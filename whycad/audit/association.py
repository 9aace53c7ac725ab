"""Every metadata column against every label: what the check ``metadata_label`` reports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray, Statistic
from whycad.audit.data.cases import UNKNOWN, AuditCases, BoolArray, MetadataColumn
from whycad.audit.stats import (
    Auc,
    Exposure,
    OddsRatio,
    auc_from,
    auc_of,
    benjamini_hochberg,
    cramers_v_of,
    mutual_information_of,
    odds_ratio_from,
    one_hot,
)

if TYPE_CHECKING:
    from whycad.audit.bootstrap import GroupBootstrap

MAX_LEVELS = 30
# Fewer groups than these carry no interval: their draws are nearly always the same.
LEAST_GROUPS = 5
REST = "any other"
YES = "yes"


@dataclass(frozen=True, eq=False)
class Pair:
    """One level of a column, or a number, and one label.

    Attributes
    ----------
    column : MetadataColumn
    level : str
        Empty for numbers.
    label : str
    ratio : OddsRatio or None
    auc : Auc or None
    p : float
        Adjusted by Benjamini and Hochberg over all pairs.
    exposed : ndarray of bool (n,)
        Images with the level; of numbers those that are known.
    """

    column: MetadataColumn
    level: str
    label: str
    ratio: OddsRatio | None
    auc: Auc | None
    p: float
    exposed: BoolArray

    @property
    def strength(self) -> float:
        """How strong, on the scale of odds ratios (1 is none); areas by way of Cohen's d."""
        if self.ratio is not None:
            return self.ratio.size
        return 1.0 if self.auc is None else odds_of_area(self.auc.size)


@dataclass(frozen=True, eq=False)
class Overall:
    """One category column against all labels."""

    column: MetadataColumn
    cramers_v: Estimate
    information: Estimate
    n: int


@dataclass(frozen=True, eq=False)
class Associations:
    """What was tested, and what could not be.

    Attributes
    ----------
    pairs : tuple of Pair
    overall : tuple of Overall
    too_few : tuple of str
        Columns none of whose levels has enough images.
    labels : tuple of str
        Those that were tested against the others.
    """

    pairs: tuple[Pair, ...]
    overall: tuple[Overall, ...]
    too_few: tuple[str, ...]
    labels: tuple[str, ...]

    def of(self, column: str) -> list[Pair]:
        """Return a column's pairs, the strongest first."""
        return sorted((pair for pair in self.pairs if pair.column.name == column), key=lambda pair: -pair.strength)


def odds_of_area(area: float) -> float:
    """Return the odds ratio that goes with an area under the ROC curve: both from Cohen's d.

    References
    ----------
    Chinn 2000, doi:10.1002/1097-0258(20001130)19:22<3127::AID-SIM784>3.0.CO;2-M
    """
    from scipy.stats import norm

    d = np.sqrt(2) * norm.ppf(min(area, 1 - 1e-9))
    return float(np.exp(d * np.pi / np.sqrt(3)))


def tested_labels(cases: AuditCases, least_n: int) -> tuple[str, ...]:
    """Return the labels with enough images, without the commonest: what holds of it follows."""
    counts = Counter(cases.labels[cases.labelled].tolist())
    if len(counts) < 2:
        return ()
    commonest = max(counts, key=lambda label: counts[label])
    order = [label for label in cases.label_order if label in counts]
    order += sorted(set(counts) - set(order))
    return tuple(label for label in order if label != commonest and counts[label] >= least_n)


def associations(
    cases: AuditCases, columns: tuple[MetadataColumn, ...], bootstrap: GroupBootstrap, least_n: int
) -> Associations:
    """Test every column against every label but the commonest.

    Parameters
    ----------
    cases : AuditCases
        All n rows; those without a label count for nothing.
    columns : tuple of MetadataColumn
    bootstrap : GroupBootstrap
        Over the groups of the n rows.
    least_n : int
        Levels with fewer images are put together.
    """
    labels = tested_labels(cases, least_n)
    plans = [plan for column in columns for plan in _plans(cases, column, labels, least_n)]
    wholes = {c.name: _whole(cases, c, least_n) for c in columns if c.kind == "category"}
    statistics: dict[str, Statistic] = {str(i): plan.statistic for i, plan in enumerate(plans)}
    for name, (x, y, _n) in wholes.items():
        statistics |= {f"v {name}": cramers_v_of(x, y), f"i {name}": mutual_information_of(x, y)}
    found = bootstrap.estimate(statistics)
    pairs = [plan.pair(found[str(i)]) for i, plan in enumerate(plans)]
    adjusted = benjamini_hochberg([_p(pair) for pair in pairs])
    pairs = [_with_p(pair, float(p)) for pair, p in zip(pairs, adjusted, strict=True)]
    tested = {pair.column.name for pair in pairs}
    overall = [
        Overall(column, found[f"v {column.name}"], found[f"i {column.name}"], wholes[column.name][2])
        for column in columns
        if column.name in wholes
    ]
    too_few = tuple(column.name for column in columns if column.name not in tested)
    return Associations(tuple(pairs), tuple(overall), too_few, labels)


def _p(pair: Pair) -> float:
    measured = pair.ratio or pair.auc
    assert measured is not None
    return measured.p


def _with_p(pair: Pair, p: float) -> Pair:
    return Pair(pair.column, pair.level, pair.label, pair.ratio, pair.auc, p, pair.exposed)


@dataclass(frozen=True, eq=False)
class _Plan:
    column: MetadataColumn
    level: str
    label: str
    exposure: Exposure

    @property
    def statistic(self) -> Statistic:
        if self.column.kind == "number":
            scores = self.column.values.astype(np.float64)
            return auc_of(scores, self.exposure.positive, self.exposure.known)
        return self.exposure.log_odds_ratio

    def pair(self, found: Estimate) -> Pair:
        number = self.column.kind == "number"
        area = auc_from(found, self.exposure.positive, self.exposure.known) if number else None
        ratio = None if number else odds_ratio_from(found, self.exposure)
        return Pair(self.column, self.level, self.label, ratio, area, float("nan"), self.exposure.exposed)


def _plans(cases: AuditCases, column: MetadataColumn, labels: tuple[str, ...], least_n: int) -> list[_Plan]:
    known = column.known & cases.labelled
    exposures = {"": known} if column.kind == "number" else _levels(column, known, least_n)
    found = []
    for level, exposed in exposures.items():
        for label in labels:
            positive = cases.labels == label
            sides = (exposed & known, ~exposed & known) if level else (positive & known, ~positive & known)
            enough = all(side.sum() >= least_n and _n_groups(cases, side) >= LEAST_GROUPS for side in sides)
            if enough and (positive & known).sum() >= least_n:
                found.append(_Plan(column, level, label, Exposure(exposed, positive, known)))
    return found


def _n_groups(cases: AuditCases, rows: BoolArray) -> int:
    return len(np.unique(cases.groups[rows]))


def _levels(column: MetadataColumn, known: BoolArray, least_n: int) -> dict[str, BoolArray]:
    """Return the levels with enough images; of two levels one says it all."""
    counts = Counter(column.values[known].tolist())
    names = [str(name) for name, n in counts.most_common(MAX_LEVELS) if n >= least_n]
    if len(counts) == 2:
        names = [YES if YES in counts else str(min(counts, key=lambda name: (counts[name], name)))]
    return {name: np.asarray(column.values == name) for name in names}


def _whole(cases: AuditCases, column: MetadataColumn, least_n: int) -> tuple[FloatArray, FloatArray, int]:
    """Return a column and the labels as one-hot arrays, rare levels put together, and how many are known."""
    known = column.known & cases.labelled
    counts = Counter(column.values[known].tolist())
    common = [str(name) for name, n in counts.most_common(MAX_LEVELS) if n >= least_n]
    values = np.where(np.isin(column.values, common), column.values, REST)
    values = np.where(known, values, UNKNOWN)
    labels = np.where(known, cases.labels, UNKNOWN)
    levels = [*common, *([REST] if len(common) < len(counts) else [])]
    classes = sorted(set(labels.tolist()) - {UNKNOWN})
    return one_hot(values, levels), one_hot(labels, classes), int(known.sum())
