"""Fit the gate's reference on simulated slices: ``python -m plugins.liver_fibrosis.gate_fit``.

No real image is looked at: axes come from one half of the slices, limits from the other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.liver_fibrosis.data import slice_pixels, slices_of
from plugins.liver_fibrosis.gate import REFERENCE_FILE, GateReference, describe
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.simulator_scanner import TRAINING_SCANNERS

N_SLICES = 4000
N_AXES = 60
# The share of simulated slices that each limit lets through, and what is added for another scanner.
ACCEPT = 0.998
SLACK = 1.05


def fit_reference(layouts: NDArray[np.float64], looks: NDArray[np.float64]) -> GateReference:
    """Fit axes on even rows and limits on odd ones.

    Parameters
    ----------
    layouts : ndarray (n, d)
    looks : ndarray (n, p)

    Returns
    -------
    GateReference
        Rounded as it is stored.
    """
    mean, look_mean = layouts[::2].mean(axis=0), looks[::2].mean(axis=0)
    _, strength, axes = np.linalg.svd(layouts[::2] - mean, full_matrices=False)
    n_axes = min(N_AXES, len(axes) // 2)
    values, vectors = np.linalg.eigh(np.cov(looks[::2].T))
    open_wide = GateReference(
        layout_mean=_stored(mean),
        layout_axes=_stored(axes[:n_axes]),
        layout_scale=_stored(strength[:n_axes] / np.sqrt(len(layouts[::2]))),
        look_mean=look_mean,
        look_whiten=vectors / np.sqrt(values + 1e-6),
        limits=np.ones(3),
    )
    scores = np.concatenate(
        [open_wide.layout_scores(layouts[1::2]), open_wide.look_scores(looks[1::2])[:, None]], axis=1
    )
    return replace(open_wide, limits=SLACK * np.quantile(scores, ACCEPT, axis=0))


def _stored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.astype(np.float32), np.float64)


def simulated_reference(n: int = N_SLICES) -> GateReference:
    """Fit the reference on ``n`` slices of the scanners that the model is trained on."""
    found = [describe(slice_pixels(item)) for item in slices_of(PackOrder(n, 0, TRAINING_SCANNERS, stream="gate"))]
    return fit_reference(np.stack([layout for _, layout, _ in found]), np.stack([look for _, _, look in found]))


def write_reference(fitted: GateReference, path: Path) -> None:
    """Store a reference."""
    large = {"layout_mean", "layout_axes", "layout_scale"}
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
