"""What explanations need of an ensemble, and the ensemble as one scoring module."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from whycad.explain.base import Probabilities


class ExplainableEnsemble(Protocol):
    """The part of ``whycad.inference.Ensemble`` that explanations use."""

    @property
    def device(self) -> torch.device:
        """Where the members run."""

    def logits(self, batch: Tensor) -> Tensor:
        """Map ``(n, C, *shape)`` to float32 ``(members, views, n, k)``."""

    def explain_members(self) -> tuple[nn.Module, ...]:
        """Return copies of the members that nobody else uses."""


class EnsembleProbabilities(nn.Module):
    """An ensemble as a module that maps images ``(n, C, *shape)`` to probabilities ``(n, k)``.

    Parameters
    ----------
    ensemble : ExplainableEnsemble
    probabilities : callable or None
        Logits ``(members, views, n, k)`` to probabilities ``(n, k)``; None is the mean softmax.
    """

    def __init__(self, ensemble: ExplainableEnsemble, probabilities: Probabilities | None = None) -> None:
        super().__init__()
        self._ensemble = ensemble
        self._probabilities = probabilities
        self.device = ensemble.device

    def forward(self, batch: Tensor) -> Tensor:
        """Return probabilities ``(n, k)`` on the CPU."""
        logits = self._ensemble.logits(batch)
        if self._probabilities is None:
            return logits.double().softmax(dim=-1).mean(dim=(0, 1))
        return torch.as_tensor(self._probabilities(logits.cpu()))
