"""The checks of artefact detectors and shipped figures fail what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycad.plugin import Plugin, load_plugin
from whycad.testing.contract import run_check
from whycad.testing.plugins import TinyPlugin, write_plugin

FINDER = """
import itertools
import numpy as np
from whycad.whatif.artefacts import FoundArtefact

calls = itertools.count()


def artefacts(study):
    mask = np.zeros(study.spatial_shape, bool)
    mask[:3] = True
    {does}
    return (FoundArtefact("ink", mask, 0.5),)
"""


def plugin_that(folder: Path, does: str) -> Plugin:
    files = {"finder.py": FINDER.replace("{does}", does)}
    return write_plugin(folder, TinyPlugin(files=files, code='artefacts = "finder:artefacts"\n'))


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("study.pixels[0] = 0", "in place"),
        ("mask[next(calls) % 7 + 3] = True", "something else"),
        ("mask = mask[1:]", "no mask"),
        ("raise ValueError('CANARY')", "ValueError"),
    ],
)
def test_a_broken_detector_is_named(tmp_path: Path, does: str, reason: str) -> None:
    outcome = run_check(plugin_that(tmp_path, does), "artefacts")
    assert outcome.state == "failed"
    assert reason in outcome.reason
    assert "CANARY" not in outcome.reason


def test_a_sound_detector_passes_and_none_is_skipped(tmp_path: Path) -> None:
    assert run_check(plugin_that(tmp_path, "pass"), "artefacts").state == "passed"
    assert run_check(write_plugin(tmp_path / "plain"), "artefacts").state == "skipped"
    assert run_check(write_plugin(tmp_path / "plain"), "similar").state == "skipped"


def test_a_missing_reference_set_fails(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, TinyPlugin(more='\n[similar]\nfile = "reference_index.npz"\n'))
    outcome = run_check(load_plugin(plugin.folder), "similar")
    assert outcome.state == "failed"
    assert "missing or broken" in outcome.reason


DRAWER = """
import itertools
import numpy as np

calls = itertools.count()


def draw(study, kind, seed):
    pixels, mask = study.pixels.copy(), np.zeros(study.spatial_shape, bool)
    mask[:3] = True
    pixels[:3] = 1 - pixels[:3]
    {does}
    return pixels, mask
"""


def plugin_that_draws(folder: Path, does: str) -> Plugin:
    files = {"drawer.py": DRAWER.replace("{does}", does)}
    more = '\n[audit]\nartefacts = ["ink"]\n'
    return write_plugin(folder, TinyPlugin(files=files, code='draw_artefact = "drawer:draw"\n', more=more))


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("study.pixels[0] = 0", "in place"),
        ("pixels[next(calls) % 2] = 0", "another way"),
        ("mask[0] = False", "outside its mask"),
        ("mask = mask[1:]", "bool mask"),
        ("raise ValueError('CANARY')", "ValueError"),
    ],
)
def test_a_broken_drawing_is_named(tmp_path: Path, does: str, reason: str) -> None:
    outcome = run_check(plugin_that_draws(tmp_path, does), "draw_artefact")
    assert outcome.state == "failed"
    assert reason in outcome.reason
    assert "CANARY" not in outcome.reason


def test_a_sound_drawing_passes_and_none_is_skipped(tmp_path: Path) -> None:
    assert run_check(plugin_that_draws(tmp_path, "pass"), "draw_artefact").state == "passed"
    assert run_check(write_plugin(tmp_path / "plain"), "draw_artefact").state == "skipped"
