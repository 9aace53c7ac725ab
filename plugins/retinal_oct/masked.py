"""Cases on which maps are judged: Kermany scans, and Duke scans with experts' outlines of fluid.

The members' decoders learned fluid from the Duke scans; their classifiers never saw one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.retinal_oct.data import CALIBRATION_FOLD, DUKE, KERMANY, grey, groups_of, training_rows
from whycad.datasets.pack import Pack, read_pack
from whycad.masked_cases import MaskedCase, Part
from whycad.types import Study

LEAST_FLUID_PX = 50


def masked_cases(data: Path, part: Part, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield scans: of calibration, Kermany's alone; to report on, half of them Duke's with fluid outlined."""
    rng = np.random.default_rng(seed)
    n_fluid = n // 2 if part == "report" else 0
    pack = read_pack(data / KERMANY)
    rows = _calibration_rows(pack) if part == "calibration" else _report_rows(pack)
    chosen = rng.permutation(rows)[: n - n_fluid]
    for row, group in zip(chosen, groups_of(pack, chosen), strict=True):
        yield MaskedCase(_study(pack, int(row)), str(group))
    if n_fluid:
        yield from _with_fluid(read_pack(data / DUKE), n_fluid, rng)


def _with_fluid(pack: Pack, n: int, rng: np.random.Generator) -> Iterator[MaskedCase]:
    masks = np.asarray(pack.arrays["mask"], np.int64) > 0
    rows = np.flatnonzero(masks.sum(axis=(1, 2)) >= LEAST_FLUID_PX)
    for row in rng.permutation(rows)[:n]:
        # Fluid speaks for the diseased label, whichever of the two the scan is given.
        study, patient = _study(pack, int(row)), pack.text("patient", int(row))
        yield MaskedCase(study, patient, None, masks[row], "fluid", "scans with fluid", target="cnv")


def _calibration_rows(pack: Pack) -> NDArray[np.int64]:
    rows = training_rows(pack)
    return np.asarray(rows[pack.arrays["fold5"][rows] == CALIBRATION_FOLD], np.int64)


def _report_rows(pack: Pack) -> NDArray[np.int64]:
    rows = pack.rows("val")
    return np.asarray(rows[~pack.arrays["near_fold_border"][rows].astype(bool)], np.int64)


def _study(pack: Pack, row: int) -> Study:
    pixels = grey(pack, row)
    return Study(pixels, "OPT", hashlib.sha256(pixels.tobytes()).hexdigest())
