"""What the line of argument is worth: how it comes out where the label is right, and where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic, share_interval
from whycad.audit.outlines import rounded, weighted_mean
from whycad.reference import Distribution, Reference
from whycad.types import AnalysisResult, JsonObject

LEAST_CASES = 30
HEADLINES = {
    "three_for": "Cases with three findings or more for the label",
    "none_either_way": "Cases without any finding",
    "conflict_right": "Map and measurements disagree, label right",
    "conflict_wrong": "Map and measurements disagree, label wrong",
    "balance_auroc": "AUROC of the balance of findings, right labels against wrong ones",
}


@dataclass(frozen=True)
class ArguedCase:
    """One analysed case.

    Attributes
    ----------
    right : bool
        Whether the leading label is the known one.
    n_for, n_against : int
    conflict : bool
    balance : float
        Strengths of the findings from measurements and ratings, for less against.
    group : str
    """

    right: bool
    n_for: int
    n_against: int
    conflict: bool
    balance: float
    group: str


def argued_case(result: AnalysisResult, label: str, group: str) -> ArguedCase:
    """Take from a result with a score what is counted."""
    plain = [item for item in result.findings if item.source != "conflict"]
    own = [item for item in plain if item.source != "map"]
    return ArguedCase(
        right=result.prediction.predicted == label,
        n_for=sum(item.speaks_for for item in plain),
        n_against=sum(not item.speaks_for for item in plain),
        conflict=len(plain) < len(result.findings),
        balance=sum(item.strength if item.speaks_for else -item.strength for item in own),
        group=group,
    )


def argument_figures(cases: Sequence[ArguedCase], *, n_draws: int = 1000) -> JsonObject:
    """Return the figures of ``HEADLINES`` with 95 % intervals over groups, and the counts.

    Parameters
    ----------
    cases : sequence of ArguedCase
        At least one.
    n_draws : int

    Returns
    -------
    JsonObject
        ``value`` is None where a figure rests on fewer than 30 cases.
    """
    right = np.array([case.right for case in cases])
    conflict = np.array([case.conflict for case in cases], float)
    n_for = np.array([case.n_for for case in cases])
    nothing = np.array([case.n_for + case.n_against == 0 for case in cases], float)
    balance = np.array([case.balance for case in cases])
    everyone = np.ones(len(cases), bool)
    statistics: dict[str, Statistic] = {
        "three_for": weighted_mean((n_for >= 3).astype(float), everyone),
        "none_either_way": weighted_mean(nothing, everyone),
        "conflict_right": weighted_mean(conflict, right),
        "conflict_wrong": weighted_mean(conflict, ~right),
        "balance_auroc": _auroc(balance, right),
    }
    bootstrap = GroupBootstrap([case.group for case in cases], n_draws)
    found = bootstrap.estimate(statistics)
    enough = {"conflict_right": right.sum(), "conflict_wrong": (~right).sum()}
    enough["balance_auroc"] = min(enough.values())
    found = {name: item if name == "balance_auroc" else _share_of(item, bootstrap) for name, item in found.items()}
    shown = {name: _rounded(found[name], int(enough.get(name, len(cases)))) for name in HEADLINES}
    return {"n": len(cases), "n_groups": bootstrap.n_groups, "n_wrong": int((~right).sum()), **shown}


def _share_of(estimate: Estimate, bootstrap: GroupBootstrap) -> Estimate:
    """Return a share with an interval that claims no certainty where all or none count."""
    return replace(estimate, interval=share_interval(estimate, bootstrap.n_groups))


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Statistic:
    """Return the weighted probability that a positive case scores higher, ties counting half."""
    above = scores[positive][:, None] - scores[~positive][None]
    wins = (above > 0) + 0.5 * (above == 0)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = weights[:, positive], weights[:, ~positive]
        pairs = first.sum(axis=1) * second.sum(axis=1)
        won = np.einsum("bi,ij,bj->b", first, wins, second, optimize=True)
        return np.asarray(np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan), np.float64)

    return statistic


def _rounded(estimate: Estimate, n: int) -> JsonObject:
    if n < LEAST_CASES:
        return {"value": None, "interval": None, "n": n}
    return {**rounded(estimate), "n": n}


def reference_rows(reference: Reference, codes: Iterable[str]) -> list[list[str]]:
    """Return one row of cells per measurement and descriptor: name, then median and central 90 % by label."""
    chosen = list(codes)
    items = [(_title(item), item) for item in reference.measurements.values()]
    items += [(f"{name.replace('_', ' ')} (rated by the model)", item) for name, item in reference.concepts.items()]
    return [[name, *(_span(item, code) for code in chosen)] for name, item in items]


def _title(item: Distribution) -> str:
    return f"{item.name}, {item.unit}" if item.unit else item.name


def _span(item: Distribution, code: str) -> str:
    found = item.of(code)
    if found is None:
        n = item.labels[code].n if code in item.labels else 0
        return f"not established (n {n})"
    low, middle, high = (found.quantiles[place] for place in (5, 50, 95))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"
