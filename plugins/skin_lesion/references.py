"""Cases of the reference distributions: HAM10000's calibration fold, which neither network was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plugins.skin_lesion.data import LABELS
from plugins.skin_lesion.train import calibration_cases
from whycad.datasets.pack_study import row_study
from whycad.manifest import load_manifest
from whycad.reference import ReferenceCase


def reference_cases(data: Path) -> Iterator[ReferenceCase]:
    """Yield the fold's images with their labels."""
    manifest = load_manifest(Path(__file__).parent)
    pack, rows = calibration_cases(data)
    for row in rows:
        yield ReferenceCase(row_study(pack, int(row), manifest), None, LABELS[int(pack.arrays["y"][row])])
