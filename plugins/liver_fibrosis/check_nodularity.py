"""How well surface nodularity is measured: ``python -m plugins.liver_fibrosis.check_nodularity``.

Simulated slices of the calibration set are measured within the simulator's own outline of the liver
and compared with the nodularity that was drawn for them. Writes ``nodularity-figures.json`` beside
this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from plugins.liver_fibrosis.data import slice_pixels, slices_of
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.nodularity import SMOOTH_MM, surface_nodularity
from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from plugins.liver_fibrosis.train import calibration_order
from whycad.audit.bootstrap import GroupBootstrap, Statistic
from whycad.files import write_whole
from whycad.types import JsonObject

N_SLICES = 200
TRIED_MM = (12.0, SMOOTH_MM, 24.0, 40.0)
SEED = 0
FIGURES = "nodularity-figures.json"


def measured(order: PackOrder, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the first n slices of an order.

    Returns
    -------
    drawn : ndarray of float64 (n,)
        In mm.
    found : ndarray of float64 (k, n)
        In mm, for each smoothing of ``TRIED_MM``; NaN where nothing could be measured.
    """
    drawn, found = [], []
    for index, item in enumerate(slices_of(order)):
        if index == n:
            break
        pixels, liver = slice_pixels(item), item.masks["liver"]
        values = [surface_nodularity(pixels, liver, item.pixel_mm, smooth_mm) for smooth_mm in TRIED_MM]
        drawn.append(item.latents["nodularity_mm"])
        found.append([np.nan if value is None else value for value in values])
    return np.array(drawn), np.array(found).T


def rank_correlation(drawn: NDArray[np.float64], found: NDArray[np.float64]) -> JsonObject:
    """Return Spearman's rank correlation with its interval, over slices that could be measured."""
    seen = np.isfinite(found)
    bootstrap = GroupBootstrap(np.arange(int(seen.sum())), seed=SEED)
    estimate = bootstrap.estimate({"rho": _spearman(drawn[seen], found[seen])})["rho"]
    return {"n": int(seen.sum()), **estimate.as_json()}


def _spearman(drawn: NDArray[np.float64], found: NDArray[np.float64]) -> Statistic:
    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.stack([np.repeat(np.arange(len(drawn)), row.astype(int)) for row in weights])
        first, second = (rankdata(values[rows], axis=1) for values in (drawn, found))
        first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
        spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
        return np.asarray((first * second).sum(axis=1) / np.where(spread > 0, spread, np.nan))

    return statistic


def figures(n: int) -> JsonObject:
    """Return the rank correlation with each smoothing that was tried."""
    drawn, found = measured(calibration_order(SEED), n)
    return {
        "data": f"simulated data, the first {n} slices of the calibration set",
        "smoothing_mm": SMOOTH_MM,
        "rank_correlation": {
            f"{mm:g} mm": rank_correlation(drawn, row) for mm, row in zip(TRIED_MM, found, strict=True)
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="check_nodularity", description="Hold measured nodularity against drawn.")
    parser.add_argument("--n", type=int, default=N_SLICES, help=f"slices (default {N_SLICES})")
    parser.add_argument("--out", type=Path, default=PLUGIN_FOLDER / FIGURES, metavar="OUT.json")
    args = parser.parse_args(arguments)
    result = figures(args.n)
    write_whole(args.out, json.dumps(result, indent=1) + "\n")
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
