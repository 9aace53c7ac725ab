"""A method's figures over cases, with intervals by bootstrap over groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import GroupBootstrap, share_interval
from whycad.audit.map_fidelity import SHARES, MethodRow
from whycad.explain.fidelity.grading import FAILS, GRADES
from whycad.explain.fidelity.inside import Inside
from whycad.explain.fidelity.repeats import ENSEMBLE_SHARES
from whycad.map_grades import Figure, InsideFigures, MethodFigures, Thresholds

N_DRAWS = 1000
DIGITS = 4


def method_figures(rows: Sequence[MethodRow], thresholds: Thresholds, seed: int = 0) -> MethodFigures:
    """Summarise one method's rows, one at least.

    Parameters
    ----------
    rows : sequence of MethodRow
    thresholds : Thresholds
    seed : int
        Of the bootstrap.
    """
    groups = [row.group for row in rows]

    def over(value: Callable[[MethodRow], float | None]) -> Figure:
        return mean_figure([value(row) for row in rows], groups, seed)

    n_stages = len(rows[0].repeats.similarities)
    similarity = tuple(over(lambda row, i=i: row.repeats.similarities[i]) for i in range(n_stages))  # type: ignore[misc]
    grades = Counter(row.fidelity.grade for row in rows)
    return MethodFigures(
        n=len(rows),
        n_failed=grades[FAILS],
        deletion_random=over(lambda row: row.fidelity.deletion_gain_random),
        insertion_random=over(lambda row: row.fidelity.insertion_gain_random),
        deletion_edges=over(lambda row: row.fidelity.deletion_gain_edges),
        insertion_edges=over(lambda row: row.fidelity.insertion_gain_edges),
        similarity=similarity,
        shares=tuple(round(share, DIGITS) for share in (SHARES if n_stages == len(SHARES) else ENSEMBLE_SHARES)),
        passes_randomisation=not similarity or similarity[-1].value < thresholds.most_similar,
        stability=over(lambda row: row.fidelity.stability),
        inside=inside_figures([(row.inside, row.group) for row in rows if row.inside is not None], seed),
        grades={grade: grades[grade] for grade in GRADES},
    )


def mean_figure(values: Sequence[float | None], groups: Sequence[str], seed: int) -> Figure:
    """Return the mean of the values that are known, with its interval."""
    known = [(value, group) for value, group in zip(values, groups, strict=True) if value is not None]
    if not known:
        return Figure(value=0.0)
    return _figure(np.array([value for value, _ in known]), np.ones(len(known)), [group for _, group in known], seed)


def inside_figures(found: Sequence[tuple[Inside, str]], seed: int) -> InsideFigures | None:
    """Return how maps lie to their outlines; None where there are none."""
    if not found:
        return None
    groups = [group for _, group in found]
    area = np.array([item.area for item, _ in found])

    def ratio(values: Sequence[float]) -> Figure:
        return _figure(np.array(values, np.float64), area, groups, seed)

    def share(values: Sequence[float]) -> Figure:
        return _figure(np.array(values, np.float64), np.ones(len(values)), groups, seed, share=True)

    return InsideFigures(
        n=len(found),
        mass_ratio=ratio([item.mass for item, _ in found]),
        mass_ratio_shifted=ratio([item.mass_shifted for item, _ in found]),
        peak_inside=share([item.peak for item, _ in found]),
        peak_inside_shifted=share([item.peak_shifted for item, _ in found]),
    )


def _figure(
    above: NDArray[np.float64], below: NDArray[np.float64], groups: Sequence[str], seed: int, *, share: bool = False
) -> Figure:
    """Return a ratio of sums with its interval by bootstrap over groups."""
    bootstrap = GroupBootstrap(list(groups), N_DRAWS, seed)
    found = bootstrap.estimate({"it": lambda weights: (weights @ above) / (weights @ below)})["it"]
    interval = share_interval(found, bootstrap.n_groups) if share else found.interval
    if bootstrap.n_groups < 2:
        interval = None
    ends = None if interval is None else (round(interval[0], DIGITS), round(interval[1], DIGITS))
    return Figure(value=round(found.value, DIGITS), interval=ends)
