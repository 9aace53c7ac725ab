"""Training of the retinal OCT ensemble; ``whycad train --task retinal_oct`` calls ``train``."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.retinal_oct.anomalies import paint
from plugins.retinal_oct.augment import ScanChanges, augment_scans
from plugins.retinal_oct.card import FLUID as FLUID_FIGURES
from plugins.retinal_oct.data import CALIBRATION_FOLD, KERMANY, LABELS, ScanTable, groups_of, stored_table
from plugins.retinal_oct.fluid import Place, add_decoder, cross_validate
from plugins.retinal_oct.model import MEAN, STD, Outputs, ScanNet
from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_study
from whycad.inference import load_members
from whycad.plugin import Plugin, load_plugin
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.fit import FitConfig, fit
from whycad.training.package import install_plugin, stage_plugin
from whycad.training.parallel import side_by_side
from whycad.training.request import TrainRequest
from whycad.uncertainty.calibration import CalibrationSource

N_MEMBERS = 5
# Decoders of two members, fitted without each patient in turn, tell how well fluid is drawn.
N_FLUID_CHECKED = 2
PLUGIN_FOLDER = Path(__file__).parent
CNV, NORMAL, PAINTED = 0, 1, 2


@dataclass(frozen=True)
class Recipe:
    """What varies between trials.

    Attributes
    ----------
    epochs : int
    learning_rate, weight_decay : float
    cnv_share : float
        Of a batch; the rest are normal scans. 0 trains without any disease but the simulated.
    painted_share : float
        Of the normal scans, those that simulated disease is painted into.
    smoothing : float
        Of the targets.
    place_weight, lesion_weight : float
        Of the map's loss and of the second question's.
    found_weight : float
        Weight of marked places in the map's loss.
    changes : ScanChanges
    """

    epochs: int = 40
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    cnv_share: float = 0.25
    painted_share: float = 0.55
    smoothing: float = 0.01
    place_weight: float = 0.5
    lesion_weight: float = 0.5
    found_weight: float = 3.0
    changes: ScanChanges = field(default_factory=ScanChanges)


def normalise(images: Tensor) -> Tensor:
    """Normalise levelled scans ``(n, H, W)`` to the network's input ``(n, 1, H, W)``."""
    return ((images - MEAN) / STD)[:, None].contiguous(memory_format=torch.channels_last)


def _soft(targets: Tensor, smoothing: float) -> Tensor:
    return targets.float() * (1 - 2 * smoothing) + smoothing


class ScanLoss:
    """Is it normal (twice), where is it not, and is it neovascularisation."""

    def __init__(self, table: ScanTable, recipe: Recipe, device: torch.device) -> None:
        self.images = torch.from_numpy(table.images).to(device)
        self.inner, self.outer = torch.from_numpy(table.inner).to(device), torch.from_numpy(table.outer).to(device)
        self.labels = torch.from_numpy(table.labels).to(device)
        self.recipe = recipe
        self.device = device

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one batch, partly painted."""
        assert isinstance(model, ScanNet)
        with torch.autocast(self.device.type, enabled=False):
            images, marked, kinds = self.batch(rows, generator)
            images = normalise(images)
        return self.loss(model.outputs(images), marked, kinds)

    def batch(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Paint and augment: images and marks ``(n, H, W)``, and what each image is ``(n,)``."""
        kinds = self.labels[rows].clone()
        images = self.images[rows].float()
        marked = torch.zeros_like(images)
        chosen = (kinds == NORMAL) & (
            torch.rand(len(rows), generator=generator, device=generator.device) < self.recipe.painted_share
        )
        at = torch.nonzero(chosen)[:, 0]
        if len(at):
            images[at], marked[at] = paint(images[at], self.inner[rows[at]], self.outer[rows[at]], generator)
            kinds[at] = PAINTED
        images, marked = augment_scans(images, marked, self.recipe.changes, generator)
        return images, marked, kinds

    def loss(self, outputs: Outputs, marked: Tensor, kinds: Tensor) -> Tensor:
        """Return the weighted sum of the losses; changes too small to be seen count for nothing."""
        recipe = self.recipe
        judged = (kinds != PAINTED) | (marked.flatten(1).amax(dim=1) > 0.3)
        wrong = _soft(kinds != NORMAL, recipe.smoothing)[judged]
        total = torch.zeros((), device=marked.device)
        for opinion in outputs.opinions:
            total = total + 0.7 * F.binary_cross_entropy_with_logits(opinion[judged], wrong)
        disease = (kinds != NORMAL) & judged
        if recipe.cnv_share > 0 and disease.any():
            which = _soft(kinds == CNV, 2 * recipe.smoothing)[disease]
            lesion = F.binary_cross_entropy_with_logits(outputs.lesion[disease], which)
            total = total + recipe.lesion_weight * lesion
        located = kinds != CNV
        if located.any():
            total = total + recipe.place_weight * self._places(outputs.unusual.float()[located], marked[located])
        return total

    def _places(self, unusual: Tensor, marked: Tensor) -> Tensor:
        stride = marked.shape[-1] // unusual.shape[-1]
        targets = F.max_pool2d(marked[:, None], stride)
        weight = torch.tensor(self.recipe.found_weight, device=marked.device)
        return F.binary_cross_entropy_with_logits(unusual, targets, pos_weight=weight)


