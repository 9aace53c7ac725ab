"""The calibration part's scans with their labels, for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plugins.retinal_oct.data import CALIBRATION_FOLD, KERMANY, LABELS, groups_of, labels_of
from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_study
from whycad.manifest import load_manifest
from whycad.reference_cases import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield the calibration part of the Kermany pack, a contiguous run without its borders."""
    manifest = load_manifest(Path(__file__).parent)
    pack = read_pack(data / KERMANY)
    kept = ~pack.arrays["near_fold_border"].astype(bool) & (pack.arrays["fold5"] == CALIBRATION_FOLD)
    rows = np.flatnonzero(kept)
    for row, label, group in zip(rows.tolist(), labels_of(pack, rows), groups_of(pack, rows), strict=True):
        yield ReferenceCase(row_study(pack, row, manifest), None, LABELS[int(label)], str(group))
