"""From a member's log probabilities to calibrated probabilities.

References
----------
Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature, vector).
Kull et al., Beyond temperature scaling: Dirichlet calibration, NeurIPS 2019.
Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability
estimates, KDD 2002 (isotonic, one against the rest, renormalised).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.uncertainty.calibration_parts import Scaling, StepMap


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values of at least 0 scaled to add up to 1 over the last axis; even where all are 0."""
    total = values.sum(axis=-1, keepdims=True)
    even = np.full_like(values, 1.0 / values.shape[-1])
    return np.asarray(np.divide(values, total, out=even, where=total > 0))


def apply_scaling(logs: NDArray[np.float64], scaling: Scaling, prior: Sequence[float]) -> NDArray[np.float64]:
    """Return calibrated probabilities.

    Parameters
    ----------
    logs : ndarray (..., k)
        Log probabilities of a member.
    scaling : Scaling
    prior : sequence of float (k,)
        Prevalence that ``scaling.floor`` mixes in.

    Returns
    -------
    ndarray of float64 (..., k)
        In 0..1, adding up to 1.
    """
    probabilities = softmax(logs @ np.asarray(scaling.matrix).T + np.asarray(scaling.offset))
    if scaling.maps:
        columns = [_mapped(probabilities[..., i], step) for i, step in enumerate(scaling.maps.values())]
        probabilities = normalised(np.stack(columns, axis=-1))
    return np.asarray((1.0 - scaling.floor) * probabilities + scaling.floor * np.asarray(prior))


def _mapped(values: NDArray[np.float64], step: StepMap) -> NDArray[np.float64]:
    return np.asarray(np.interp(values, step.x, step.y))
