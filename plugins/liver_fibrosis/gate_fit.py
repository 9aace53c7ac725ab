"""Fit the gate's reference on simulated slices: ``python -m plugins.liver_fibrosis.gate_fit``.

No real image is looked at: axes come from one half of the slices, limits from the other. The one
thing that is learned from counter-examples, also simulated, is the contrast without the agent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from plugins.liver_fibrosis.data import slice_pixels, slices_of
from plugins.liver_fibrosis.gate import CELL, REFERENCE_FILE, Description, GateReference, cells_of, describe
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.sequences import without_agent
from plugins.liver_fibrosis.simulator_scanner import NAMED_SCANNERS

N_SLICES = 4000
N_AXES = 60
N_CONTRAST_AXES = 200
# The share of simulated slices that each limit lets through, and what is added for another scanner.
ACCEPT = 0.998
SLACK = 1.05
ACCEPT_CONTRAST = 0.99


def fit_reference(seen: Sequence[Description], others: Sequence[Description]) -> GateReference:
    """Fit axes on every other slice and limits on the rest.

    Parameters
    ----------
    seen : sequence of Description
        Slices of the sequence that the model reads.
    others : sequence of Description
        Slices of another sequence, for the direction of contrast alone.
    """
    layouts, looks = np.stack([item.layout for item in seen]), np.stack([item.look for item in seen])
    fine, fine_others = _fine(seen), _fine(others)
    mean = layouts[::2].mean(axis=0)
    _, strength, axes = np.linalg.svd(layouts[::2] - mean, full_matrices=False)
    n_axes = min(N_AXES, len(axes) // 2)
    values, vectors = np.linalg.eigh(np.cov(looks[::2].T))
    unlimited = GateReference(
        layout_mean=_stored(mean),
        layout_axes=_stored(axes[:n_axes]),
        layout_scale=_stored(strength[:n_axes] / np.sqrt(len(layouts[::2]))),
        look_mean=looks[::2].mean(axis=0),
        look_whiten=vectors / np.sqrt(values + 1e-6),
        contrast_weights=_stored(contrast_direction(fine[::2], fine_others)),
        limits=np.array([1.0, 1.0, 1.0, 0.0]),
    )
    shape = np.concatenate(
        [unlimited.layout_scores(layouts[1::2]), unlimited.look_scores(looks[1::2])[:, None]], axis=1
    )
    contrast = fine[1::2] @ unlimited.contrast_weights
    limits = [*(SLACK * np.quantile(shape, ACCEPT, axis=0)), np.quantile(contrast, ACCEPT_CONTRAST)]
    return replace(unlimited, limits=np.array(limits))


def contrast_direction(usual: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights of cells ``(d,)``, larger towards the other sequence: logistic regression on principal axes."""
    both = np.concatenate([usual, others])
    n_axes = min(N_CONTRAST_AXES, len(both) // 4)
    axes = PCA(n_axes, svd_solver="randomized", random_state=0).fit(both)
    scaler = StandardScaler().fit(axes.transform(both))
    labels = np.repeat([0, 1], [len(usual), len(others)])
    fitted = LogisticRegression(C=0.01, max_iter=500).fit(scaler.transform(axes.transform(both)), labels)
    return np.asarray((fitted.coef_[0] / scaler.scale_) @ axes.components_)


def _fine(items: Sequence[Description]) -> NDArray[np.float64]:
    return cells_of(np.stack([item.inputs for item in items]), CELL // 2)


def _stored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.astype(np.float32), np.float64)


def simulated_reference(n: int = N_SLICES) -> GateReference:
    """Fit the reference on ``n`` slices of the named scanners of training."""
    order = PackOrder(n, 0, NAMED_SCANNERS, stream="gate")
    seen = [describe(slice_pixels(item)) for item in slices_of(order)]
    others = [describe(np.asarray(without_agent(seed, NAMED_SCANNERS) / 255, np.float32)) for seed in range(n // 2)]
    return fit_reference(seen, others)


def write_reference(fitted: GateReference, path: Path) -> None:
    """Store a reference."""
    large = {"layout_mean", "layout_axes", "layout_scale", "contrast_weights"}
    arrays = {
        field.name: getattr(fitted, field.name).astype(np.float32 if field.name in large else np.float64)
        for field in fields(GateReference)
    }
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="gate_fit", description="Fit the gate of liver_fibrosis on simulated slices.")
    parser.add_argument("--out", type=Path, default=REFERENCE_FILE)
    parser.add_argument("--n", type=int, default=N_SLICES, help=f"simulated slices (default {N_SLICES})")
    args = parser.parse_args(arguments)
    write_reference(simulated_reference(args.n), args.out)
    sys.stdout.write(f"gate fitted on {args.n} simulated slices: {args.out.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
