"""Re-weight a stored result to another setting's prevalence, without running the model.

The model's probabilities hold at the prevalence of its calibration data. Where only the
prevalence differs (what each disease looks like does not), ``p'(y|x)`` is proportional to
``p(y|x) * new(y) / old(y)``.

References
----------
Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a Priori
Probabilities: A Simple Procedure, Neural Computation 2002, doi:10.1162/089976602753284446
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whycad.errors import PredictionError
from whycad.manifest import Manifest
from whycad.types import DecisionKind, Prediction
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.conformal import conformal_set
from whycad.uncertainty.decision import CaseNumbers, decide, predict_label
from whycad.uncertainty.scaling import normalised

LEAST_PREVALENCE = 1e-6
MAX_STEPS = 1000
CONVERGED = 1e-9


def checked_prior(prior: ArrayLike, k: int) -> NDArray[np.float64]:
    """Return a prevalence per label ``(k,)``, above 0 and adding up to 1.

    Raises
    ------
    PredictionError
        When it has another length, a value that is negative or not finite, or adds up to nothing.
    """
    values = np.asarray(prior, dtype=np.float64)
    if values.shape != (k,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise PredictionError(
            f"a prevalence is a number of at least 0 for each of {k} labels, not all of them 0",
            remedy="give one share per label, in the task's order",
        )
    return normalised(np.clip(values / values.sum(), LEAST_PREVALENCE, None))


def reweighted(
    probabilities: NDArray[np.float64], old: NDArray[np.float64], new: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return probabilities ``(..., k)`` moved from prevalence ``old`` to ``new``, each ``(k,)``."""
    return normalised(probabilities * (new / old))


def reweight(prediction: Prediction, calibration: Calibration, manifest: Manifest, prior: ArrayLike) -> Prediction:
    """Redo probabilities, members, predicted label and decision for another prevalence.

    What is a statement about each class alone, or about the image, stays: the conformal set and
    its p-values, the operating points, the split of the uncertainty, the gate.

    Parameters
    ----------
    prediction : Prediction
        As stored, at the prevalence ``calibration.prior``. One without a score is returned as it is.
    calibration : Calibration
    manifest : Manifest
    prior : array_like (k,)
        The reader's prevalence, in the order of the labels; scaled to add up to 1.

    Returns
    -------
    Prediction
        The ensemble's probability is the re-weighted one of the whole; that equals the members'
        mean weighted by how well each fits the new prevalence, not their plain mean.

    Raises
    ------
    PredictionError
        When ``prior`` is no prevalence.
    """
    new = checked_prior(prior, len(prediction.labels))
    if not prediction.predicted or not np.isfinite(prediction.probabilities).all():
        return prediction
    old = checked_prior(calibration.prior, len(prediction.labels))
    probabilities = reweighted(prediction.probabilities.astype(np.float64), old, new)
    predicted = predict_label(probabilities, manifest, tuple(new))
    moved = replace(
        prediction,
        probabilities=probabilities.astype(np.float32),
        member_probabilities=reweighted(prediction.member_probabilities.astype(np.float64), old, new).astype(
            np.float32
        ),
        predicted=predicted,
    )
    if prediction.decision.kind is DecisionKind.REJECT:
        return moved
    case = CaseNumbers(
        probabilities,
        predicted,
        _judged_set(prediction, manifest),
        prediction.uncertainty.epistemic,
        prediction.out_of_distribution,
    )
    return replace(moved, decision=decide(case, manifest, calibration))


def _judged_set(prediction: Prediction, manifest: Manifest) -> tuple[str, ...]:
    leading = prediction.labels[int(prediction.probabilities.argmax())]
    p = prediction.conformal_p.astype(np.float64)
    return conformal_set(p, prediction.labels, manifest.decision.set_coverage, leading, manifest.kind)


def estimate_prior(probabilities: NDArray[np.float64], prior: ArrayLike) -> NDArray[np.float64]:
    """Estimate the prevalence of unlabelled cases by expectation maximisation.

    Parameters
    ----------
    probabilities : ndarray (n, k)
        Calibrated at ``prior``, of at least one case.
    prior : array_like (k,)

    Returns
    -------
    ndarray (k,)
        The most likely prevalence, adding up to 1.

    Raises
    ------
    PredictionError
        When ``prior`` is no prevalence or there is no case.
    """
    if len(probabilities) == 0:
        raise PredictionError("a prevalence cannot be estimated without cases")
    old = checked_prior(prior, probabilities.shape[1])
    new = old
    for _ in range(MAX_STEPS):
        step = reweighted(probabilities, old, new).mean(axis=0)
        moved = float(np.abs(step - new).max())
        new = step
        if moved < CONVERGED:
            break
    return np.asarray(new)