def sampling_weights(labels: NDArray[np.int64], cnv_share: float) -> NDArray[np.float64]:
    """Weigh rows so that a batch holds this share of neovascularisation."""
    counts = np.bincount(labels, minlength=len(LABELS)).astype(np.float64)
    shares = np.array([cnv_share, 1 - cnv_share])
    return np.asarray((shares / np.maximum(counts, 1))[labels])


def fit_member(out: Path, table: ScanTable, recipe: Recipe, member: int, seed: int, device: str = "cpu") -> Path:
    """Train one member on a table, resuming in ``out``; return its state dict."""
    config = FitConfig(
        cycles=(recipe.epochs,),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        ema_decay=0.99,
        seed=seed + member,
    )
    place = torch.device(device)
    weights = sampling_weights(table.labels, recipe.cnv_share)
    return fit(ScanNet, ScanLoss(table, recipe, place), weights, out / f"member{member}", config, place)[-1]


def training_table(data: Path, out: Path) -> ScanTable:
    """Return what the members are trained on: everything but the calibration fold."""
    table = stored_table(data, out)
    return table.select(table.fold != CALIBRATION_FOLD)


def _fit_alone(job: tuple[Path, Path, int, str, int]) -> Path:
    """Train one member in a process of its own."""
    data, out, member, device, seed = job
    logging.basicConfig(level=logging.INFO, format=f"member {member}: %(message)s")
    return fit_member(out, training_table(data, out), Recipe(), member, seed, device)


def fit_all(request: TrainRequest, device: str) -> list[Path]:
    """Train every member, then the decoder that draws fluid on each; return their state dicts."""
    stored_table(request.data, request.out)
    jobs = [(request.data, request.out, member, device, request.seed) for member in range(N_MEMBERS)]
    members = side_by_side(_fit_alone, jobs, device)
    table = training_table(request.data, request.out)
    place = torch.device(device)
    return [
        add_decoder(state, table, request.data, Place(place, request.seed + index))
        for index, state in enumerate(members)
    ]


def calibration_data(data: Path, plugin: Plugin, device: str) -> CalibrationData:
    """Run the ensemble on the calibration fold with the code that serves it."""
    pack = read_pack(data / KERMANY)
    kept = ~pack.arrays["near_fold_border"].astype(bool) & (pack.arrays["fold5"] == CALIBRATION_FOLD)
    rows = np.flatnonzero(kept)
    ensemble = load_members(plugin, torch.device(device))
    studies = (row_study(pack, int(row), plugin.manifest) for row in rows)
    logits, features = run_members((plugin.preprocess(study, None) for study in studies), ensemble)
    groups = groups_of(pack, rows)
    source = CalibrationSource(
        dataset="Kermany 2018, CNV and normal",
        selection=f"part {CALIBRATION_FOLD} of 4 of the train split, a contiguous run without its borders",
        n=len(rows),
        n_groups=len(np.unique(groups)),
        weights_sha256=plugin.weights_sha256,
    )
    labels = np.array([0 if pack.label_name(int(row)) == "CNV" else 1 for row in rows], np.int64)
    return CalibrationData(logits, labels, groups, features, np.full(2, 0.5), source)


def calibrate_staged(request: TrainRequest, staged: Path, device: str) -> None:
    """Fit the calibration of the staged members."""
    plugin = load_plugin(staged)
    counts = np.bincount(training_table(request.data, request.out).labels, minlength=len(LABELS))
    calibration = fit_calibration(calibration_data(request.data, plugin, device), plugin.manifest).model_copy(
        update={"training_counts": dict(zip(LABELS, counts.tolist(), strict=True))}
    )
    assert plugin.manifest.calibration is not None
    (staged / plugin.manifest.calibration.file).write_text(calibration.model_dump_json(), encoding="utf-8")


def check_fluid(request: TrainRequest, staged: Path, members: list[Path], device: str) -> None:
    """Write the Dice of fluid on patients left out."""
    table = training_table(request.data, request.out)
    found = cross_validate(members[:N_FLUID_CHECKED], table, request.data, Place(torch.device(device), request.seed))
    fluid = {
        "dice_mean_over_patients": float(found["pooled"].mean()),
        "dice_lowest_patient": float(found["pooled"].min()),
        "dice_highest_patient": float(found["pooled"].max()),
        "dice_mean_over_scans_with_fluid": float(found["dice"][found["true"] > 0].mean()),
        "correlation_of_areas": float(np.corrcoef(found["drawn"], found["true"])[0, 1]),
    }
    rounded = {name: round(value, 3) for name, value in fluid.items()}
    content = json.dumps({"fluid_left_out": rounded}, indent=1)
    (staged / FLUID_FIGURES).write_text(content + "\n", encoding="utf-8")


def train(request: TrainRequest) -> Path:
    """Train, package and calibrate; ``out/plugin`` holds the finished files.

    A run that was stopped goes on from its last finished epoch.
    """
    device = request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    members = fit_all(request, device)
    staged = stage_plugin(PLUGIN_FOLDER, members, request.out / "plugin")
    calibrate_staged(request, staged, device)
    check_fluid(request, staged, members, device)
    if request.install:
        install_plugin(staged, PLUGIN_FOLDER)
    return staged
