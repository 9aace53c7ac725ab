"""The figures of ``docs/uncertainty.md``: ranking, calibration, sets, selective answers, policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.bounds import BOUNDS, ECE_EXCESS, ECE_EXCESS_OF_FEW, FEW, Bounds, Figure, at_least, at_most
from whycad.audit.case_table import UNKNOWN, CaseTable
from whycad.audit.coverage import Coverage, SetCases, class_coverage, coverage_of
from whycad.audit.measures import auroc_of, ece_of, expected_ece, mean_of, mean_over
from whycad.audit.selective import Answers, compare_aurc, harm
from whycad.manifest import Manifest
from whycad.types import TaskKind
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.conformal import set_masks

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """A task's labelled cases and how to judge them.

    Attributes
    ----------
    table : CaseTable
        Every case has a label and reached the model (``judged_cases``).
    manifest : Manifest
    calibration : Calibration
    n_draws : int
        Of the bootstrap, and of labels for the expected calibration error.
    level : float
        Nominal coverage of the sets.
    subgroups : dict of str to ndarray of bool (n,)
        Parts of the cases whose coverage is wanted.
    rival : ndarray (n,) or None
        Another score of the binary task's second label, such as diameter.
    """

    table: CaseTable
    manifest: Manifest
    calibration: Calibration
    n_draws: int = 1000
    level: float = 0.9
    subgroups: dict[str, BoolArray] = field(default_factory=dict)
    rival: FloatArray | None = None

    @property
    def bounds(self) -> Bounds:
        """What the figures must reach."""
        return BOUNDS.get(self.manifest.id, Bounds())

    @property
    def bootstrap(self) -> GroupBootstrap:
        """Over the cases' groups."""
        return GroupBootstrap(self.table.group, self.n_draws)

    @property
    def sets(self) -> SetCases:
        """The conformal sets at ``level``."""
        table = self.table
        leading = table.probabilities.argmax(axis=1)
        masks = set_masks(table.conformal_p, self.level, leading, self.manifest.kind)
        return SetCases(masks, table.label, table.group, self.level)


def judged_cases(table: CaseTable) -> BoolArray:
    """Return which cases ``(n,)`` have a label and reached the model."""
    return np.asarray((table.label != UNKNOWN) & table.scored)


def ranking_figures(judged: Judged) -> list[Figure]:
    """Return AUROC, accuracy and, for stages, the clinical cuts and the weighted kappa."""
    table, bounds = judged.table, judged.bounds
    p, label = table.probabilities, table.label
    right = table.predicted == label
    statistics: dict[str, Statistic] = {"accuracy": mean_of(right)}
    if judged.manifest.kind is TaskKind.BINARY:
        statistics["AUROC"] = auroc_of(p[:, 1], label == 1)
    else:
        present = [i for i in range(p.shape[1]) if (label == i).any() and not (label == i).all()]
        statistics["AUROC, mean of one against the rest"] = mean_over([auroc_of(p[:, i], label == i) for i in present])
    statistics |= _stage_statistics(judged) if judged.manifest.kind is TaskKind.ORDINAL else {}
    found = judged.bootstrap.estimate(statistics)
    figures = [
        at_least(name, estimate, bounds.accuracy if name == "accuracy" else bounds.auroc if name == "AUROC" else None)
        for name, estimate in found.items()
    ]
    return [*figures, *_rival_figures(judged)]


def _stage_statistics(judged: Judged) -> dict[str, Statistic]:
    p, label, codes = judged.table.probabilities, judged.table.label, judged.manifest.label_codes
    found: dict[str, Statistic] = {}
    for first in range(1, len(codes)):
        positive = label >= first
        if positive.any() and not positive.all():
            name = codes[first] if first == len(codes) - 1 else f"{codes[first]} or more"
            found[f"AUROC, {name}"] = auroc_of(p[:, first:].sum(axis=1), positive)
    found["quadratic-weighted kappa"] = weighted_kappa(label, judged.table.predicted, len(codes))
    return found


