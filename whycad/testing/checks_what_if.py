"""What a plugin's artefact detectors, reference set and fragility table must keep to."""

from __future__ import annotations

import numpy as np

from whycad.audit.changes.insert import drawn
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


def check_draw_artefact(plugin: Plugin) -> None:
    """Check that every artefact is drawn alike twice, inside its mask alone, and that the image stays as it was.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.draw_artefact is None:
        raise NotApplicable("plugin.toml names no draw_artefact")
    shape = next((shape for shape in probe_shapes(plugin.manifest.input) if len(shape) == 2), None)
    if shape is None:
        raise NotApplicable("artefacts are drawn into single images, and the task reads none")
    study = textured_study(plugin.manifest, shape)
    before = study.pixels.copy()
    for kind in plugin.manifest.audit.artefacts:
        (pixels, mask), (again, _) = (drawn(plugin, study, kind, seed=1) for _ in range(2))
        if not np.array_equal(before, study.pixels):
            raise PluginError(f"{plugin.label}: draw_artefact changes the study's pixels in place")
        if not np.array_equal(pixels, again):
            raise PluginError(f"{plugin.label}: draw_artefact draws {kind!r} in another way from the same seed")
        changed = pixels != before
        if not changed.any() or (changed.any(axis=-1) if study.is_colour else changed)[~mask].any():
            raise PluginError(f"{plugin.label}: draw_artefact changes {kind!r} outside its mask, or nothing")


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
