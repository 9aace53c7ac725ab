from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from whycad.audit.changes.change import Canvas
from whycad.plugin import Plugin
from whycad.testing.planted_audit import DETECTOR
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.types import Region, Study

Drawn = Callable[..., Canvas]


@pytest.fixture(scope="session")
def grey_task(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    code = 'artefacts = "detector:artefacts"\n'
    spec = TinyPlugin(id="grey", colour=False, files={"detector.py": DETECTOR}, code=code)
    return write_plugin(tmp_path_factory.mktemp("grey"), spec)


@pytest.fixture(scope="session")
def colour_task(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    return write_plugin(tmp_path_factory.mktemp("colour"), TinyPlugin(id="colour"))


@pytest.fixture
def canvas(grey_task: Plugin, colour_task: Plugin) -> Drawn:
    """Return a function that makes a textured picture to be changed."""

    def made(
        shape: tuple[int, ...] = (64, 80), *, seed: int = 0, region: Region | None = None, outline: object = None
    ) -> Canvas:
        rng = np.random.default_rng(seed)
        colour = shape[-1] == 3
        pixels = np.clip(0.5 + rng.normal(0, 0.1, shape), 0.05, 0.9).astype(np.float32)
        study = Study(pixels, "OT", "0" * 64, unit="rgb" if colour else "normalised", simulated=True)
        return Canvas(study, region, colour_task if colour else grey_task, seed, lambda: outline)

    return made
