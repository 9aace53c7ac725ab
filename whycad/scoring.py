"""From a study to numbers: what cannot be scored, the members' passes, the stored calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whycad.errors import GeometryError, ManifestError
from whycad.manifest import Manifest
from whycad.types import Decision, DecisionKind, ModelInput, Prediction, Region, Study, Uncertainty
from whycad.uncertainty.assemble import Numbers, Observed, numbers
from whycad.uncertainty.calibration import Calibration, read_calibration

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

FLAT = 1e-6


def input_problems(study: Study, manifest: Manifest) -> tuple[str, ...]:
    """Return why this study cannot be scored, by the checks that every task shares; empty where it can.

    The task's own come after them: ``Plugin.gate``.
    """
    problems = []
    spec = manifest.input
    if study.modality not in spec.modalities:
        problems.append(f"The image is of modality {study.modality}; this task reads {', '.join(spec.modalities)}.")
    if study.is_colour != spec.colour:
        problems.append(f"The image is {'in colour' if study.is_colour else 'grey'}; this task reads the other kind.")
    if len(study.spatial_shape) == 3 and len(spec.shape) == 2 and not spec.per_slice:
        problems.append("This is a volume; this task reads single images.")
    if min(study.spatial_shape[-2:]) < spec.min_size_px:
        problems.append(f"The image is smaller than {spec.min_size_px} pixels.")
    if float(study.pixels.max()) - float(study.pixels.min()) < FLAT:
        problems.append("The image is one flat value.")
    return tuple(problems)


def check_region(study: Study, region: Region | None) -> None:
    """Check that what the reader points at is on the image.

    Raises
    ------
    GeometryError
        When it has another number of coordinates than the image has axes, or lies outside.
    """
    if region is None:
        return
    shape = study.spatial_shape
    corners = [np.asarray(region.start, float), np.asarray(region.stop if region.stop else region.start, float)]
    if any(corner.shape != (len(shape),) or not np.isfinite(corner).all() for corner in corners):
        raise GeometryError(
            f"the region has another number of coordinates than the image, which has {len(shape)} axes",
            remedy="give slice, row, column for a volume and row, column for an image",
        )
    low, high = np.minimum(*corners), np.maximum(*corners)
    if np.any(high < -0.5) or np.any(low > np.array(shape) - 0.5):
        raise GeometryError(f"the region lies outside the image of {' x '.join(map(str, shape))} pixels")


@lru_cache(maxsize=16)
def _read_calibration_once(path: Path, labels: tuple[str, ...], _stamp: int) -> Calibration:
    return read_calibration(path, labels)


def calibration_of(plugin: Plugin) -> Calibration:
    """Return the plugin's stored calibration; read again when the file changes.

    Raises
    ------
    ManifestError
        When it is missing or broken, or was fitted for other weights.
    """
    path = plugin.calibration_path()
    if path is None or not path.is_file():
        raise ManifestError(
            f"plugin {plugin.id!r} has no calibration file, so its scores are not probabilities",
            remedy="train or calibrate it with `whycad train`",
        )
    calibration = _read_calibration_once(path, plugin.manifest.label_codes, path.stat().st_mtime_ns)
    if calibration.source.weights_sha256 != plugin.weights_sha256:
        raise ManifestError(
            f"plugin {plugin.id!r}: the calibration was fitted for other weights",
            remedy="train or calibrate it with `whycad train`",
        )
    return calibration


def no_score(manifest: Manifest, problems: tuple[str, ...], coverage: float) -> Prediction:
    """Return a prediction without numbers: the image never reached the model."""
    k = len(manifest.labels)
    nothing = np.full(k, np.nan, np.float32)
    return Prediction(
        labels=manifest.label_codes,
        probabilities=nothing,
        member_probabilities=np.empty((0, k), np.float32),
        predicted="",
        conformal_set=(),
        coverage=coverage,
        conformal_p=nothing,
        uncertainty=Uncertainty(float("nan"), float("nan"), float("nan")),
        out_of_distribution=None,
        decision=Decision(DecisionKind.REJECT, problems),
    )


def observe(
    inputs: Sequence[ModelInput],
    ensemble: Ensemble,
    *,
    gated: bool = True,
    cancelled: Callable[[], bool] | None = None,
) -> Observed:
    """Run the members on inputs: logits and, for the gate, features and the task's own strangeness.

    Raises
    ------
    PluginError, PredictionError, JobCancelledError
        As ``Ensemble.forward``.
    """
    import torch

    arrays = np.stack([item.array for item in inputs])
    output = ensemble.forward(torch.from_numpy(arrays), with_features=gated, cancelled=cancelled)
    strange = ensemble.plugin.strange(arrays) if gated else None
    features = None
    if output.features is not None:
        features = np.concatenate(list(output.features.numpy().astype(np.float64)), axis=1)
    return Observed(output.logits.numpy().astype(np.float64), features, strange)


def score_inputs(
    inputs: Sequence[ModelInput],
    ensemble: Ensemble,
    calibration: Calibration,
    cancelled: Callable[[], bool] | None = None,
) -> Numbers:
    """Run the members on inputs, calibrate, and say how strange each input is.

    Raises
    ------
    PluginError, PredictionError, JobCancelledError
        As ``Ensemble.forward``.
    """
    observed = observe(inputs, ensemble, gated=calibration.ood is not None, cancelled=cancelled)
    return numbers(observed, calibration)
