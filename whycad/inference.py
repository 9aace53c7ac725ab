"""Ensembles on a device: batches, test-time views, precision, and a bounded pool of loaded models."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from whycad.errors import JobCancelledError, PluginError, PredictionError, WeightsError
from whycad.folding import folded
from whycad.manifest import View
from whycad.plugin import Plugin, contained
from whycad.weights import load_weights

VIEW_AXES: dict[View, tuple[int, ...]] = {
    "identity": (),
    "flip_rows": (-2,),
    "flip_columns": (-1,),
    "flip_both": (-2, -1),
}
CPU_PIXELS_PER_PASS = 12 * 224 * 224
CPU_LARGEST_BATCH = 64
CUDA_PIXELS_PER_PASS = 256 * 224 * 224
CUDA_LARGEST_BATCH = 1024
OUT_OF_MEMORY_NOTE = "ran on the CPU after the GPU ran out of memory"


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


def batch_size(shape: Sequence[int], device: torch.device) -> int:
    """Return how many inputs of a spatial shape go through a network at once.

    On a CPU this keeps activations in cache: 12 at 224x224, 37 at 112x144, 64 at 96x96 and below.
    """
    on_cpu = device.type == "cpu"
    budget = CPU_PIXELS_PER_PASS if on_cpu else CUDA_PIXELS_PER_PASS
    return max(1, min(budget // prod(shape), CPU_LARGEST_BATCH if on_cpu else CUDA_LARGEST_BATCH))


@dataclass(frozen=True, eq=False)
class Engine:
    """The members as they are run on one device.

    Attributes
    ----------
    members : tuple of torch.nn.Module
        Folded on the CPU, channels-last for images.
    device : torch.device
    """

    members: tuple[nn.Module, ...]
    device: torch.device

    @property
    def precision(self) -> str:
        """``float32``, or ``float16 mixed`` on CUDA."""
        return "float16 mixed" if self.device.type == "cuda" else "float32"

    def run(self, member: int, function: str, batch: Tensor) -> object:
        """Call one member's function on a batch and return whatever it returns."""
        batch = batch.to(self.device)
        if batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        mixed = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.float16, enabled=mixed):
            output = getattr(self.members[member], function)(batch)
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
    return Engine(tuple(member.to(device).eval().requires_grad_(False) for member in ready), device)


