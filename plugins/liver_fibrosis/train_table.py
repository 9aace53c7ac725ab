"""The same recipe on a user's own table of images; the result is a plugin of its own, ``liver_fibrosis_real``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugins.liver_fibrosis.data import stage_only_table
from plugins.liver_fibrosis.effects import STAGES
from plugins.liver_fibrosis.fitting import (
    FitRecipe,
    LossWeights,
    Place,
    RunPlan,
    fit_members,
    sampling_prior,
)
from plugins.liver_fibrosis.gate import slice_problems
from plugins.liver_fibrosis.preprocess import preprocess
from plugins.liver_fibrosis.table import StageTable, read_images, read_table
from whycad.datasets.splits import grouped_folds
from whycad.errors import DatasetError, TrainingError
from whycad.files import write_whole
from whycad.inference import load_members
from whycad.model_card import card_text
from whycad.plugin import load_plugin
from whycad.training.calibrate import CalibrationData, fit_calibration, run_members
from whycad.training.package import stage_plugin
from whycad.training.request import TrainRequest
from whycad.types import ModelInput
from whycad.uncertainty.calibration import CalibrationSource

TEMPLATE_FOLDER = Path(__file__).with_name("real")
CALIBRATION_FOLD = 0
MIN_PATIENTS = 10
CALIBRATION_PATIENTS = 5
BALANCE_POWER = 0.5
FEW_IMAGES = 150
BATCH = 32
# Too few images to learn from: a short run that shows that the recipe works on them.
SHORT_RUNS = (RunPlan((6, 2, 2, 2, 2), 5),)
FULL_RUNS = (RunPlan((40, 20, 20), 3), RunPlan((40, 20), 2))
CARD = """
# {title}

Trained by `whycad train --task liver_fibrosis` on the table `{table}`: {n_train} images for training and
{n_calibration} of {n_patients} other patients for calibration. **For research only. It has not been validated**: there
are no figures until `whycad predict` and `whycad evaluate` have run on images of patients that neither part has seen.

Stages are what the table says; nothing is known here of how they were found. The input gate asks for one whole axial
magnitude slice and knows nothing else of the sequence: what the model was not trained on, it may stage all the same.
"""


@dataclass(frozen=True, eq=False)
class PreparedTable:
    """A table's rows as the network's inputs, with folds that never part a patient."""

    table: StageTable
    inputs: list[ModelInput]
    fold: NDArray[np.int64]

    @property
    def for_calibration(self) -> NDArray[np.bool_]:
        """Rows that nothing is trained on ``(n,)``."""
        return np.asarray(self.fold == CALIBRATION_FOLD)


def n_folds(table: StageTable) -> int:
    """Return how many folds leave enough patients of every stage for calibration: 2 to 5.

    Raises
    ------
    TrainingError
        When a stage has fewer than ten patients.
    """
    patients = [len(np.unique(table.patients[table.stages == stage])) for stage in range(len(STAGES))]
    fewest = int(np.argmin(patients))
    if patients[fewest] < MIN_PATIENTS:
        raise TrainingError(
            f"the table has {patients[fewest]} patients of stage {STAGES[fewest]}, and {MIN_PATIENTS} are needed",
            remedy="half of them train the model and half calibrate it",
        )
    return min(5, patients[fewest] // CALIBRATION_PATIENTS)


def prepare(path: Path) -> PreparedTable:
    """Read a table and its images.

    Raises
    ------
    DatasetError
        When a row cannot be read or is not one whole axial slice.
    TrainingError
        When there are too few patients of a stage.
    """
    table = read_table(path)
    folds = grouped_folds(table.stages, table.patients, n_folds(table))
    inputs = []
    for row, study in enumerate(read_images(table)):
        problems = slice_problems(study)
        if problems:
            raise DatasetError(f"row {row + 1} of the table cannot be trained on: {problems[0]}")
        inputs.append(preprocess(study, None))
    return PreparedTable(table, inputs, folds)


def recipe_for(n_images: int) -> FitRecipe:
    """Return the recipe for so many training images; organs and signs are unknown on real ones."""
    return FitRecipe(
        runs=SHORT_RUNS if n_images < FEW_IMAGES else FULL_RUNS,
        batch_size=max(2, min(BATCH, n_images // 4)),
        weights=LossWeights(0.0, 0.0, 0.0),
    )


def train_on_table(request: TrainRequest, device: torch.device) -> Path:
    """Train, package and calibrate on a table; ``out/plugin`` holds a plugin with evidence level real.

    Raises
    ------
    DatasetError, TrainingError
        When the table cannot be trained on, or the plugin is to be installed over the simulated one.
    """
    if request.install:
        raise TrainingError(
            "a model of your own images is not installed over the one of simulated data",
            remedy="leave --install out and name the finished folder in WHYCAD_PLUGINS",
        )
    prepared = prepare(request.data)
    training = np.flatnonzero(~prepared.for_calibration)
    stages = prepared.table.stages[training]
    inputs = np.stack([prepared.inputs[row].array[0] for row in training]).astype(np.float16)
    cases = stage_only_table(inputs, stages)
    place = Place(request.out, device, request.seed)
    members = fit_members(cases, recipe_for(len(training)), BALANCE_POWER, place)
    staged = stage_plugin(TEMPLATE_FOLDER, members, request.out / "plugin")
    _calibrate(staged, prepared, sampling_prior(stages, BALANCE_POWER), device)
    _write_card(staged, prepared)
    return staged


def _calibrate(staged: Path, prepared: PreparedTable, prior: NDArray[np.float64], device: torch.device) -> None:
    plugin = load_plugin(staged)
    rows = np.flatnonzero(prepared.for_calibration)
    logits, features = run_members((prepared.inputs[row] for row in rows), load_members(plugin, device))
    patients, stages = prepared.table.patients[rows], prepared.table.stages
    source = CalibrationSource(
        dataset="table of real images",
        selection=f"fold {CALIBRATION_FOLD} of {prepared.fold.max() + 1}, cut by patient",
        n=len(rows),
        n_groups=len(np.unique(patients)),
        weights_sha256=plugin.weights_sha256,
    )
    found = CalibrationData(logits, stages[rows], patients, features, prior, source)
    counts = np.bincount(stages[~prepared.for_calibration], minlength=len(STAGES))
    calibration = fit_calibration(found, plugin.manifest).model_copy(
        update={"training_counts": dict(zip(STAGES, counts.tolist(), strict=True))}
    )
    assert plugin.manifest.calibration is not None
    write_whole(staged / plugin.manifest.calibration.file, calibration.model_dump_json())


def _write_card(staged: Path, prepared: PreparedTable) -> None:
    plugin = load_plugin(staged)
    held_out = prepared.for_calibration
    prose = CARD.format(
        title=plugin.manifest.title,
        table=prepared.table.name,
        n_train=int((~held_out).sum()),
        n_calibration=int(held_out.sum()),
        n_patients=len(np.unique(prepared.table.patients[held_out])),
    )
    write_whole(staged / plugin.manifest.model_card, card_text(plugin, prose))
