"""The calibration fold's nodules with their labels, for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.lung_nodule.data import CALIBRATION_FOLD, KEY_SLICES, LABELS, nodule_table
from plugins.lung_nodule.rows import read_row
from whycad.datasets.pack import read_pack
from whycad.reference_cases import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield LIDC-IDRI's calibration rows: one fold of ``train`` cut by patient, median rating not 3."""
    table, pack = nodule_table(data), read_pack(data / KEY_SLICES)
    chosen = (table.fold == CALIBRATION_FOLD) & (table.label >= 0)
    rows = pack.rows("train")[chosen].tolist()
    for row, label, patient in zip(rows, table.label[chosen], table.patient[chosen], strict=True):
        study, region = read_row(pack, row)
        yield ReferenceCase(study, region, LABELS[int(label)], str(patient))
