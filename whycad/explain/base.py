"""What every explanation method takes and gives: one protocol, so that a method is one file.

A module in this package that defines ``EXPLAINER`` is a method; ``whycad.explain`` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import ExplanationError, JobCancelledError
from whycad.types import Fidelity, FloatArray, MetadataValue, ModelInput

Scope = Literal["member", "ensemble"]
Fill = Literal["baseline", "mean"]
Probabilities = Callable[[Tensor], NDArray[np.floating]]


def _ignore(_fraction: float) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class ExplainOptions:
    """What a caller may ask of a method; each method reads what concerns it.

    Attributes
    ----------
    seed : int
        0 .. 2**32 - 1, of every random draw.
    gradcam_layer : str
        Dotted name of the module whose output Grad-CAM and Grad-CAM++ weigh.
    n_samples : int
        LIME, KernelSHAP and RISE: perturbed images. 0 is eight per superpixel, the first of
        LIME's unperturbed, and 1000 for RISE.
    stop_when_stable : bool
        LIME, KernelSHAP: draw no more once the ranking of the superpixels is stable (``surrogate``).
    n_segments : int
        LIME, KernelSHAP: superpixels wanted; 0 fits the resolution.
    fill : {"baseline", "mean"}
        LIME, KernelSHAP: what a hidden superpixel becomes: the input's baseline, or its own mean
        colour.
    ig_steps : int
        Integrated gradients: points on the path.
    occlusion_window : int
        Occlusion: side of the window in model pixels; 0 fits the resolution.
    occlusion_stride : int
        Occlusion: 0 is half the window (the whole window in volumes).
    noise : float
        SmoothGrad, GradientSHAP: standard deviation of the noise as a share of the image's range
        (largest less smallest value of the network's input).
    noise_samples : int
        SmoothGrad, GradientSHAP: draws.
    rise_cells : int
        RISE: cells of a mask along each axis.
    batch_size : int
        Images per forward pass; 0 fits the resolution, network and device.
    probabilities : callable or None
        Logits ``(members, 1, n, k)`` to probabilities ``(n, k)``; None is the mean softmax.
        Perturbation methods explain what it returns.
    progress : callable
        Told the fraction done, 0..1.
    cancelled : callable
        Asked before each pass; True stops the work.
    """

    seed: int = 0
    gradcam_layer: str = ""
    n_samples: int = 0
    stop_when_stable: bool = False
    n_segments: int = 0
    fill: Fill = "baseline"
    ig_steps: int = 50
    occlusion_window: int = 0
    occlusion_stride: int = 0
    noise: float = 0.15
    noise_samples: int = 50
    rise_cells: int = 7
    batch_size: int = 0
    probabilities: Probabilities | None = None
    progress: Callable[[float], None] = _ignore
    cancelled: Callable[[], bool] = _never

    def check_cancelled(self) -> None:
        """Raise JobCancelledError where the caller has cancelled."""
        if self.cancelled():
            raise JobCancelledError("the explanation was cancelled")


@dataclass(frozen=True, eq=False)
class RawMap:
    """A map on the model's grid.

    Attributes
    ----------
    map : ndarray of float32 (*model_shape)
    parameters : mapping
        Everything needed to make it again, besides the target and the seed.
    fidelity : Fidelity
        What the method itself knows about its trustworthiness.
    disagreement : ndarray of float32 (*model_shape) or None
        Of an ensemble's joint map: how far its members' maps differ.
    output_change : float or None
        Integrated gradients, GradientSHAP: the change in output that the map should add up to.
    """

    map: FloatArray
    parameters: Mapping[str, MetadataValue] = field(default_factory=dict)
    fidelity: Fidelity = field(default_factory=Fidelity)
    output_change: float | None = None
    disagreement: FloatArray | None = None


class Explainer(Protocol):
    """One explanation method.

    ``scope`` says what ``explain`` is given as its model: ``member`` a network of its own that it
    may hook and differentiate, whose output is logits; ``ensemble`` a module whose output is
    the target's score by the ensemble and by each member, without gradients
    (``whycad.explain.ensemble.EnsembleProbabilities``).
    """

    @property
    def id(self) -> str:
        """How manifests and requests name the method."""

    @property
    def name(self) -> str:
        """How the reader knows it."""

    @property
    def signed(self) -> bool:
        """Whether negative values mean "against"."""

    @property
    def needs_layer(self) -> bool:
        """Whether it reads a layer that the manifest has to name."""

    @property
    def scope(self) -> Scope:
        """What the model argument of ``explain`` is."""

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one output.

        Parameters
        ----------
        model : torch.nn.Module
            ``(n, C, *shape)`` to ``(n, k)``; in eval mode.
        inputs : ModelInput
        target : int
            Column of the output.
        options : ExplainOptions

        Raises
        ------
        ExplanationError
            When the method cannot run on this model or input.
        JobCancelledError
            When ``options.cancelled`` says so.
        """


@runtime_checkable
class ManyExplainer(Explainer, Protocol):
    """A method of scope ``ensemble`` that explains several outputs for the price of one.

    The ensemble's own map and each member's then come from the same passes.
    """

    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Return one map per target, or per output column for None; otherwise as ``explain``."""


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's parameters are; the CPU for a model without any."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def channels_last(batch: Tensor) -> Tensor:
    """Lay a batch of images or volumes out with the channels innermost, which convolves faster."""
    if batch.ndim == 4:
        return batch.contiguous(memory_format=torch.channels_last)
    if batch.ndim == 5:
        return batch.contiguous(memory_format=torch.channels_last_3d)
    return batch


def input_tensors(inputs: ModelInput, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the input and its baseline, both ``(1, C, *shape)`` float32 on a device.

    Raises
    ------
    ExplanationError
        When the baseline does not fit the input, or either is not finite.
    """
    array = np.asarray(inputs.array, dtype=np.float32)
    try:
        baseline = np.broadcast_to(np.asarray(inputs.baseline, dtype=np.float32), array.shape)
    except ValueError as error:
        raise ExplanationError("the baseline does not broadcast to the model's input") from error
    if not (np.isfinite(array).all() and np.isfinite(baseline).all()):
        raise ExplanationError("the model's input or its baseline holds NaN or infinite values")
    return tuple(torch.from_numpy(np.array(a)).to(device)[None] for a in (array, baseline))  # type: ignore[return-value]


def check_target(output: Tensor, target: int) -> None:
    """Raise ExplanationError unless an output is ``(n, k)`` and has the target column."""
    if output.ndim != 2 or not 0 <= target < output.shape[1]:
        raise ExplanationError(f"the model's output of shape {tuple(output.shape)} has no target {target}")
