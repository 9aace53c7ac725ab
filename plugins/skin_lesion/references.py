"""The calibration fold's cases with their labels, for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.skin_lesion.data import CALIBRATION_FOLD, FOLD_SEED, LABELS, N_FOLDS
from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_study
from whycad.datasets.splits import grouped_folds
from whycad.manifest import load_manifest
from whycad.reference_cases import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield HAM10000's calibration rows, one grouped fold of ``train``."""
    manifest = load_manifest(Path(__file__).parent)
    pack = read_pack(data / "skin" / "ham10000.npz")
    rows = pack.rows("train")
    y, groups = pack.arrays["y"], pack.arrays["group_id"]
    folds = grouped_folds(y[rows].astype("int64"), groups[rows], N_FOLDS, seed=FOLD_SEED)
    for row in rows[folds == CALIBRATION_FOLD].tolist():
        yield ReferenceCase(row_study(pack, row, manifest), None, LABELS[int(y[row])], str(groups[row]))
