"""Choose and fit the form of the probability scaling by grouped cross-validated log loss.

Candidates go from simple to rich. Kept is the simplest whose log loss lies within one standard
error of the best one's (Hastie, Tibshirani and Friedman 2009, section 7.10), so that few cases
favour few parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from whycad.uncertainty.calibration_parts import Scaling, ScalingForm, ScalingTrial, StepMap
from whycad.uncertainty.scaling import apply_scaling, softmax

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
N_FOLDS = 5
# Holds the temperature at 1 as firmly as one observation would: without it, classes that a line
# separates would get probabilities of exactly 0 and 1.
TEMPERATURE_PENALTY = 1.0
MIN_FOR_STEPS = 500


@dataclass(frozen=True)
class Candidate:
    """One form, and how firmly its extra parameters are held at 0 (in units of observations)."""

    form: ScalingForm
    penalty: float = 0.0

    @property
    def name(self) -> str:
        """Such as ``offset 10``."""
        return f"{self.form} {self.penalty:g}" if self.penalty else self.form


CANDIDATES = (
    Candidate("temperature"),
    *(Candidate("offset", penalty) for penalty in (100.0, 10.0, 1.0)),
    *(Candidate("vector", penalty) for penalty in (30.0, 3.0)),
    *(Candidate("dirichlet", penalty) for penalty in (100.0, 10.0)),
    Candidate("isotonic"),
)


@dataclass(frozen=True, eq=False)
class ScalingData:
    """Calibration cases.

    Attributes
    ----------
    logs : ndarray (m, n, k)
        Members' log probabilities, views averaged.
    passes : ndarray (m, v, n, k)
        Log probabilities of every single view.
    labels : ndarray of int64 (n,)
    groups : ndarray of str (n,)
    folds : ndarray of int64 (n,)
        For cross-fitting; no group is in two.
    codes : tuple of str (k,)
    prior : ndarray (k,)
    """

    logs: FloatArray
    passes: FloatArray
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    folds: Rows
    codes: tuple[str, ...]
    prior: FloatArray

    def take(self, rows: Rows) -> ScalingData:
        """Return some of the cases."""
        return ScalingData(
            self.logs[:, rows],
            self.passes[:, :, rows],
            self.labels[rows],
            self.groups[rows],
            self.folds[rows],
            self.codes,
            self.prior,
        )


@dataclass(frozen=True, eq=False)
class FittedScaling:
    """The chosen form, fitted on all cases, and what it gives each case when fitted without its group.

    Attributes
    ----------
    scaling : Scaling
    members : ndarray (m, n, k)
        Cross-fitted.
    passes : ndarray (m, v, n, k)
        Cross-fitted.
    """

    scaling: Scaling
    members: FloatArray
    passes: FloatArray


def candidates_for(n: int) -> tuple[Candidate, ...]:
    """Return the forms that so many cases can carry; steps need many (Niculescu-Mizil and Caruana 2005)."""
    return tuple(c for c in CANDIDATES if c.form != "isotonic" or n >= MIN_FOR_STEPS)


def choose_scaling(data: ScalingData, candidates: tuple[Candidate, ...] | None = None) -> FittedScaling:
    """Compare the candidates, from simple to rich, and fit the chosen one.

    Parameters
    ----------
    data : ScalingData
    candidates : tuple of Candidate or None
        Those that suit the number of cases by default.
    """
    candidates = candidates or candidates_for(len(data.labels))
    tried = {candidate: _cross_fit(data, candidate) for candidate in candidates}
    losses = {candidate: case_losses(found[0], data.labels) for candidate, found in tried.items()}
    best = min(losses.values(), key=lambda values: float(values.mean()))
    trials = {
        candidate: ScalingTrial(
            log_loss=float(values.mean()), standard_error=grouped_standard_error(values - best, data.groups)
        )
        for candidate, values in losses.items()
    }
    chosen = next(c for c in candidates if trials[c].log_loss - best.mean() <= trials[c].standard_error + 1e-12)
    scaling = fit_scaling(data, chosen).model_copy(update={"trials": {c.name: t for c, t in trials.items()}})
    return FittedScaling(scaling, *tried[chosen])


def splits(folds: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield the rows outside and inside of each fold."""
    for fold in np.unique(folds):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


def case_losses(members: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """Return each case's negative log probability of its label ``(n,)``, of the members' mean."""
    chosen = members.mean(axis=0)[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(chosen, 1e-12, 1)))


