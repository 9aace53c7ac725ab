"""Answering some cases and handing over the rest: risk-coverage curve, AURC, expected harm.

References
----------
Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017.
Geifman et al., Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, ICLR 2019 (AURC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.measures import aurc_of
from whycad.manifest import Manifest
from whycad.uncertainty.decision import cost_matrix, utilities

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the ensemble and each member would answer to n labelled cases, and how sure they are.

    Attributes
    ----------
    labels : ndarray of int64 (n,)
    predicted : ndarray of int64 (n,)
    confidence : ndarray (n,)
        In the predicted label.
    member_predicted : ndarray of int64 (m, n)
    member_confidence : ndarray (m, n)
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: FloatArray
    member_predicted: NDArray[np.int64]
    member_confidence: FloatArray

    @classmethod
    def most_probable(cls, members: FloatArray, labels: NDArray[np.int64]) -> Answers:
        """Answer with the most probable label of calibrated members ``(m, n, k)`` and of their mean."""
        mean = members.mean(axis=0)
        return cls(labels, mean.argmax(axis=1), mean.max(axis=1), members.argmax(axis=2), members.max(axis=2))

    @classmethod
    def by_rule(
        cls, members: FloatArray, labels: NDArray[np.int64], manifest: Manifest, prior: Sequence[float]
    ) -> Answers:
        """Answer with the label that the manifest's rule chooses; the rule's own utility says how sure it is."""
        mean = utilities(members.mean(axis=0), manifest, prior)
        each = utilities(members, manifest, prior)
        return cls(labels, mean.argmax(axis=1), mean.max(axis=1), each.argmax(axis=2), each.max(axis=2))

    @property
    def wrong(self) -> BoolArray:
        """Whether the ensemble's answer is wrong, ``(n,)``."""
        return np.asarray(self.predicted != self.labels)

    @property
    def member_wrong(self) -> BoolArray:
        """Whether each member's answer is wrong, ``(m, n)``."""
        return np.asarray(self.member_predicted != self.labels)


def aurc(confidence: FloatArray, wrong: BoolArray) -> float:
    """Return the area under the risk-coverage curve; see ``measures.aurc_of``."""
    return float(aurc_of(confidence, wrong)(np.ones((1, len(confidence))))[0])


def optimal_aurc(wrong: BoolArray) -> float:
    """Return the smallest area that these errors allow: every error less confident than every hit."""
    ranks = np.argsort(np.argsort(wrong, kind="stable"))
    return aurc(-ranks.astype(np.float64), wrong)


def risk_coverage(confidence: FloatArray, wrong: BoolArray, n_points: int) -> tuple[FloatArray, FloatArray]:
    """Return shares of cases kept, most confident first, and the share of errors among them.

    Parameters
    ----------
    confidence : ndarray (n,)
    wrong : ndarray of bool (n,)
    n_points : int
        Points of the curve, evenly spaced in coverage up to 1.

    Returns
    -------
    tuple of ndarray (p,)
        Coverage, ascending, and risk. Cases of equal confidence are kept or given up together.
    """
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.r_[confidence[order][1:] != confidence[order][:-1], True])
    kept = ends + 1
    risk = np.cumsum(wrong[order])[ends] / kept
    coverage = kept / len(confidence)
    wanted = np.searchsorted(coverage, np.linspace(0, 1, n_points)[1:] - 1e-12)
    chosen = np.unique(np.clip(wanted, 0, len(ends) - 1))
    return coverage[chosen], risk[chosen]


def member_aurcs(answers: Answers) -> FloatArray:
    """Return each member's own area ``(m,)``."""
    return np.array([aurc(c, w) for c, w in zip(answers.member_confidence, answers.member_wrong, strict=True)])


@dataclass(frozen=True)
class AurcComparison:
    """AURC of the ensemble beside the median of its members, and their paired difference.

    Attributes
    ----------
    ensemble, median_member : Estimate
    difference : Estimate
        Ensemble less median member: below 0 where the ensemble is better.
    """

    ensemble: Estimate
    median_member: Estimate
    difference: Estimate

    @property
    def ensemble_is_better(self) -> bool:
        """Whether the whole interval of the difference lies below 0."""
        return self.difference.interval is not None and self.difference.interval[1] < 0


def compare_aurc(answers: Answers, bootstrap: GroupBootstrap) -> AurcComparison:
    """Compare on the same draws of groups; the median member is chosen anew in every draw.

    Parameters
    ----------
    answers : Answers
    bootstrap : GroupBootstrap
        Over the cases' groups.
    """
    ensemble = aurc_of(answers.confidence, answers.wrong)
    each = [aurc_of(c, w) for c, w in zip(answers.member_confidence, answers.member_wrong, strict=True)]

    def median(weights: FloatArray) -> FloatArray:
        return np.asarray(np.median(np.stack([one(weights) for one in each]), axis=0))

    def difference(weights: FloatArray) -> FloatArray:
        return np.asarray(ensemble(weights) - median(weights))

    statistics: dict[str, Statistic] = {"ensemble": ensemble, "median": median, "difference": difference}
    found = bootstrap.estimate(statistics)
    return AurcComparison(found["ensemble"], found["median"], found["difference"])


@dataclass(frozen=True, eq=False)
class Harm:
    """Cost of each case ``(n,)`` by the manifest's table: under the policy, and if all were reported."""

    policy: FloatArray
    report_all: FloatArray


def harm(answers: Answers, decisions: NDArray[np.str_], manifest: Manifest) -> Harm:
    """Return what each case cost.

    Without a cost table a wrong report costs 1 and everything else nothing, so that the mean is
    the share of errors that reach the reader.

    Parameters
    ----------
    answers : Answers
    decisions : ndarray of str (n,)
        ``report``, ``refer`` or ``reject``.
    manifest : Manifest
    """
    costs = manifest.decision.costs
    report_all = cost_matrix(manifest)[answers.labels, answers.predicted]
    refer, reject = (0.0, 0.0) if costs is None else (costs.refer, costs.reject)
    handed = np.where(decisions == "refer", refer, reject)
    return Harm(np.where(decisions == "report", report_all, handed), report_all)
