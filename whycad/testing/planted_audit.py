"""An audit whose answers are known: a small pack of pictures, and tasks that look at the finding or at white corners.

Every picture is dim; those of label ``above`` have a bright square in the middle, which the pack outlines. Some
have white corners, which the task's own detector finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.engine import EngineOptions
from whycad.plugin import Plugin, load_plugin
from whycad.testing.planted import SHAPE, write_linear
from whycad.types import FloatArray

MIDDLE = (slice(12, 20), slice(12, 20))
CORNER = 5
LABELS = ("below", "above")
DETECTOR = '''
"""White corners: saturated places near the corners."""

import numpy as np

from whycad.whatif.artefacts import FoundArtefact


def artefacts(study):
    """Find white corners."""
    mask = study.pixels > 0.97
    mask[6:-6] = False
    mask[:, 6:-6] = False
    return (FoundArtefact("white_corner", mask, 1.0),) if mask.sum() >= 6 else ()
'''


def corner_mask() -> NDArray[np.bool_]:
    """Return the triangles at all four corners, ``(32, 32)``."""
    rows, columns = (np.minimum(grid, side - 1 - grid) for grid, side in zip(np.indices(SHAPE), SHAPE, strict=True))
    return np.asarray(rows + columns < CORNER)


def middle_mask() -> NDArray[np.bool_]:
    """Return where the finding is, ``(32, 32)``."""
    mask = np.zeros(SHAPE, bool)
    mask[MIDDLE] = True
    return mask


@dataclass(frozen=True)
class PlantedPack:
    """What a pack holds.

    Attributes
    ----------
    n : int
        Pictures; every second one is ``above``.
    corners : float
        Share of the pictures of ``above`` with white corners.
    corners_below : float
        The same of the others.
    contrast, noise : float
        Of the bright square; of every pixel.
    spread : float
        Standard deviation of each picture's own light.
    groups : int
        Pictures of one group.
    seed : int
    """

    n: int = 60
    corners: float = 0.0
    corners_below: float = 0.0
    contrast: float = 0.25
    noise: float = 0.03
    spread: float = 0.0
    groups: int = 1
    seed: int = 0

    def write(self, path: Path) -> Path:
        """Write the pack and return its path."""
        rng = np.random.default_rng(self.seed)
        label = np.arange(self.n) % 2
        images = 0.35 + rng.normal(0, self.noise, (self.n, *SHAPE)) + rng.normal(0, self.spread, (self.n, 1, 1))
        images[:, MIDDLE[0], MIDDLE[1]] += (label * self.contrast)[:, None, None]
        share = np.where(label == 1, self.corners, self.corners_below)
        with_corners = rng.random(self.n) < share
        images[with_corners] = np.where(corner_mask(), 1.0, images[with_corners])
        np.savez(
            path,
            images=np.clip(255 * images, 0, 255).round().astype(np.uint8),
            y=label,
            class_names=np.array(LABELS),
            image_id=np.array([f"case-{i}" for i in range(self.n)]),
            patient=np.array([f"p{i // self.groups}" for i in range(self.n)]),
            split=np.array(["val"] * self.n),
            mask=np.repeat(middle_mask()[None], self.n, axis=0).astype(np.uint8),
            scanner=np.array(["A", "B"])[rng.integers(0, 2, self.n)],
        )
        return path


def weights_of(finding: float, corners: float = 0.0, surroundings: float = 0.0) -> FloatArray:
    """Return weights whose sums over the finding, the corners and all else are these."""
    weights = np.zeros(SHAPE, np.float32)
    rest = ~(middle_mask() | corner_mask())
    for mask, total in ((middle_mask(), finding), (corner_mask(), corners), (rest, surroundings)):
        weights[mask] = total / mask.sum()
    return weights


def write_planted_task(parent: Path, weights: FloatArray, *, id: str = "planted") -> Plugin:
    """Write a linear task with a detector of white corners; the middle of its logits is that of the pack's pictures."""
    middle = 2 * 0.35 - 1
    bias = -float(weights.sum()) * middle - float(weights[MIDDLE].sum()) * 0.25
    plugin = write_linear(parent, weights, bias, id=id)
    (plugin.folder / "detector.py").write_text(DETECTOR, encoding="utf-8")
    path = plugin.folder / "plugin.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("[code]\n", '[code]\nartefacts = "detector:artefacts"\n')
    text = text.replace('methods = ["gradcam", "ig", "occlusion", "lime"]\ngradcam_layer = "layer1"', 'methods = ["ig"]')
    path.write_text(text, encoding="utf-8")
    return load_plugin(plugin.folder)


def open_planted_audit(
    folder: Path, weights: FloatArray, pack: PlantedPack, options: AuditOptions, *, id: str = "planted"
) -> AuditContext:
    """Write a pack and a task and open the audit of all pictures; ``WHYCAD_PLUGINS`` must name ``folder / "tasks"``.

    Parameters
    ----------
    folder : Path
    weights : ndarray (32, 32)
        See ``weights_of``.
    pack : PlantedPack
    options : AuditOptions
    id : str
        Of the task; another for every task in one folder.
    """
    plugin = write_planted_task(folder / "tasks", weights, id=id)
    ref = DatasetRef(pack.write(folder / f"{id}.npz"), plugin.id)
    dataset = ref.open()
    scope = np.arange(len(dataset.cases), dtype=np.int64)
    engine = EngineOptions(cache=folder / "cache")
    return AuditContext(ref, dataset, scope, options, engine, folder / f"out-{id}", plugin, "cpu")
