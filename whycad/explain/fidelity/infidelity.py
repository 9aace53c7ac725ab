"""Infidelity and sensitivity (Yeh 2019), from images that were scored anyway."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.explain.fidelity.curves import References
from whycad.types import FloatArray

SMALLEST_NORM = 1e-12


def infidelity(cell_sums: NDArray[np.float64], references: References) -> float | None:
    """Return the share of the score's changes that a map does not follow, after the best scaling.

    Changes are those under hiding random sets of cells, which serve as perturbations; the map
    predicts the sum of its hidden cells. This is ``captum.metrics.infidelity`` with
    ``normalize=True``, divided by the changes' mean square.

    Parameters
    ----------
    cell_sums : ndarray of float64 (n_cells,)
    references : References

    Returns
    -------
    float or None
        0 (follows) to 1; None where the score never changes.

    References
    ----------
    Yeh et al., On the (in)fidelity and sensitivity of explanations, NeurIPS 2019.
    """
    changes = references.whole - references.scores
    predicted = references.hidden @ cell_sums
    total, size = float(changes @ changes), float(predicted @ predicted)
    if total <= SMALLEST_NORM:
        return None
    if size <= SMALLEST_NORM**2:
        return 1.0
    return max(0.0, 1.0 - float(predicted @ changes) ** 2 / (size * total))


def relative_change(before: FloatArray, after: FloatArray) -> float:
    """Return the norm of a map's change over its own norm: ``captum.metrics.sensitivity_max`` of one draw."""
    size = float(np.linalg.norm(np.asarray(before, np.float64)))
    change = float(np.linalg.norm(np.asarray(after, np.float64) - before))
    return change / max(size, SMALLEST_NORM)