def weighted_kappa(label: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> Statistic:
    """Return Cohen's kappa with quadratic weights (Cohen 1968)."""
    distance = (label - predicted).astype(np.float64) ** 2
    one_hot, said = np.eye(k)[label], np.eye(k)[predicted]
    apart = (np.arange(k)[:, None] - np.arange(k)[None]).astype(np.float64) ** 2

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        true_share, said_share = weights @ one_hot / total[:, None], weights @ said / total[:, None]
        chance = np.einsum("bi,ij,bj->b", true_share, apart, said_share)
        seen = weights @ distance / total
        return np.where(chance > 0, 1.0 - seen / np.where(chance > 0, chance, 1.0), np.nan)

    return statistic


def _rival_figures(judged: Judged) -> list[Figure]:
    """Compare with the rival score, on the cases where it is known."""
    if judged.rival is None or judged.manifest.kind is not TaskKind.BINARY:
        return []
    known, positive = np.isfinite(judged.rival), judged.table.label == 1
    model = auroc_of(judged.table.probabilities[:, 1], positive)
    rival = auroc_of(np.where(known, judged.rival, 0.0), positive)
    found = judged.bootstrap.estimate(
        {
            "rival": lambda weights: rival(weights * known),
            "gain": lambda weights: model(weights * known) - rival(weights * known),
        }
    )
    note = "" if known.all() else f"{int(known.sum())} cases with a diameter"
    return [
        replace(at_least("AUROC of diameter alone", found["rival"], None), note=note),
        replace(at_least("AUROC above diameter alone", found["gain"], judged.bounds.diameter_margin), note=note),
    ]


def calibration_figures(judged: Judged) -> list[Figure]:
    """Return the top label's calibration error, and what of it chance does not explain."""
    p = judged.table.probabilities
    top, hit = p.max(axis=1), p.argmax(axis=1) == judged.table.label
    error = float(ece_of(top, hit)(np.ones((1, len(top))))[0])
    expected = expected_ece(top, n_draws=judged.n_draws)
    bound = ECE_EXCESS if len(top) >= FEW else ECE_EXCESS_OF_FEW
    excess = error - expected
    return [
        Figure("calibration error (ECE) of the top label", error, note="15 bins"),
        Figure("the same of a perfectly calibrated model", expected, note=f"{judged.n_draws:,} draws of labels"),
        Figure("ECE in excess of that", excess, wanted=f"at most {bound:g}", met=bool(excess <= bound)),
    ]


def set_figures(judged: Judged) -> tuple[list[Figure], list[Coverage], list[Coverage]]:
    """Return set sizes, and the coverage per class and per subgroup."""
    sets = judged.sets
    size = sets.in_set.sum(axis=1).astype(np.float64)
    found = judged.bootstrap.estimate(
        {"size": mean_of(size), "one": mean_of(size == 1), "empty": mean_of(size == 0), "all": mean_of(sets.covered)}
    )
    figures = [
        at_most("mean set size", found["size"], judged.bounds.set_size, 2),
        at_least("share of sets with one label", found["one"], None),
        at_least("coverage over all", found["all"], None),
    ]
    if judged.manifest.kind is TaskKind.BINARY:
        figures.append(at_least('share of empty sets ("neither")', found["empty"], None))
    classes = class_coverage(sets, judged.manifest.label_codes, judged.n_draws)
    parts = coverage_of(sets, judged.subgroups, judged.n_draws) if judged.subgroups else []
    return figures, classes, parts


def selective_figures(judged: Judged) -> list[Figure]:
    """Return AURC beside the median member's, by the most probable label and by the task's rule."""
    table = judged.table
    figures = _aurc_rows(Answers.most_probable(table.members, table.label), judged, "most probable label")
    if judged.manifest.decision.balance_power > 0 or judged.manifest.decision.class_weights:
        answers = Answers.by_rule(table.members, table.label, judged.manifest, judged.calibration.prior)
        figures += [_unbounded(row) for row in _aurc_rows(answers, judged, "the task's rule")]
    return figures


def _aurc_rows(answers: Answers, judged: Judged, whose: str) -> list[Figure]:
    found = compare_aurc(answers, judged.bootstrap)
    surely = judged.bounds.aurc_surely
    met = found.ensemble_is_better if surely else bool(found.difference.value < 0)
    gap, median = found.difference, found.median_member
    return [
        Figure(f"AURC, {whose}", found.ensemble.value, found.ensemble.interval, digits=4),
        Figure(f"AURC of the median member, {whose}", median.value, median.interval, digits=4),
        Figure(
            f"ensemble less median member, {whose}",
            gap.value,
            gap.interval,
            "interval below 0" if surely else "below 0",
            met,
            "paired",
            4,
        ),
    ]


def _unbounded(figure: Figure) -> Figure:
    return replace(figure, wanted="", met=None)


def policy_figures(judged: Judged) -> list[Figure]:
    """Return what the policy does: shares, errors among the reported, harm."""
    table = judged.table
    answers = Answers.by_rule(table.members, table.label, judged.manifest, judged.calibration.prior)
    reported = table.decision == "report"
    costs = harm(answers, table.decision, judged.manifest)
    statistics: dict[str, Statistic] = {
        "reported": mean_of(reported),
        "referred": mean_of(table.decision == "refer"),
        "rejected": mean_of(table.decision == "reject"),
        "wrong among the reported": mean_of(answers.wrong, reported),
        "wrong if all were reported": mean_of(answers.wrong),
    }
    if judged.manifest.decision.costs is not None:
        statistics |= {
            "mean cost under the policy": mean_of(costs.policy),
            "mean cost if all were reported": mean_of(costs.report_all),
            "cost saved by the policy": mean_of(costs.report_all - costs.policy),
        }
    found = judged.bootstrap.estimate(statistics)
    return [*(at_least(name, estimate, None) for name, estimate in found.items()), *_healthy_referred(judged)]


def healthy_labels(manifest: Manifest) -> list[int]:
    """Return the columns of labels that are no disease: severity 0 and nothing that must not be missed."""
    return [i for i, label in enumerate(manifest.labels) if label.severity == 0 and not label.must_not_miss]


def _healthy_referred(judged: Judged) -> list[Figure]:
    bound = judged.bounds.healthy_referred
    healthy = np.isin(judged.table.label, healthy_labels(judged.manifest))
    if bound is None or not healthy.any():
        return []
    handed = judged.table.decision != "report"
    found: Estimate = judged.bootstrap.estimate({"handed": mean_of(handed, healthy)})["handed"]
    return [at_most("healthy cases referred or rejected", found, bound)]
