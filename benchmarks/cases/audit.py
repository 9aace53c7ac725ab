"""Predictions of an audit, from JPEG files to the cache on disk, against the bare forward passes."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.case import Case, Work, interleaved
from benchmarks.nets import Pooled, ResNet18, picture
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.engine import EngineOptions, Worker, map_batches
from whycad.audit.run.predicting import PredictJob
from whycad.inference import Ensemble, load_members
from whycad.registry import FOLDERS_VARIABLE, discover
from whycad.testing.plugins import TinyPlugin, make_calibration, write_plugin
from whycad.training.package import stage_plugin

N_MEMBERS = 3
TASK = "audited"
LABELS = tuple("abcdefg")
MODEL = """
from benchmarks.nets import {net}

class Net({net}):
    def forward_features(self, x):
        return self.body({before}).mean(dim=(2, 3))

    def forward_with_features(self, x):
        features = self.forward_features(x)
        return self.head(features), features

def build_model():
    return Net()
"""
PREPROCESS = """
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import ModelInput

def preprocess(study, region=None):
    geometry = resize_geometry(study.spatial_shape, {shape})
    return ModelInput(sample_to_model(study.pixels, geometry) * 2 - 1, geometry)
"""


@contextmanager
def installed(net: type[nn.Module], side: int) -> Iterator[Path]:
    """Give a folder in which a task with three random members is found, and take it away again."""
    before = os.environ.get(FOLDERS_VARIABLE)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_task(folder / "plugins", net, side)
        os.environ[FOLDERS_VARIABLE] = str(folder / "plugins")
        try:
            yield folder
        finally:
            if before is None:
                del os.environ[FOLDERS_VARIABLE]
            else:
                os.environ[FOLDERS_VARIABLE] = before


def write_task(parent: Path, net: type[nn.Module], side: int) -> None:
    """Write a plugin with random members and a calibration that changes nothing."""
    before = "self.stem(x)" if hasattr(net(), "stem") else "x"
    source = MODEL.replace("{net}", net.__name__).replace("{before}", before)
    tiny = TinyPlugin(
        id=TASK, labels=LABELS, shape=(side, side), model=source, preprocess=PREPROCESS, n_members=0, tta=("identity",)
    )
    plugin = write_plugin(parent, tiny)
    states = []
    for seed in range(N_MEMBERS):
        torch.manual_seed(seed)
        states.append(parent / f"{seed}.pt")
        torch.save(plugin.build_model().state_dict(), states[-1])
    staged = stage_plugin(plugin.folder, states, parent / "staged")
    shutil.copytree(staged, plugin.folder, dirs_exist_ok=True)
    shutil.rmtree(staged)
    weighted = discover([parent]).get(TASK, untrained=True)
    (plugin.folder / "calibration.json").write_text(make_calibration(weighted).model_dump_json(), encoding="utf-8")


def write_pack(path: Path, side: int, n: int) -> Path:
    """Write n JPEG images a quarter larger than the network's input."""
    files = []
    for seed in range(n):
        pixels = (picture(side * 5 // 4, seed).transpose(1, 2, 0) * 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    offsets = np.r_[0, np.cumsum([len(file) for file in files])]
    labels = np.array(LABELS)[np.arange(n) % len(LABELS)]
    np.savez(path, jpeg=np.frombuffer(b"".join(files), np.uint8), jpeg_offsets=offsets, y=labels)
    return path


def bare_passes(ensemble: Ensemble, side: int, n: int) -> Work:
    """Return the passes alone, eager and channels last, in batches as large as the engine's."""
    members = [member.to(memory_format=torch.channels_last) for member in ensemble.explain_members()]
    inputs = torch.from_numpy(np.stack([picture(side, seed) * 2 - 1 for seed in range(n)]))
    inputs = inputs.contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            for member in members:
                for part in torch.split(inputs, ensemble.batch_size):
                    member(part)

    return work


@dataclass(frozen=True)
class Opened(PredictJob):
    """Predictions whose networks are loaded already: over thousands of cases, loading them counts for nothing."""

    worker: Worker | None = None

    def open(self) -> Worker:
        """Return the worker that is there."""
        assert self.worker is not None
        return self.worker


def against_passes(net: type[nn.Module], side: int, n: int) -> float:
    """Return the time of an audit's predictions over that of its forward passes."""
    with installed(net, side) as folder:
        ref = DatasetRef(write_pack(folder / "pack.npz", side, n), TASK)
        job = Opened(ref, "cpu", worker=PredictJob(ref, "cpu").open())
        bare = bare_passes(load_members(discover().get(TASK), torch.device("cpu")), side, n)

        def audit() -> None:
            # A cache of its own every time: nothing is there already.
            with tempfile.TemporaryDirectory(dir=folder) as cache:
                table = map_batches(job, range(n), EngineOptions(Path(cache))).read(["error"])
            assert not any(table["error"].to_pylist()), "rows failed"

        return interleaved(audit, bare, rounds=5)


def cases() -> list[Case]:
    """Return the cases at 224 and 64 px."""
    name = "predictions of an audit, {} px, three members: / bare passes".format
    return [
        Case(name("224"), 1.3, partial(against_passes, ResNet18, 224, 16)),
        Case(name("64"), 1.3, partial(against_passes, Pooled, 64, 128)),
    ]
