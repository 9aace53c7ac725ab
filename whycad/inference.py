"""Ensembles: every member on every test-time view, and a bounded pool of loaded models."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.engine import all_finite, check_evidence_output, check_output, choose_device, make_engine, view_of
from whycad.errors import JobCancelledError, MemoryShortError, PluginError, PredictionError, WeightsError
from whycad.evidence_model import EvidenceModel, load_evidence_model
from whycad.folding import same_gradients
from whycad.manifest import View
from whycad.plugin import Plugin, contained
from whycad.weights import load_weights

__all__ = ["Call", "Ensemble", "EnsembleOutput", "ModelPool", "choose_device", "load_members"]

T = TypeVar("T")
OUT_OF_MEMORY_NOTE = "ran on the CPU after the GPU ran out of memory"


@dataclass(frozen=True, eq=False)
class EnsembleOutput:
    """What an ensemble gave for a batch of n.

    Attributes
    ----------
    logits : Tensor
        float32 ``(members, views, n, k)`` on the CPU.
    features : Tensor or None
        float32 ``(members, n, d)`` of the unflipped batch, on the CPU; None where they were not
        asked for or the members have none.
    """

    logits: Tensor
    features: Tensor | None = None


@dataclass(frozen=True)
class Call:
    """Which function of the members to run, the width of each of its outputs, and when to stop."""

    function: str
    widths: tuple[int | None, ...]
    cancelled: Callable[[], bool] | None = None


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
    evidence_model : EvidenceModel or None
        What measurements are made of beside the members' own outputs.
    """

    def __init__(
        self,
        plugin: Plugin,
        members: Sequence[nn.Module],
        device: torch.device,
        evidence_model: EvidenceModel | None = None,
    ) -> None:
        self.plugin = plugin
        self.evidence_model = evidence_model
        self.members = tuple(members)
        self.device = device
        self.lock = threading.RLock()
        self._notes: list[str] = []
        on_cpu = [copy.deepcopy(member).cpu() for member in members] if device.type != "cpu" else list(members)
        self._cpu_members = tuple(on_cpu)
        self._engine = make_engine(plugin, on_cpu, device)
        self._for_gradients: tuple[nn.Module, ...] | None = None

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
    def batch_size(self) -> int:
        """How many inputs go through a member at once."""
        return self._engine.batch_size

    @property
    def views(self) -> tuple[View, ...]:
        """Test-time views, in the order of the second axis of ``logits``."""
        return self.plugin.manifest.inference.tta

    @property
    def has_features(self) -> bool:
        """Whether every member has ``forward_features``."""
        return all(hasattr(member, "forward_features") for member in self.members)

    def logits(
        self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None, views: Sequence[View] | None = None
    ) -> Tensor:
        """Run every member on every view of a batch.

        Parameters
        ----------
        batch : Tensor
            ``(n, C, *shape)``, normalised as the plugin's ``preprocess`` does.
        cancelled : callable, optional
            Asked before each pass.
        views : sequence of str, optional
            Views to run instead of ``self.views``.

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
        views = self.views if views is None else views
        logits = self._all_members(Call("forward", (k,), cancelled), _seen(batch, views))[0]
        return logits.reshape(len(self.members), len(views), n, k)

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
        return self._all_members(Call("forward_features", (None,), cancelled), batch)[0]

    def forward(
        self, batch: Tensor, *, with_features: bool = False, cancelled: Callable[[], bool] | None = None
    ) -> EnsembleOutput:
        """Return logits and, on request, features; in one pass where the members offer ``forward_with_features``.

        Raises
        ------
        PluginError, PredictionError, JobCancelledError
            As for ``logits``.
        """
        self._check_batch(batch)
        n, k = len(batch), len(self.plugin.manifest.labels)
        one_pass = (
            with_features
            and "identity" in self.views
            and all(hasattr(member, "forward_with_features") for member in self.members)
        )
        function, widths = ("forward_with_features", (k, None)) if one_pass else ("forward", (k,))
        logits, *rest = self._all_members(Call(function, widths, cancelled), _seen(batch, self.views))
        logits = logits.reshape(len(self.members), len(self.views), n, k)
        if rest:
            first = self.views.index("identity") * n
            return EnsembleOutput(logits, rest[0][:, first : first + n])
        wanted = with_features and self.has_features
        return EnsembleOutput(logits, self.features(batch, cancelled=cancelled) if wanted else None)

    @property
    def has_evidence(self) -> bool:
        """Whether every member has ``forward_evidence``."""
        return all(hasattr(member, "forward_evidence") for member in self.members)

    def evidence(self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None) -> dict[str, NDArray[np.float32]]:
        """Return the extra outputs of the members and of the evidence model for a batch, unflipped.

        Returns
        -------
        dict of str to ndarray of float32 (members, n, ...)
            What ``forward_evidence`` gave, finite; the evidence model counts as one member. Empty where
            there is neither.

        Raises
        ------
        PluginError
            When a member raises, or the members return different names or shapes.
        PredictionError, JobCancelledError
            As for ``logits``.
        """
        self._check_batch(batch)
        outputs = self._guarded(lambda: self._run_evidence(batch, cancelled)) if self.has_evidence else {}
        if self.evidence_model is None:
            return outputs
        with self.lock:
            more = self.evidence_model.run(batch, cancelled)
        if set(more) & set(outputs):
            raise PluginError(f"{self.plugin.label}: the members and the evidence model give outputs of one name")
        return {**outputs, **more}

    def _run_evidence(self, batch: Tensor, cancelled: Callable[[], bool] | None) -> dict[str, NDArray[np.float32]]:
        size = self.batch_size
        call = Call("forward_evidence", (), cancelled)
        per_member: list[dict[str, Tensor]] = []
        for member in range(len(self.members)):
            parts = [
                check_evidence_output(self.plugin, self._call(call, member, part), len(part))
                for part in torch.split(batch, size)
            ]
            per_member.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
        if len({tuple((name, tuple(t.shape)) for name, t in outputs.items()) for outputs in per_member}) != 1:
            raise PluginError(f"{self.plugin.label}: the members return evidence of different names or shapes")
        return {name: torch.stack([outputs[name] for outputs in per_member]).numpy() for name in per_member[0]}

    def explain_members(self) -> tuple[nn.Module, ...]:
        """Return own copies of the members, safe to hook and differentiate beside other threads."""
        with self.lock:
            return tuple(copy.deepcopy(member) for member in self.members)

    def gradient_members(self) -> tuple[nn.Module, ...]:
        """Return own copies of the members for gradients of their inputs: on a CPU as predictions run them, folded.

        For methods that hook no layer. A member that cannot be differentiated so, or not with the same gradients,
        is copied as it is.
        """
        with self.lock:
            if self.runs_on.type != "cpu" or self.device.type != "cpu":
                return self.explain_members()
            if self._for_gradients is None:
                spec = self.plugin.manifest.input
                example = torch.rand((1, spec.channels, *spec.shape), generator=torch.Generator().manual_seed(0))
                pairs = [*zip(self.members, self._engine.members, strict=True)]
                with contained(self.plugin, "forward"):
                    self._for_gradients = tuple(
                        prepared if same_gradients(member, prepared, example) else member for member, prepared in pairs
                    )
            return tuple(copy.deepcopy(member) for member in self._for_gradients)

    def _check_batch(self, batch: Tensor) -> None:
        spec = self.plugin.manifest.input
        expected = (spec.channels, *spec.shape)
        if tuple(batch.shape[1:]) != expected:
            raise PredictionError(f"{self.plugin.label}: input shape {tuple(batch.shape[1:])}, expected {expected}")
        if not all_finite(batch):
            raise PredictionError(f"{self.plugin.label}: the input holds NaN or infinite values")

    def _all_members(self, call: Call, batch: Tensor) -> tuple[Tensor, ...]:
        return self._guarded(lambda: self._run(call, batch))

    def _guarded(self, run: Callable[[], T]) -> T:
        """Run something on all members, on the CPU where the GPU's memory runs out."""
        with self.lock:
            try:
                return run()
            except torch.OutOfMemoryError:
                self._fall_back_to_cpu()
                return run()

    def _fall_back_to_cpu(self) -> None:
        if self._engine.device.type == "cpu":
            raise MemoryShortError(f"{self.plugin.label}: the machine ran out of memory")
        self._engine = make_engine(self.plugin, self._cpu_members, torch.device("cpu"))
        self._notes.append(OUT_OF_MEMORY_NOTE)
        torch.cuda.empty_cache()

    def _run(self, call: Call, batch: Tensor) -> tuple[Tensor, ...]:
        """Run every member on a batch in parts; per output of the call, ``(members, n, width)``."""
        passes: list[list[tuple[Tensor, ...]]] = [[] for _ in self.members]
        # Part by part, so that a part is laid out once for all members, while it is in cache.
        for part in torch.split(batch, self.batch_size):
            ready = self._engine.laid_out(part)
            for member, done in enumerate(passes):
                done.append(self._pass(call, member, ready))
        per_member = [[torch.cat(pieces) for pieces in zip(*parts, strict=True)] for parts in passes]
        if len({tuple(tuple(output.shape) for output in outputs) for outputs in per_member}) != 1:
            raise PluginError(f"{self.plugin.label}: the members return outputs of different shapes")
        return tuple(torch.stack(outputs) for outputs in zip(*per_member, strict=True))

    def _call(self, call: Call, member: int, part: Tensor) -> object:
        if call.cancelled is not None and call.cancelled():
            raise JobCancelledError("the job was cancelled")
        with contained(self.plugin, call.function, passing=(torch.OutOfMemoryError,)):
            return self._engine.run(member, call.function, part)

    def _pass(self, call: Call, member: int, part: Tensor) -> tuple[Tensor, ...]:
        output = self._call(call, member, part)
        outputs = output if isinstance(output, tuple) and len(call.widths) > 1 else (output,)
        if len(outputs) != len(call.widths):
            raise PluginError(f"{self.plugin.label}: {call.function} must return {len(call.widths)} tensors")
        return tuple(
            check_output(self.plugin, out, len(part), width) for out, width in zip(outputs, call.widths, strict=True)
        )


def _seen(batch: Tensor, views: Sequence[View]) -> Tensor:
    """Return a batch in every view, one view after the other."""
    return view_of(batch, views[0]) if len(views) == 1 else torch.cat([view_of(batch, view) for view in views])


def load_members(plugin: Plugin, device: torch.device) -> Ensemble:
    """Build every member and the evidence model, load their hash-checked weights, prepare them for a device.

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
    return Ensemble(plugin, members, device, load_evidence_model(plugin, device))


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
        self._kept: OrderedDict[tuple[str, str, str, str, str], Ensemble] = OrderedDict()

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
        extra = plugin.manifest.evidence_model
        key = (plugin.id, plugin.manifest.version, plugin.weights_sha256, extra.sha256 if extra else "", str(device))
        with self._lock:
            ensemble = self._kept.pop(key, None)
            if ensemble is None or ensemble.runs_on != device:
                ensemble = load_members(plugin, device)
            self._kept[key] = ensemble
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
            return ensemble
