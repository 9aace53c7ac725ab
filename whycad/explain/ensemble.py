"""What explanations need of an ensemble, and the ensemble as one scoring module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from whycad.explain.base import ExplainOptions
from whycad.manifest import View

VIEWS: tuple[View, ...] = ("identity",)


class ExplainableEnsemble(Protocol):
    """The part of ``whycad.inference.Ensemble`` that explanations use."""

    @property
    def device(self) -> torch.device:
        """Where the members run."""

    def logits(
        self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None, views: Sequence[View] | None = None
    ) -> Tensor:
        """Map ``(n, C, *shape)`` to float32 ``(members, views, n, k)``."""

    def explain_members(self) -> tuple[nn.Module, ...]:
        """Return copies of the members that nobody else uses."""


class EnsembleProbabilities(nn.Module):
    """An ensemble as a module that maps images ``(n, C, *shape)`` to probabilities ``(n, k)``.

    Images are seen unflipped only: every test-time view would cost as much again for each of
    hundreds of perturbed images.

    Parameters
    ----------
    ensemble : ExplainableEnsemble
    options : ExplainOptions
        ``probabilities`` and ``cancelled``.
    """

    def __init__(self, ensemble: ExplainableEnsemble, options: ExplainOptions) -> None:
        super().__init__()
        self._ensemble = ensemble
        self._options = options
        self.device = ensemble.device

    def forward(self, batch: Tensor) -> Tensor:
        """Return probabilities ``(n, k)`` on the CPU."""
        logits = self._ensemble.logits(batch, cancelled=self._options.cancelled, views=VIEWS)
        if self._options.probabilities is None:
            return logits.double().softmax(dim=-1).mean(dim=(0, 1))
        return torch.as_tensor(self._options.probabilities(logits.cpu()))
