"""Cases of the reference distributions: the calibration part of the Kermany pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plugins.retinal_oct.data import CALIBRATION_FOLD, KERMANY, LABELS, NAMES, training_rows
from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_study
from whycad.manifest import load_manifest
from whycad.reference import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield the part's scans; no member was trained on it."""
    manifest = load_manifest(Path(__file__).parent)
    pack = read_pack(data / KERMANY)
    rows = training_rows(pack)
    for row in rows[np.asarray(pack.arrays["fold5"][rows]) == CALIBRATION_FOLD]:
        label = LABELS[NAMES[pack.label_name(int(row))]]
        yield ReferenceCase(row_study(pack, int(row), manifest), None, label)
