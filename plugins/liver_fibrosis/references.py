"""Cases of the reference distributions: the first simulated slices of the calibration set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.simulator import STAGES
from plugins.liver_fibrosis.train import calibration_order
from whycad.reference_cases import ReferenceCase

N_CASES = 1_000
SEED = 0


def reference_cases(_data: Path) -> Iterator[ReferenceCase]:
    """Yield simulated cases, every stage equally often; nothing is read from the data folder."""
    order = calibration_order(SEED)
    for index in range(N_CASES):
        item = order.slice(index)
        yield ReferenceCase(slice_study(item), None, STAGES[item.stage], f"simulated-{index}")
