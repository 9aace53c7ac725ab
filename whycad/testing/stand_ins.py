"""Runnable stand-ins for tasks that are not trained yet: a seeded CT task and one that reads B-scans.

Their networks are random; everything around them is real. Browser tests use them where the task
itself is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from whycad.plugin import Plugin
from whycad.testing.example_tasks import example_calibration
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.testing.volume_plugins import PATCHES, SLICES

EVIDENCE = '''
"""A ball of 8 mm about the middle of what the network sees."""

import numpy as np

from whycad.types import Concept, Evidence, Measurement, Segmentation

LEVELS = ("none", "slight", "moderate", "marked")


def evidence(study, inputs, outputs):
    """Return a diameter, a descriptor and the ball's outline."""
    shape = study.spatial_shape
    middle = np.array([[(side - 1) / 2 for side in inputs.geometry.model_shape]])
    centre = inputs.geometry.points_to_source(middle)[0][-len(shape):]
    spacing = study.spacing_mm or (1.0,) * len(shape)
    grid = np.indices(shape, dtype=np.float32)
    distance = sum(((grid[i] - centre[i]) * spacing[i]) ** 2 for i in range(len(shape)))
    return Evidence(
        (Measurement("diameter", 16.0, "mm", (4.0, 30.0), "from the outline"),),
        (Concept("spiculation", "How spiculated is it?", LEVELS, (0.1, 0.2, 0.3, 0.4)),),
        (Segmentation("outline", distance < 64, "a ball"),),
    )
'''
COSTS = "[decision.costs]\nrefer = 0.5\nreject = 0.6\n[decision.costs.report]\nmalignant = { benign = 8 }\n"
IN_HU = PATCHES.preprocess.replace("* 2 - 1", "/ 700 + 0.4")


def write_lung_stand_in(parent: Path) -> Plugin:
    """Write a task that reads a patch of a CT about a point."""
    spec = replace(
        PATCHES, id="lung_stand_in", title="Stand-in for lung nodules", labels=("benign", "malignant"),
        must_not_miss=("malignant",), shape=(12, 40, 40), n_members=3, preprocess=IN_HU,
        input='needs_region = true\nregion_name = "nodule"\nwindow = [-600.0, 1500.0]\n',
        files={"evidence.py": EVIDENCE}, code='evidence = "evidence:evidence"\n', more=COSTS,
    )  # fmt: skip
    return _write(parent, spec, {'["OT", "XC"]': '["CT"]', "[0.0, 1.0]": "[-1000.0, 400.0]"})


def write_oct_stand_in(parent: Path) -> Plugin:
    """Write a task that reads an OCT volume B-scan by B-scan."""
    spec = replace(
        SLICES, id="oct_stand_in", title="Stand-in for retinal OCT", labels=("normal", "cnv"), must_not_miss=("cnv",),
        n_members=3, files={"evidence.py": EVIDENCE}, code='evidence = "evidence:evidence"\n',
    )  # fmt: skip
    return _write(parent, spec, {'["OT", "XC"]': '["OPT"]'})


def _write(parent: Path, spec: TinyPlugin, changes: Mapping[str, str]) -> Plugin:
    """Write a plugin, change words of its manifest, and give it a whole calibration."""
    plugin = write_plugin(parent, spec)
    path = plugin.folder / "plugin.toml"
    text = path.read_text(encoding="utf-8").replace('kind = "multiclass"', 'kind = "binary"')
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    kept = json.loads((plugin.folder / "calibration.json").read_text(encoding="utf-8"))
    shown = example_calibration(plugin.manifest)
    for name in ("reliability", "held_out"):
        part = getattr(shown, name)
        kept[name] = None if part is None else part.model_dump()
    (plugin.folder / "calibration.json").write_text(json.dumps(kept), encoding="utf-8")
    return plugin
