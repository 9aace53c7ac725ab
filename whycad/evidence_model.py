"""The evidence model: one network beside the ensemble whose outputs only measurements are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.engine import check_evidence_output, make_engine
from whycad.errors import JobCancelledError, PluginError
from whycad.plugin import Plugin, contained
from whycad.weights import load_weights

FUNCTION = "forward_evidence"


class EvidenceModel:
    """A plugin's evidence model, ready to run.

    Parameters
    ----------
    plugin : Plugin
    model : torch.nn.Module
        With trained weights, in eval mode, on the CPU.
    device : torch.device

    Raises
    ------
    PluginError
        When the model has no ``forward_evidence``.
    """

    def __init__(self, plugin: Plugin, model: nn.Module, device: torch.device) -> None:
        if not callable(getattr(model, FUNCTION, None)):
            raise PluginError(f"{plugin.label}: the evidence model has no {FUNCTION}")
        self.plugin = plugin
        self._model = model
        self._engine = make_engine(plugin, [model], device)

    def run(self, batch: Tensor, cancelled: Callable[[], bool] | None = None) -> dict[str, NDArray[np.float32]]:
        """Return its outputs for a batch ``(n, C, *shape)``, each ``(1, n, ...)``; on the CPU where the GPU is full.

        Raises
        ------
        PluginError, PredictionError, JobCancelledError
            As ``Ensemble.evidence``.
        """
        try:
            return self._run(batch, cancelled)
        except torch.OutOfMemoryError:
            if self._engine.device.type == "cpu":
                raise
            self._engine = make_engine(self.plugin, [self._model], torch.device("cpu"))
            return self._run(batch, cancelled)

    def _run(self, batch: Tensor, cancelled: Callable[[], bool] | None) -> dict[str, NDArray[np.float32]]:
        parts = []
        for part in torch.split(batch, self._engine.batch_size):
            if cancelled is not None and cancelled():
                raise JobCancelledError("the job was cancelled")
            with contained(self.plugin, "the evidence model", passing=(torch.OutOfMemoryError,)):
                output = self._engine.run(0, FUNCTION, part)
            parts.append(check_evidence_output(self.plugin, output, len(part)))
        return {name: torch.cat([part[name] for part in parts])[None].numpy() for name in parts[0]}


def load_evidence_model(plugin: Plugin, device: torch.device) -> EvidenceModel | None:
    """Build the evidence model and load its hash-checked weights; None where the plugin has none.

    Raises
    ------
    WeightsError
        When the file cannot be trusted.
    PluginError
        When the plugin's code fails.
    """
    file, model = plugin.manifest.evidence_model, plugin.build_evidence_model()
    if file is None or model is None:
        return None
    load_weights(plugin, model, file)
    return EvidenceModel(plugin, model.float().eval(), device)
