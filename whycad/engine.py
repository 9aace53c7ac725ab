"""One network on one device: choice of device, batch size, precision, views, and a check of what comes out."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whycad.batching import fitted_batch, keep_freed_memory
from whycad.errors import PluginError, PredictionError
from whycad.folding import folded
from whycad.manifest import View
from whycad.plugin import Plugin, contained

VIEW_AXES: dict[View, tuple[int, ...]] = {
    "identity": (),
    "flip_rows": (-2,),
    "flip_columns": (-1,),
    "flip_both": (-2, -1),
}


def choose_device(name: str | None = None) -> torch.device:
    """Return the device to compute on: the one named, else CUDA where there is one, else the CPU.

    Raises
    ------
    PredictionError
        When the named device is unknown or not in this machine.
    """
    if name in {None, "", "auto"}:
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, _, index = str(name).partition(":")
    if kind not in {"cpu", "cuda"} or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise PredictionError(f"unknown device {str(name)[:32]!r}", remedy="use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not int(index or 0) < torch.cuda.device_count():
        raise PredictionError(f"this machine has no device {name!r}", remedy="use --device cpu")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Engine:
    """The members as they are run on one device.

    Attributes
    ----------
    members : tuple of torch.nn.Module
        Folded on the CPU, channels-last for images.
    device : torch.device
    batch_size : int
        Inputs per pass.
    """

    members: tuple[nn.Module, ...]
    device: torch.device
    batch_size: int

    @property
    def precision(self) -> str:
        """``float32``, or ``float16 mixed`` on CUDA."""
        return "float16 mixed" if self.device.type == "cuda" else "float32"

    def laid_out(self, batch: Tensor) -> Tensor:
        """Return a batch laid out as the members read it fastest."""
        return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch

    def run(self, member: int, function: str, batch: Tensor) -> object:
        """Call one member's function on a batch and return whatever it returns."""
        batch = self.laid_out(batch.to(self.device))
        mixed = torch.autocast(self.device.type, dtype=torch.float16) if self.device.type == "cuda" else nullcontext()
        # Not inference mode: a tensor that a network makes and keeps there could never be differentiated.
        with torch.no_grad(), mixed:
            output = getattr(self.members[member], function)(batch)
        if isinstance(output, Mapping):
            return {name: _to_cpu(part) for name, part in output.items()}
        return tuple(_to_cpu(part) for part in output) if isinstance(output, tuple) else _to_cpu(output)


def _to_cpu(output: object) -> object:
    return output.float().cpu() if isinstance(output, Tensor) and output.is_floating_point() else output


def make_engine(plugin: Plugin, members: Sequence[nn.Module], device: torch.device) -> Engine:
    """Prepare members for fast forward passes on a device; the members themselves are not changed."""
    spec = plugin.manifest.input
    example = torch.rand((2, spec.channels, *spec.shape), generator=torch.Generator().manual_seed(0))
    with contained(plugin, "forward"):
        ready = [folded(member, example) if device.type == "cpu" else copy.deepcopy(member) for member in members]
    ready = [copy.deepcopy(member) if member in members else member for member in ready]
    if len(spec.shape) == 2:
        ready = [member.to(memory_format=torch.channels_last) for member in ready]  # type: ignore[call-overload]
    if device.type == "cpu":
        keep_freed_memory()
    ready = [member.to(device).eval().requires_grad_(False) for member in ready]
    return Engine(tuple(ready), device, fitted_batch(spec.shape, device, ready[0]))


def all_finite(values: Tensor) -> bool:
    """Tell whether no number is NaN or infinite; the sum is asked first, which is one pass without a copy."""
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def check_output(plugin: Plugin, output: object, n: int, width: int | None) -> Tensor:
    """Return a network's output if it is what plugin.toml promises.

    Parameters
    ----------
    plugin : Plugin
    output : object
        What the network returned for a batch of ``n``.
    n : int
    width : int or None
        Numbers per input: one per label; None for features of any width.

    Raises
    ------
    PluginError
        On another type or shape.
    PredictionError
        On NaN or infinite values.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise PluginError(f"{plugin.label}: the network returned {type(output).__name__[:64]}, not a float tensor")
    if output.ndim != 2 or len(output) != n or (width is not None and output.shape[1] != width):
        declared = f"plugin.toml declares {width} labels" if width is not None else "features are one row per input"
        shown = (1, *output.shape[1:]) if output.ndim and len(output) == n else tuple(output.shape)
        raise PluginError(f"{plugin.label}: output shape {tuple(shown)}, but {declared}")
    if not all_finite(output):
        raise PredictionError(
            f"{plugin.label}: the network returned NaN or infinite values; no score is given",
            remedy="tell whoever maintains the plugin",
        )
    return output


def check_evidence_output(plugin: Plugin, output: object, n: int) -> dict[str, Tensor]:
    """Return what ``forward_evidence`` gave for ``n`` inputs, if it is finite tensors by name.

    Raises
    ------
    PluginError
        On another type, or a tensor whose first axis is not the batch.
    PredictionError
        On NaN or infinite values.
    """
    if not isinstance(output, Mapping) or not all(isinstance(name, str) for name in output):
        raise PluginError(f"{plugin.label}: forward_evidence returned {type(output).__name__[:64]}, not a dict by name")
    for name, part in output.items():
        where = f"{plugin.label}: forward_evidence, {name[:40]!r}"
        if not isinstance(part, Tensor) or not part.is_floating_point() or part.ndim < 1 or len(part) != n:
            raise PluginError(f"{where}: not a float tensor with one entry per input")
        if not torch.isfinite(part).all():
            raise PredictionError(f"{where}: NaN or infinite values", remedy="tell whoever maintains the plugin")
    return dict(output)


def view_of(batch: Tensor, view: View) -> Tensor:
    """Return a batch ``(n, C, ..., H, W)`` as a test-time view sees it."""
    axes = VIEW_AXES[view]
    return batch.flip(axes) if axes else batch
