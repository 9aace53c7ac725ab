"""What a plugin's artefact detectors, reference set and fragility table must keep to."""

from __future__ import annotations

import numpy as np

from whycad.errors import ManifestError, PluginError
from whycad.plugin import Plugin
from whycad.reference_index import read_index
from whycad.testing.checks import NotApplicable
from whycad.testing.probes import probe_shapes, textured_study
from whycad.whatif.artefacts import find_artefacts
from whycad.whatif.fragility import table_of


def check_artefacts(plugin: Plugin) -> None:
    """Check that artefacts are found alike twice, with masks that fit, and that the image stays as it was.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.artefacts is None:
        raise NotApplicable("plugin.toml names no artefacts")
    shapes = [shape for shape in probe_shapes(plugin.manifest.input) if len(shape) == 2]
    if not shapes:
        raise NotApplicable("artefacts are looked for in single images, and the task reads none")
    for shape in shapes:
        study = textured_study(plugin.manifest, shape)
        before = study.pixels.copy()
        first, second = (find_artefacts(study, plugin) for _ in range(2))
        if not np.array_equal(before, study.pixels):
            raise PluginError(f"{plugin.label}: artefacts changes the study's pixels in place")
        if [item.name for item in first] != [item.name for item in second] or not all(
            np.array_equal(a.mask, b.mask) for a, b in zip(first, second, strict=True)
        ):
            raise PluginError(f"{plugin.label}: artefacts finds something else in the same image")


def check_similar(plugin: Plugin) -> None:
    """Check that the shipped reference set and fragility table are there and of these weights.

    Raises
    ------
    ManifestError
    """
    declared = plugin.manifest.similar
    if declared is None and plugin.manifest.fragility is None:
        raise NotApplicable("plugin.toml names neither a reference set nor a fragility table")
    table_of(plugin)
    if declared is None:
        return
    reference = read_index(plugin.folder / declared.file, plugin)
    missing = [label for label in reference.labels if not len(reference.rows_of(label))]
    if missing:
        raise ManifestError(f"{plugin.label}: the reference set has no case of {missing[0]!r}")
