"""A volume of 49 B-scans and a point in a CT, analysed with five members, against the bare passes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.case import Case, Work, interleaved
from plugins.retinal_oct.phantom import frame_options
from plugins.retinal_oct.phantom_scan import Dome, ScanOptions, render_scan
from whycad.inference import Ensemble, load_members
from whycad.pipeline import analyse
from whycad.plugin import Plugin, load_plugin
from whycad.registry import builtin_folder, discover
from whycad.testing.plugins import make_calibration, write_plugin
from whycad.testing.volume_plugins import SLICES
from whycad.types import AnalysisRequest, Region, Study
from whycad.volume import slice_study

N_MEMBERS = 5
B_SCANS, B_SCAN_SHAPE = 49, (496, 512)
CT_SHAPE = (48, 256, 256)
CPU = torch.device("cpu")
PLAIN_NET = """
from torch import nn
from benchmarks.nets import Block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d({channels}, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.body = nn.Sequential(Block(24, 32, 2), Block(32, 48, 2), Block(48, 64, 2), Block(64, 96, 2))
        self.head = nn.Linear(96, {n_labels})

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean(dim=(2, 3)))

def build_model():
    return Net()
"""
PLAIN_PREPROCESS = """
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import ModelInput

def preprocess(study, region=None):
    geometry = resize_geometry(study.spatial_shape, {shape})
    return ModelInput(sample_to_model(study.pixels, geometry) * 2 - 1, geometry)
"""
PLAIN = replace(
    SLICES, shape=(112, 192), model=PLAIN_NET, preprocess=PLAIN_PREPROCESS, n_members=0, modalities=("OPT",)
)


@contextmanager
def ensemble_of(task: str) -> Iterator[Ensemble]:
    """Give a task's five trained members; random ones, which cost the same, until it has been trained."""
    entry = discover().entry(task)
    if entry.status == "ready":
        yield load_members(discover().get(task), CPU)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / task
        shutil.copytree(builtin_folder() / task, folder)
        yield untrained(load_plugin(folder))


def untrained(plugin: Plugin) -> Ensemble:
    """Return five random members with a calibration that changes nothing."""
    declared = plugin.manifest.calibration
    assert declared is not None, "the task declares no calibration file"
    (plugin.folder / declared.file).write_text(make_calibration(plugin).model_dump_json(), encoding="utf-8")
    members = []
    for seed in range(N_MEMBERS):
        torch.manual_seed(seed)
        members.append(plugin.build_model().eval())
    return Ensemble(plugin, members, CPU)


def bare_passes(ensemble: Ensemble, inputs: Tensor) -> Work:
    """Return the passes alone: every member on every view in batches, and once for the evidence.

    Members are eager and channels last; nothing is prepared, calibrated or checked.
    """
    members = [_laid_out(member, inputs.ndim) for member in ensemble.explain_members()]
    size = ensemble.batch_size
    views = inputs.repeat_interleave(len(ensemble.views), dim=0)

    def work() -> None:
        with torch.inference_mode():
            for member in members:
                for part in torch.split(views, size):
                    member(_contiguous(part))
                if ensemble.plugin.manifest.code.evidence is not None and hasattr(member, "forward_evidence"):
                    member.forward_evidence(_contiguous(inputs[:1]))

    return work


def _laid_out(member: nn.Module, ndim: int) -> nn.Module:
    return member.to(memory_format=torch.channels_last) if ndim == 4 else member  # type: ignore[call-overload]


def _contiguous(part: Tensor) -> Tensor:
    return part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part.contiguous()


def b_scans() -> Study:
    """Return a volume of simulated B-scans that the task's gate lets pass, some of them with disease."""
    options = ScanOptions(size=B_SCAN_SHAPE, detachments=(Dome(2.9, 0.75, 0.17),), fluid=(Dome(3.7, 0.55, 0.10),))
    scans = [render_scan(i, frame_options(options, i, B_SCANS))[0] for i in range(B_SCANS)]
    pixels = np.stack(scans).astype(np.float32) / np.float32(255)
    spacing = (0.12, 0.004, 0.011)
    return Study(pixels, "OPT", "0" * 64, "normalised", spacing, laterality="R", simulated=True)


def chest() -> tuple[Study, Region]:
    """Return a block of lung with a ball of tissue in it, and the ball's middle."""
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*(np.arange(side) for side in CT_SHAPE), indexing="ij")
    centre, spacing = (24.0, 120.0, 131.0), (2.5, 0.7, 0.7)
    distance2 = sum(((axis - c) * mm) ** 2 for axis, c, mm in zip(grid, centre, spacing, strict=True))
    pixels = -850 + 880 / (1 + np.exp((np.sqrt(distance2) - 6) / 0.7)) + rng.normal(0, 30, CT_SHAPE)
    return Study(pixels.astype(np.float32), "CT", "0" * 64, "HU", spacing, simulated=True), Region(centre)


def volume_ratio(ensemble: Ensemble) -> float:
    """Return the time of analysing a volume of 49 B-scans over that of its passes."""
    study, plugin = b_scans(), ensemble.plugin
    arrays = [plugin.preprocess(slice_study(study, i)).array for i in range(B_SCANS)]
    work = partial(analyse, study, plugin, AnalysisRequest(), ensemble=ensemble)
    profile = work().profile
    assert profile is not None
    assert np.isfinite(profile.probabilities).all()
    return interleaved(work, bare_passes(ensemble, torch.from_numpy(np.stack(arrays))), rounds=3)


def volume_against_passes() -> float:
    """Return the ratio for the task's own preprocessing and gate."""
    with ensemble_of("retinal_oct") as ensemble:
        return volume_ratio(ensemble)


def plain_volume_against_passes() -> float:
    """Return the ratio for slices that are only resized: what the core itself costs."""
    with tempfile.TemporaryDirectory() as place:
        return volume_ratio(untrained(write_plugin(Path(place), PLAIN)))


def seed_against_passes() -> float:
    """Return the time of analysing a point in a CT over that of its passes."""
    study, region = chest()
    with ensemble_of("lung_nodule") as ensemble:
        plugin = ensemble.plugin
        inputs = torch.from_numpy(plugin.preprocess(study, region).array)[None]
        work = partial(analyse, study, plugin, AnalysisRequest(region=region), ensemble=ensemble)
        assert work().prediction.predicted
        return interleaved(work, bare_passes(ensemble, inputs), rounds=5)


def cases() -> list[Case]:
    """Return the cases."""
    return [
        Case("OCT volume of 49 B-scans, five members: / bare passes", 1.5, volume_against_passes),
        Case("volume of 49 slices that are only resized: / bare passes", 1.25, plain_volume_against_passes),
        Case("point in a CT, five members: / bare passes", 1.5, seed_against_passes),
    ]
