"""How the task reads a row of a pack: simulated packs say that they are simulated MR."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from whycad.datasets.pack import Pack
from whycad.datasets.pack_study import row_study
from whycad.manifest import Manifest, load_manifest
from whycad.types import Region, Study

PLUGIN_FOLDER = Path(__file__).parent


@cache
def _manifest() -> Manifest:
    return load_manifest(PLUGIN_FOLDER)


def read_row(pack: Pack, row: int) -> tuple[Study, Region | None]:
    """Return one row as a Study.

    Rows of `plugins.liver_fibrosis.make_data` packs are MR, with spacing, and marked as simulated;
    every other pack is read plainly and left to the gate.
    """
    study = row_study(pack, row, _manifest())
    marked = pack.arrays.get("simulated")
    if marked is None or marked.ndim != 0 or not bool(marked):
        return study, None
    spacing = pack.column("pixel_mm")
    known = None if spacing is None else (float(spacing[row]), float(spacing[row]))
    return replace(study, modality="MR", spacing_mm=known, simulated=True), None
