"""Tasks whose answer is known: the logit of the second label is a weighted sum of the image's pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from whycad.plugin import Plugin, load_plugin
from whycad.testing.plugins import TinyPlugin, make_calibration, write_manifest, write_plugin
from whycad.types import FloatArray, Study
from whycad.weights import file_sha256

LINEAR_MODEL = '''
import torch
from numpy.typing import NDArray
from torch import nn

SHAPE = {shape}


class Linear(nn.Module):
    """A plane: the first label's logit is 0."""

    def __init__(self):
        super().__init__()
        self.plane = nn.Linear(SHAPE[0] * SHAPE[1], 1)

    def forward_features(self, x):
        return x.flatten(1)

    def forward(self, x):
        value = self.plane(self.forward_features(x))
        return torch.cat([torch.zeros_like(value), value], dim=1)


def build_model():
    """Build one untrained member."""
    return Linear()
'''
SHAPE = (32, 32)
LINEAR = TinyPlugin(
    id="linear", title="Linear test task", labels=("below", "above"), shape=SHAPE, colour=False, n_members=1,
    tta=("identity",), model=LINEAR_MODEL, must_not_miss=("above",),
)  # fmt: skip


def write_linear(parent: Path, weights: FloatArray, bias: float, *, id: str = "linear") -> Plugin:
    """Write a task whose second logit is ``sum(weights * input) + bias``; the input is ``2 * pixel - 1``.

    Parameters
    ----------
    parent : Path
    weights : ndarray (32, 32)
    bias : float
    id : str
    """
    spec = replace(LINEAR, id=id)
    plugin = write_plugin(parent, replace(spec, model=TinyPlugin.model))
    (plugin.folder / "model.py").write_text(LINEAR_MODEL.replace("{shape}", str(SHAPE)), encoding="utf-8")
    path = plugin.folder / "weights" / "member0.safetensors"
    plane = torch.from_numpy(np.asarray(weights, np.float32).reshape(1, -1))
    save_file({"plane.weight": plane, "plane.bias": torch.tensor([bias], dtype=torch.float32)}, path)
    write_manifest(plugin.folder, spec, {"weights/member0.safetensors": file_sha256(path)})
    plugin = load_plugin(plugin.folder)
    (plugin.folder / "calibration.json").write_text(make_calibration(plugin).model_dump_json(), encoding="utf-8")
    return plugin


def grey_study(pixels: FloatArray) -> Study:
    """Return a grey picture in 0..1 as a simulated study."""
    return Study(np.asarray(pixels, np.float32), "OT", "0" * 64, unit="normalised", simulated=True)


BLOB = (slice(8, 16), slice(8, 16))


def dim_picture(seed: int = 0) -> FloatArray:
    """Return a dim, slightly noisy picture ``(32, 32)``."""
    return np.asarray(0.3 + np.random.default_rng(seed).normal(0, 0.01, SHAPE), np.float32)


def blob_mask() -> NDArray[np.bool_]:
    """Return where the blob is that ``write_blob_task`` looks for."""
    mask = np.zeros(SHAPE, bool)
    mask[BLOB] = True
    return mask


def with_blob(seed: int = 0) -> Study:
    """Return the dim picture with a bright square."""
    pixels = dim_picture(seed)
    pixels[BLOB] += 0.4
    return grey_study(pixels)


def write_blob_task(parent: Path) -> Plugin:
    """Write a task that says ``above`` where the square is bright, and looks at nothing else."""
    return write_linear(parent, np.where(blob_mask(), 10.0 / blob_mask().sum(), 0.0).astype(np.float32), 0.0)
