"""What goes with a group of maps: artefacts, metadata, wrong answers, the image's border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from whycad.audit.bootstrap import Statistic
from whycad.audit.change_stats import Effect
from whycad.audit.context import AuditContext
from whycad.audit.findings import Severity
from whycad.audit.map_clusters import Clusters
from whycad.audit.measures import mean_of
from whycad.audit.run.maps import border_cells
from whycad.audit.stats import CHECK_ALPHA, holm
from whycad.whatif.artefacts import artefact_words

BORDER_AREA = float(border_cells().mean())
# A smaller group, or a feature that fewer images have or lack, says nothing.
FEWEST = 5
FEWEST_OF_A_GROUP = 10
MOST_VALUES = 12
# Odds three times as high are worth a look; of an artefact ten times as high is worrying.
ODDS_WORTH_A_LOOK, ODDS_LARGE = 3.0, 10.0
BORDER_WORTH_A_LOOK, BORDER_LARGE = 0.6, 0.8

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Feature:
    """Something that images have or lack.

    Attributes
    ----------
    column, words : str
        Of the metadata or artefact; for a sentence.
    artefact : bool
    known, there : ndarray of bool (n,)
    """

    column: str
    words: str
    artefact: bool
    known: BoolArray
    there: BoolArray


@dataclass(frozen=True)
class Link:
    """How a group of maps goes with a feature.

    Attributes
    ----------
    cluster, size : int
    column, words : str
    shares : (float, float)
        Of the group's images and of the others that have it.
    odds, low, high : float
        Odds ratio with its interval.
    p : float
        After correction.
    artefact : bool
    """

    cluster: int
    size: int
    column: str
    words: str
    shares: tuple[float, float]
    odds: float
    low: float
    high: float
    p: float
    artefact: bool

    @property
    def severity(self) -> Severity:
        """How worrying it is."""
        if not (self.p < CHECK_ALPHA and self.low > 1 and self.odds >= ODDS_WORTH_A_LOOK and self.size >= FEWEST):
            return Severity.OK
        return Severity.CRITICAL if self.artefact and self.odds >= ODDS_LARGE else Severity.WARNING


@dataclass(frozen=True)
class Border:
    """How much of a group's maps lies at the border.

    Attributes
    ----------
    cluster, size : int
    share : Effect
        Mean share of the mass; its p value is against the border's share of the area.
    """

    cluster: int
    size: int
    share: Effect

    @property
    def severity(self) -> Severity:
        """How worrying it is."""
        sure = self.share.low is not None and self.share.low > BORDER_AREA and self.size >= FEWEST_OF_A_GROUP
        if not sure or self.share.value < BORDER_WORTH_A_LOOK:
            return Severity.OK
        return Severity.CRITICAL if self.share.value >= BORDER_LARGE else Severity.WARNING


def features_of(context: AuditContext, rows: IntArray, found: Mapping[str, BoolArray]) -> list[Feature]:
    """Return what may go with groups: artefacts that were found or noted, metadata by value, wrong answers."""
    everyone = np.ones(len(rows), bool)
    cases, answers = context.in_scope.select(rows), context.answers
    noted = {column.name for column in cases.columns if column.role == "artefact"}
    features = [
        Feature(kind, artefact_words(kind), True, everyone, there) for kind, there in found.items() if kind not in noted
    ]
    for column in cases.columns:
        if column.kind != "category":
            continue
        values = np.unique(column.values[column.known])
        if len(values) > MOST_VALUES:
            continue
        artefact = column.role == "artefact"
        for value in ["yes"] if artefact else values.tolist():
            words = artefact_words(column.name) if artefact else f"{column.name} {str(value)[:40]}"
            there = np.asarray(column.values == value)
            features.append(Feature(column.name, words, artefact, column.known, there))
    label, predicted = answers.label[rows], answers.predicted[rows]
    features.append(Feature("wrong", "wrong answers", False, label >= 0, label != predicted))
    return [one for one in features if FEWEST <= (one.there & one.known).sum() <= one.known.sum() - FEWEST]


def links_of(context: AuditContext, rows: IntArray, clusters: Clusters, features: Sequence[Feature]) -> list[Link]:
    """Compare every group with every feature, the surest first."""
    if clusters.n < 2:
        return []
    draws = context.bootstrap(context.in_scope.groups[rows])
    pairs = [(number, one) for number in range(clusters.n) for one in features]
    statistics = {
        str(place): log_odds_ratio(clusters.members(number), one.there, one.known)
        for place, (number, one) in enumerate(pairs)
    }
    found = draws.estimate(statistics)
    raw = [_fisher(clusters.members(number), one) for number, one in pairs]
    corrected = holm(np.array(raw)) if raw else np.zeros(0)
    links = []
    for place, (number, one) in enumerate(pairs):
        estimate = found[str(place)]
        low, high = estimate.interval or (-np.inf, np.inf)
        inside, known = clusters.members(number), one.known
        odds, least, most = (float(np.exp(np.clip(value, -20, 20))) for value in (estimate.value, low, high))
        links.append(
            Link(
                number,
                int(inside.sum()),
                one.column,
                one.words,
                (_share(one.there, inside & known), _share(one.there, ~inside & known)),
                odds,
                least,
                most,
                float(corrected[place]),
                one.artefact,
            )
        )
    return sorted(links, key=lambda link: link.p)


def log_odds_ratio(inside: BoolArray, there: BoolArray, known: BoolArray) -> Statistic:
    """Return the log of the odds of having something inside a group over those outside, half a case added to each."""
    cells = [part & known for part in (inside & there, inside & ~there, ~inside & there, ~inside & ~there)]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b, c, d = (np.log(weights @ cell.astype(np.float64) + 0.5) for cell in cells)
        return np.asarray(a - b - c + d)

    return statistic


def _fisher(inside: BoolArray, one: Feature) -> float:
    own, other = inside & one.known, ~inside & one.known
    counts = [[int((part & side).sum()) for side in (one.there, ~one.there)] for part in (own, other)]
    return float(stats.fisher_exact(counts).pvalue)


def _share(there: BoolArray, among: BoolArray) -> float:
    return float(there[among].mean()) if among.any() else 0.0


def border_of(
    context: AuditContext, rows: IntArray, maps: NDArray[np.float64], clusters: Clusters, number: int
) -> Border:
    """Measure how much of a group's maps lies at the border."""
    own = clusters.members(number)
    shares = maps[:, border_cells()].sum(axis=1)
    draws = context.bootstrap(context.in_scope.groups[rows])
    found = draws.estimate({"it": mean_of(shares, own)})["it"]
    low, high = found.interval or (None, None)
    return Border(number, int(own.sum()), Effect(found.value, low, high, 1.0, int(own.sum())))
