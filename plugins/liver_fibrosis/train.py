"""Training of the staging ensemble; ``whycad train --task liver_fibrosis`` calls ``train``.

``--data`` names a folder (nothing in it is read: the cases are simulated) or a table of real images,
which `plugins.liver_fibrosis.train_table` trains on instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from plugins.liver_fibrosis.data import slice_study, slices_of, stored_table
from plugins.liver_fibrosis.fitting import FitRecipe, Place, RunPlan, fit_members
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.simulator import STAGES
from plugins.liver_fibrosis.simulator_scanner import CALIBRATION_SCANNERS, NAMED_SCANNERS, TRAINING_SCANNERS
from plugins.liver_fibrosis.train_table import train_on_table
from whycad.inference import load_members
from whycad.manifest import load_manifest
from whycad.plugin import Plugin, load_plugin
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.package import install_plugin, stage_plugin
from whycad.training.request import TrainRequest
from whycad.types import ModelInput
from whycad.uncertainty.calibration import CalibrationSource

PLUGIN_FOLDER = Path(__file__).parent
N_NAMED = 10_000
N_VARIED = 8_000
N_CALIBRATION = 3_000
# Five short independent runs: members that differ in start and order, not snapshots of one.
NAMED_RECIPE = FitRecipe(runs=(RunPlan((4,), 1),) * 5)
# Each then goes on where every case has a scanner of its own.
VARIED_RECIPE = FitRecipe(runs=(RunPlan((2,), 1),) * 5, learning_rate=1e-3)
VARIED_SEEDS = 100


def named_order(seed: int) -> PackOrder:
    """Return the simulated cases of the first part of training: scanners A and B, every stage equally often."""
    return PackOrder(N_NAMED, seed, NAMED_SCANNERS, stream="train")


def varied_order(seed: int) -> PackOrder:
    """Return the simulated cases of the second part: other patients, each on a scanner of its own."""
    return PackOrder(N_VARIED, seed, TRAINING_SCANNERS, stream="train_varied")


def calibration_order(seed: int) -> PackOrder:
    """Return the simulated cases of calibration: a stream and a wider population of scanners of their own."""
    return PackOrder(N_CALIBRATION, seed, CALIBRATION_SCANNERS, stream="calibration")


def calibration_data(plugin: Plugin, order: PackOrder, device: torch.device) -> CalibrationData:
    """Run the members over simulated cases with the code that serves them."""
    strange: list[np.ndarray] = []

    def inputs() -> Iterator[ModelInput]:
        for item in slices_of(order):
            prepared = plugin.preprocess(slice_study(item), None)
            score = plugin.strange(prepared.array[None])
            if score is not None:
                strange.append(score)
            yield prepared

    logits, features = run_members(inputs(), load_members(plugin, device))
    source = CalibrationSource(
        dataset="simulated data",
        selection=f"{order.n} slices, each on a scanner of its own, never trained on",
        n=order.n,
        n_groups=order.n,
        weights_sha256=plugin.weights_sha256,
    )
    return CalibrationData(
        logits=logits,
        labels=np.array([order.case(index)[0] for index in range(order.n)], np.int64),
        groups=np.array([f"simulated-{index}" for index in range(order.n)]),
        features=features,
        sampling_prior=np.full(len(STAGES), 1 / len(STAGES)),
        source=source,
        strange=np.concatenate(strange) if strange else None,
        # What blurs or sharpens moves the answers most: each kind of filter is covered by itself.
        strata=np.array([order.scanner(index).filter_kind for index in range(order.n)]),
    )


def calibrate_staged(request: TrainRequest, staged: Path, device: torch.device) -> None:
    """Fit the calibration of the staged members and write it beside them."""
    plugin = load_plugin(staged)
    found = calibration_data(plugin, calibration_order(request.seed), device)
    stages = [order.case(i)[0] for order in (named_order(0), varied_order(0)) for i in range(order.n)]
    counts = np.bincount(stages, minlength=len(STAGES))
    calibration = fit_calibration(found, plugin.manifest).model_copy(
        update={"training_counts": dict(zip(STAGES, counts.tolist(), strict=True))}
    )
    assert plugin.manifest.calibration is not None
    (staged / plugin.manifest.calibration.file).write_text(calibration.model_dump_json(), encoding="utf-8")


def train(request: TrainRequest) -> Path:
    """Train, package and calibrate; ``out/plugin`` holds the finished files.

    A run that was stopped goes on from its last finished epoch.

    Raises
    ------
    DatasetError, TrainingError
        When a table of real images cannot be trained on.
    """
    device = torch.device(request.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if request.data.is_file():
        return train_on_table(request, device)
    members = train_members(request, device)
    staged = stage_plugin(PLUGIN_FOLDER, members, request.out / "plugin")
    calibrate_staged(request, staged, device)
    if request.install:
        install_plugin(staged, PLUGIN_FOLDER)
    return staged


def train_members(request: TrainRequest, device: torch.device) -> list[Path]:
    """Train the members on the named scanners, package them, and go on from there on the population."""
    named = stored_table(named_order(request.seed), request.out / "cases.npz")
    first = fit_members(named, NAMED_RECIPE, 0.0, Place(request.out, device, request.seed))
    packaged = stage_plugin(PLUGIN_FOLDER, first, request.out / "named")
    starts = [packaged / file.path for file in load_manifest(packaged).weights.files]
    varied = stored_table(varied_order(request.seed), request.out / "varied.npz")
    place = Place(request.out / "varied", device, request.seed + VARIED_SEEDS)
    return fit_members(varied, VARIED_RECIPE, 0.0, place, starts)