class Ensemble:
    """A plugin's trained members, ready to predict.

    ``members`` are plain, in eval mode and float32, for explanations; predictions run on prepared
    copies. Methods may be called from several threads; hooks may not be put on ``members``
    without holding ``lock`` (or use ``explain_members``).

    Parameters
    ----------
    plugin : Plugin
    members : sequence of torch.nn.Module
        With trained weights, on ``device``, in eval mode.
    device : torch.device
    """

    def __init__(self, plugin: Plugin, members: Sequence[nn.Module], device: torch.device) -> None:
        self.plugin = plugin
        self.members = tuple(members)
        self.device = device
        self.lock = threading.RLock()
        self._notes: list[str] = []
        on_cpu = [copy.deepcopy(member).cpu() for member in members] if device.type != "cpu" else list(members)
        self._cpu_members = tuple(on_cpu)
        self._engine = make_engine(plugin, on_cpu, device)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about how this ensemble ran."""
        return tuple(self._notes)

    @property
    def precision(self) -> str:
        """``float32``, or ``float16 mixed`` on CUDA."""
        return self._engine.precision

    @property
    def runs_on(self) -> torch.device:
        """The device in use: the one asked for, or the CPU after the GPU's memory ran out."""
        return self._engine.device

    @property
    def views(self) -> tuple[View, ...]:
        """Test-time views, in the order of the second axis of ``logits``."""
        return self.plugin.manifest.inference.tta

    @property
    def has_features(self) -> bool:
        """Whether every member has ``forward_features``."""
        return all(hasattr(member, "forward_features") for member in self.members)

    def logits(self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Run every member on every view of a batch.

        Parameters
        ----------
        batch : Tensor
            ``(n, C, *shape)``, normalised as the plugin's ``preprocess`` does.
        cancelled : callable, optional
            Asked before each pass.

        Returns
        -------
        Tensor
            float32 ``(members, views, n, k)`` on the CPU, finite.

        Raises
        ------
        PluginError
            When a member raises or returns another shape than plugin.toml declares.
        PredictionError
            When an input or output holds NaN or infinite values.
        JobCancelledError
            When ``cancelled`` says so.
        """
        self._check_batch(batch)
        n, k = len(batch), len(self.plugin.manifest.labels)
        views = torch.cat([view_of(batch, view) for view in self.views])
        out = self._all_members("forward", views, cancelled, k)
        return out.reshape(len(self.members), len(self.views), n, k)

    def features(self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Return the members' penultimate features of a batch, unflipped.

        Returns
        -------
        Tensor
            float32 ``(members, n, d)`` on the CPU, finite.

        Raises
        ------
        PredictionError
            When a member has no ``forward_features``, or as for ``logits``.
        """
        if not self.has_features:
            raise PredictionError(f"{self.plugin.label}: the model has no forward_features")
        self._check_batch(batch)
        return self._all_members("forward_features", batch, cancelled, None)

    def explain_members(self) -> tuple[nn.Module, ...]:
        """Return own copies of the members, safe to hook and differentiate beside other threads."""
        with self.lock:
            return tuple(copy.deepcopy(member) for member in self.members)

    def _check_batch(self, batch: Tensor) -> None:
        spec = self.plugin.manifest.input
        expected = (spec.channels, *spec.shape)
        if tuple(batch.shape[1:]) != expected:
            raise PredictionError(f"{self.plugin.label}: input shape {tuple(batch.shape[1:])}, expected {expected}")
        if not torch.isfinite(batch).all():
            raise PredictionError(f"{self.plugin.label}: the input holds NaN or infinite values")

    def _all_members(
        self, function: str, batch: Tensor, cancelled: Callable[[], bool] | None, width: int | None
    ) -> Tensor:
        with self.lock:
            try:
                return self._run(function, batch, cancelled, width)
            except torch.OutOfMemoryError:
                self._fall_back_to_cpu()
                return self._run(function, batch, cancelled, width)

    def _fall_back_to_cpu(self) -> None:
        if self._engine.device.type == "cpu":
            raise PredictionError(f"{self.plugin.label}: the machine ran out of memory")
        self._engine = make_engine(self.plugin, self._cpu_members, torch.device("cpu"))
        self._notes.append(OUT_OF_MEMORY_NOTE)
        torch.cuda.empty_cache()

    def _run(self, function: str, batch: Tensor, cancelled: Callable[[], bool] | None, width: int | None) -> Tensor:
        size = batch_size(self.plugin.manifest.input.shape, self._engine.device)
        outputs = []
        for member in range(len(self.members)):
            parts = [self._pass(function, member, part, cancelled, width) for part in torch.split(batch, size)]
            outputs.append(torch.cat(parts))
        if len({tuple(output.shape) for output in outputs}) != 1:
            raise PluginError(f"{self.plugin.label}: the members return outputs of different shapes")
        return torch.stack(outputs)

    def _pass(
        self, function: str, member: int, part: Tensor, cancelled: Callable[[], bool] | None, width: int | None
    ) -> Tensor:
        if cancelled is not None and cancelled():
            raise JobCancelledError("the job was cancelled")
        with contained(self.plugin, function, passing=(torch.OutOfMemoryError,)):
            output = self._engine.run(member, function, part)
        return check_output(self.plugin, output, len(part), width)


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
    if not torch.isfinite(output).all():
        raise PredictionError(
            f"{plugin.label}: the network returned NaN or infinite values; no score is given",
            remedy="tell whoever maintains the plugin",
        )
    return output


def view_of(batch: Tensor, view: View) -> Tensor:
    """Return a batch ``(n, C, ..., H, W)`` as a test-time view sees it."""
    axes = VIEW_AXES[view]
    return batch.flip(axes) if axes else batch


def load_members(plugin: Plugin, device: torch.device) -> Ensemble:
    """Build every member, load its hash-checked weights and prepare it for a device.

    Raises
    ------
    WeightsError
        When the plugin has no weights, or one file cannot be trusted: the model is then
        unavailable, never untrained.
    PluginError
        When the plugin's code fails.
    """
    files = plugin.manifest.weights.files
    if not files:
        raise WeightsError(f"{plugin.label}: plugin.toml names no weights", remedy="train the task first")
    members = []
    for file in files:
        model = plugin.build_model()
        load_weights(plugin, model, file)
        members.append(model.to(device=device, dtype=torch.float32).eval())
    return Ensemble(plugin, members, device)


class ModelPool:
    """Loaded ensembles, the least recently used dropped first; safe to share between threads.

    Parameters
    ----------
    capacity : int
        How many ensembles are kept.
    """

    def __init__(self, capacity: int = 3) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str, str], Ensemble] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, plugin: Plugin, device: torch.device) -> Ensemble:
        """Return the plugin's ensemble on a device, loading it at most once.

        An ensemble that had to leave its GPU is loaded anew, so that the GPU is tried again.

        Raises
        ------
        WeightsError, PluginError
            As ``load_members``.
        """
        key = (plugin.id, plugin.manifest.version, plugin.weights_sha256, str(device))
        with self._lock:
            ensemble = self._kept.pop(key, None)
            if ensemble is None or ensemble.runs_on != device:
                ensemble = load_members(plugin, device)
            self._kept[key] = ensemble
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
            return ensemble
