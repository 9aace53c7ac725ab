"""Cases on which maps are judged: simulated slices with the liver as the simulator drew it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.simulator_scanner import CALIBRATION_SCANNERS
from whycad.masked_cases import MaskedCase, Part

# The scanner that was never trained on, as in the task's other reports.
REPORT_SCANNERS = ("C",)
# Calibration itself drew from seed 0 of this stream; these slices are others of the same kind.
FIRST_SEED = 9000


def masked_cases(data: Path, part: Part, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield simulated slices, every stage equally often; no pack is read."""
    scanners = CALIBRATION_SCANNERS if part == "calibration" else REPORT_SCANNERS
    order = PackOrder(n, FIRST_SEED + seed, scanners, stream="calibration" if part == "calibration" else "pack")
    for index in range(n):
        item = order.slice(index)
        yield MaskedCase(slice_study(item), f"simulated-{index}", None, item.masks["liver"], "liver", "simulated cases")
