"""Cases of the reference distributions: labelled nodules of the calibration fold, with their readers' ratings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.lung_nodule.concepts import SCALES
from plugins.lung_nodule.data import CALIBRATION_FOLD, FOLD_SEED, KEY_SLICES, LABELS, MALIGNANCY, N_FOLDS, median_label
from plugins.lung_nodule.rows import read_row
from whycad.datasets.pack import read_pack
from whycad.datasets.splits import grouped_folds
from whycad.reference_cases import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield the fold's nodules whose readers lean one way; the indeterminate have no label."""
    pack = read_pack(data / KEY_SLICES)
    rows = pack.rows("train")
    names = [str(name) for name in pack.arrays["attr_names"]]
    ratings = pack.arrays["reader_attr"][rows].astype(np.int8)
    labels = median_label(ratings[:, :, names.index(MALIGNANCY)])
    patients = pack.arrays["patient"][rows].astype(str)
    fold = grouped_folds(labels, patients, N_FOLDS, seed=FOLD_SEED)
    for index in np.flatnonzero((fold == CALIBRATION_FOLD) & (labels >= 0)):
        study, region = read_row(pack, int(rows[index]))
        yield ReferenceCase(study, region, LABELS[labels[index]], patients[index], _means(ratings[index], names))


def _means(ratings: NDArray[np.int8], names: list[str]) -> dict[str, float]:
    """Return the mean rating per descriptor of ratings ``(readers, descriptors)``, over those who rated."""
    means = {}
    for scale in SCALES:
        given = ratings[:, names.index(scale.name)]
        if (given > 0).any():
            means[scale.name] = float(given[given > 0].mean())
    return means
