"""Train a small ensemble on a simulated set and write it as a task's folder, calibrated as every task is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.audit.qa.net import SIDE, PhantomNet
from whycad.audit.qa.plan import ARTEFACTS, SetSpec
from whycad.audit.qa.scenes import is_colour
from whycad.audit.qa.sets import CLASSES, PhantomSet
from whycad.inference import load_members
from whycad.plugin import Plugin
from whycad.registry import discover
from whycad.scoring import calibration_of
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.fit import FitConfig, fit
from whycad.training.package import stage_plugin
from whycad.types import ModelInput, Study
from whycad.uncertainty.calibration import CalibrationSource, calibrate

N_MEMBERS = 2
EPOCHS = 20
CPU = torch.device("cpu")
MODEL = """
from whycad.audit.qa.net import PhantomNet


def build_model():
    return PhantomNet({channels}, {n_labels})
"""
PREPROCESS = """
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import ModelInput


def preprocess(study, region=None):
    geometry = resize_geometry(study.spatial_shape, {shape})
    return ModelInput(sample_to_model(study.pixels, geometry) * 2 - 1, geometry)
"""
FINDING = """
from whycad.audit.qa.artefacts import found_in
from whycad.whatif.artefacts import FoundArtefact

NAMES = {names}


def artefacts(study):
    if study.spatial_shape != (64, 64):
        return ()
    found = [(name, found_in(name, study.pixels)) for name in NAMES]
    return tuple(FoundArtefact(name, mask, 1.0) for name, mask in found if mask.any())
"""
DRAWING = """
import numpy as np

from whycad.audit.qa.artefacts import draw_artefact as drawn


def draw_artefact(study, kind, seed):
    pixels = drawn(kind, study.pixels, np.random.default_rng(seed))
    changed = pixels != study.pixels
    return pixels, changed.any(axis=-1) if study.is_colour else changed
"""
MORE = """
[decision]
refer_epistemic_percentile = 99.0

[[operating_points]]
name = "disease"
labels = ["disease"]
sensitivity = 0.9

[audit]
metadata_fields = ["age", "sex", "site", "scanner"]
artefacts = {artefacts}
"""


def train_task(spec: SetSpec, made: PhantomSet, parent: Path, *, epochs: int = EPOCHS) -> Plugin:
    """Train on the set's ``train`` rows, calibrate on ``cal``, write ``parent / spec.plugin_id``.

    Returns
    -------
    Plugin
        Found by ``discover([parent])``.
    """
    plugin = write_plugin(parent, _description(spec))
    train = np.flatnonzero(made.splits == "train")
    loss = _Loss(_batch(made, train, plugin), made.labels[train])
    with tempfile.TemporaryDirectory() as place:
        states = [_fit_member(spec, loss, Path(place) / str(member), member, epochs) for member in range(N_MEMBERS)]
        shutil.copytree(stage_plugin(plugin.folder, states, Path(place) / "staged"), plugin.folder, dirs_exist_ok=True)
    trained = discover([parent]).get(spec.plugin_id, untrained=True)
    _calibrate(trained, made)
    return discover([parent]).get(spec.plugin_id)


def study_of(image: NDArray[np.uint8]) -> Study:
    """Return a simulated image as a study, read as a pack's rows are."""
    unit = "rgb" if image.ndim == 3 else "normalised"
    return Study(image.astype(np.float32) / np.float32(255), "OT", "0" * 64, unit=unit, simulated=True)


def inputs_of(images: NDArray[np.uint8], plugin: Plugin) -> Iterator[ModelInput]:
    """Preprocess images with the task's own code."""
    for image in images:
        yield plugin.preprocess(study_of(image), None)


class Probabilities:
    """A trained task's probability of disease, as it is told to users.

    Parameters
    ----------
    plugin : Plugin
    """

    def __init__(self, plugin: Plugin) -> None:
        self._plugin, self._ensemble = plugin, load_members(plugin, CPU)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return one probability ``(n,)`` for each image ``(n, 64, 64[, 3])``."""
        logits, _ = run_members(inputs_of(images, self._plugin), self._ensemble)
        return np.asarray(calibrate(logits, calibration_of(self._plugin)).mean(axis=0)[:, 1])


def _description(spec: SetSpec) -> TinyPlugin:
    names = ARTEFACTS[spec.task]
    listed = "[" + ", ".join(f'"{name}"' for name in names) + "]"
    return TinyPlugin(
        id=spec.plugin_id,
        title="Simulated phantom",
        kind="binary",
        labels=CLASSES,
        shape=(SIDE, SIDE),
        colour=is_colour(spec.task),
        n_members=0,
        tta=("identity",),
        model=MODEL,
        preprocess=PREPROCESS,
        files={"artefacts.py": FINDING.replace("{names}", repr(tuple(names))), "drawing.py": DRAWING},
        code='artefacts = "artefacts:artefacts"\ndraw_artefact = "drawing:draw_artefact"',
        more=MORE.replace("{artefacts}", listed),
        must_not_miss=("disease",),
    )


class _Loss:
    """Cross entropy of rows, half of them mirrored."""

    def __init__(self, images: Tensor, labels: NDArray[np.int64]) -> None:
        self._images, self._labels = images, torch.from_numpy(labels)
        self._loss = nn.CrossEntropyLoss()

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of the samples ``rows``."""
        batch = self._images[rows]
        flip = torch.rand(len(rows), generator=generator) < 0.5
        batch = torch.where(flip[:, None, None, None], batch.flip(-1), batch)
        return torch.as_tensor(self._loss(model(batch), self._labels[rows]))


def _batch(made: PhantomSet, rows: NDArray[np.int64], plugin: Plugin) -> Tensor:
    return torch.from_numpy(np.stack([item.array for item in inputs_of(made.images[rows], plugin)]))


def _fit_member(spec: SetSpec, loss: _Loss, folder: Path, member: int, epochs: int) -> Path:
    channels = 3 if is_colour(spec.task) else 1
    config = FitConfig(cycles=(epochs,), batch_size=48, learning_rate=1e-2, ema_decay=0.98, seed=spec.seed + member)
    n = len(loss._labels)
    return fit(lambda: PhantomNet(channels, len(CLASSES)), loss, np.ones(n), folder, config, CPU)[0]


def _calibrate(plugin: Plugin, made: PhantomSet) -> None:
    rows = np.flatnonzero(made.splits == "cal")
    logits, features = run_members(inputs_of(made.images[rows], plugin), load_members(plugin, CPU))
    source = CalibrationSource(
        dataset="simulated",
        selection="split cal",
        n=len(rows),
        n_groups=len(np.unique(made.patients[rows])),
        weights_sha256=plugin.weights_sha256,
    )
    sampled = np.bincount(made.labels[made.splits == "train"], minlength=len(CLASSES)).astype(np.float64)
    data = CalibrationData(logits, made.labels[rows], made.patients[rows], features, sampled, source)
    path = plugin.calibration_path()
    assert path is not None
    path.write_text(fit_calibration(data, plugin.manifest).model_dump_json(), encoding="utf-8")
