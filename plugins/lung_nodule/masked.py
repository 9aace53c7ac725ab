"""Cases on which maps are judged: LIDC-IDRI key slices with their readers' consensus outlines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.lung_nodule.data import CALIBRATION_FOLD, FOLD_SEED, KEY_SLICES, N_FOLDS, STORED_SIDE, median_label
from plugins.lung_nodule.rows import consensus, read_row, reader_masks
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.splits import grouped_folds
from whycad.masked_cases import MaskedCase, Part


def masked_cases(data: Path, part: Part, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield labelled nodules with what at least half of their readers outlined: of the calibration fold, or ``val``."""
    pack = read_pack(data / KEY_SLICES)
    rows = np.random.default_rng(seed).permutation(_rows(pack, part))
    packed = pack.arrays["reader_masks_packed"]
    for row in rows[:n]:
        study, region = read_row(pack, int(row))
        mask = consensus(reader_masks(packed[row], STORED_SIDE))
        drawn = mask if mask.any() else None
        yield MaskedCase(study, pack.group(int(row)), region, drawn, "nodule", "outlined nodules")


def _rows(pack: Pack, part: Part) -> NDArray[np.int64]:
    rows = pack.rows("val" if part == "report" else "train")
    names = [str(name) for name in pack.arrays["attr_names"]]
    labels = median_label(pack.arrays["reader_attr"][rows][:, :, names.index("malignancy")].astype(np.int8))
    kept = labels >= 0
    if part == "calibration":
        folds = grouped_folds(labels, pack.arrays["patient"][rows], N_FOLDS, seed=FOLD_SEED)
        kept &= folds == CALIBRATION_FOLD
    return np.asarray(rows[kept], np.int64)