def grouped_standard_error(values: FloatArray, groups: NDArray[np.str_]) -> float:
    """Return the standard error of the mean of ``values`` ``(n,)`` whose groups are independent."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(np.sum(sums**2)) / len(values))


def _cross_fit(data: ScalingData, candidate: Candidate) -> tuple[FloatArray, FloatArray]:
    members, passes = np.empty_like(data.logs), np.empty_like(data.passes)
    for train, test in splits(data.folds):
        scaling = fit_scaling(data.take(train), candidate)
        members[:, test] = apply_scaling(data.logs[:, test], scaling, tuple(data.prior))
        passes[:, :, test] = apply_scaling(data.passes[:, :, test], scaling, tuple(data.prior))
    return members, passes


def fit_scaling(data: ScalingData, candidate: Candidate) -> Scaling:
    """Fit one form on all the cases.

    Parameters
    ----------
    data : ScalingData
    candidate : Candidate
    """
    form: Literal["temperature", "offset", "vector", "dirichlet"] = (
        "temperature" if candidate.form == "isotonic" else candidate.form
    )
    matrix, offset = _fit_affine(data, form, candidate.penalty)
    maps = _isotonic(data, softmax(data.logs @ matrix.T + offset)) if candidate.form == "isotonic" else {}
    return Scaling(
        form=candidate.form,
        matrix=tuple(tuple(float(v) for v in row) for row in matrix),
        offset=tuple(float(v) for v in offset),
        maps=maps,
        floor=1.0 / (len(np.unique(data.groups)) + 2.0),
    )


def _fit_affine(data: ScalingData, form: str, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Return matrix ``(k, k)`` and offset ``(k,)`` that minimise the penalised log loss."""
    k = data.logs.shape[-1]
    free = {"temperature": 0, "offset": k, "vector": 2 * k, "dirichlet": k + k * k}[form]
    problem = _Affine(data.logs, data.labels, form, penalty)
    bounds = [(-3, 3)] + [(-30, 30)] * free
    found = minimize(problem, np.zeros(1 + free), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200})
    return problem.parts(found.x)


@dataclass(frozen=True, eq=False)
class _Affine:
    """Penalised log loss of ``softmax((exp(t) I + D) x + b)`` averaged over members, and its gradient.

    Parameters are ``t``, then ``b`` ``(k,)``, then ``D``: its diagonal or all of it. ``D`` and ``b``
    are held at 0: off-diagonal and intercept regularisation (Kull 2019), the diagonal too.
    """

    logs: FloatArray
    labels: NDArray[np.int64]
    form: str
    penalty: float

    def parts(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return matrix and offset."""
        k = self.logs.shape[-1]
        rest = parameters[1:]
        offset = rest[:k] if len(rest) else np.zeros(k)
        extra = rest[k:]
        spread = np.diag(extra) if len(extra) == k else extra.reshape(k, k) if len(extra) else np.zeros((k, k))
        return np.exp(parameters[0]) * np.eye(k) + spread, offset

    def __call__(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss and its gradient."""
        m, n, k = self.logs.shape
        matrix, offset = self.parts(parameters)
        p = softmax(self.logs @ matrix.T + offset)
        own = np.clip(p[:, np.arange(n), self.labels], 1e-300, None)
        mean = np.clip(own.mean(axis=0), 1e-12, None)
        # d(-log mean p_y) / d logits of a member: its share of the mean times (p - onehot).
        slope = (p - np.eye(k)[self.labels]) * (own / (m * mean))[..., None] / n
        by_matrix = np.tensordot(slope, self.logs, axes=((0, 1), (0, 1)))
        gradient = [np.array([np.exp(parameters[0]) * np.trace(by_matrix)])]
        if len(parameters) > 1:
            gradient.append(slope.sum(axis=(0, 1)))
        if len(parameters) > 1 + k:
            gradient.append(np.diag(by_matrix) if len(parameters) == 1 + 2 * k else by_matrix.ravel())
        weights = np.full(len(parameters), self.penalty / n)
        weights[0] = TEMPERATURE_PENALTY / n
        loss = float(-np.log(mean).mean() + np.sum(weights * parameters**2))
        return loss, np.concatenate(gradient) + 2 * weights * parameters


def _isotonic(data: ScalingData, members: FloatArray) -> dict[str, StepMap]:
    """Return one rising map per class; for two classes one map and its mirror image."""
    mean = members.mean(axis=0)
    k = mean.shape[1]
    if k == 2:
        second = _rising(mean[:, 1], data.labels == 1)
        mirrored = StepMap(x=tuple(1 - x for x in reversed(second.x)), y=tuple(1 - y for y in reversed(second.y)))
        return dict(zip(data.codes, (mirrored, second), strict=True))
    return {code: _rising(mean[:, i], data.labels == i) for i, code in enumerate(data.codes)}


def _rising(probability: FloatArray, came_true: NDArray[np.bool_]) -> StepMap:
    """Return a centred isotonic map: a line through the middles of the steps (Oron and Flournoy 2017).

    Plain steps would give many cases the same probability and lose their order.
    """
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit_transform(probability, came_true)
    _, step = np.unique(np.round(fitted, 12), return_inverse=True)
    size = np.bincount(step)
    middle = np.bincount(step, weights=probability) / size
    # One more case at the mean, so that a step of a few cases is no certainty.
    level = (np.bincount(step, weights=came_true.astype(np.float64)) + came_true.mean()) / (size + 1.0)
    x, y = (np.clip(np.maximum.accumulate(v), 0, 1) for v in (np.r_[0.0, middle, 1.0], np.r_[0.0, level, 1.0]))
    return StepMap(x=tuple(float(v) for v in x), y=tuple(float(v) for v in y))
