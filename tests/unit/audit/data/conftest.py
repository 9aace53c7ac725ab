"""Folders of small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def draw(tmp_path: Path):
    """Write a small PNG below the test's folder and return its path."""

    def write(name: str, seed: int = 0, colour: bool = True) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (10, 12, 3) if colour else (10, 12)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
        return path

    return write
