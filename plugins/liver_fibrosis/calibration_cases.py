"""Simulated calibration cases with their stages, for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.simulator import STAGES
from plugins.liver_fibrosis.train import calibration_order
from whycad.reference_cases import ReferenceCase

N_CASES = 600


def reference_cases(_data: Path) -> Iterator[ReferenceCase]:
    """Yield the first simulated cases of the calibration order; nothing is read."""
    order = calibration_order(0)
    for index in range(min(N_CASES, order.n)):
        yield ReferenceCase(slice_study(order.slice(index)), None, STAGES[order.case(index)[0]], f"simulated-{index}")
