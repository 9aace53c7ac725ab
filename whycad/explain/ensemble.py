"""What explanations need of an ensemble: its members asked one question, and the whole as one scoring module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from whycad.explain.base import ExplainOptions, check_target
from whycad.manifest import View
from whycad.targets import Contrast

VIEWS: tuple[View, ...] = ("identity",)
SMALLEST_SHARE = 1e-12


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

    def gradient_members(self) -> tuple[nn.Module, ...]:
        """Return such copies for methods that differentiate them by their inputs and hook no layer."""


class EnsembleProbabilities(nn.Module):
    """An ensemble as a module that maps images ``(n, C, *shape)`` to scores of one target ``(n, 1 + members)``.

    The first column is the ensemble's score, which is what a map explains; the others are the
    members', each alone. An ensemble of one has the first only. Images are seen unflipped: every
    test-time view would cost as much again for each of hundreds of perturbed images.

    Parameters
    ----------
    ensemble : ExplainableEnsemble
    options : ExplainOptions
        ``probabilities`` and ``cancelled``.
    target : int or Contrast
        Of a contrast the score is the asked labels' share of all that it names.
    """

    def __init__(self, ensemble: ExplainableEnsemble, options: ExplainOptions, target: int | Contrast) -> None:
        super().__init__()
        self._ensemble = ensemble
        self._options = options
        self._target = target
        self.device = ensemble.device
        self.batch_size: int | None = getattr(ensemble, "batch_size", None)

    def forward(self, batch: Tensor) -> Tensor:
        """Return scores on the CPU."""
        logits = self._ensemble.logits(batch, cancelled=self._options.cancelled, views=VIEWS)
        parts = [logits, *(logits[i : i + 1] for i in range(len(logits)) if len(logits) > 1)]
        return torch.cat([share(self._probabilities(part), self._target) for part in parts], dim=1)

    def _probabilities(self, logits: Tensor) -> Tensor:
        if self._options.probabilities is None:
            return logits.double().softmax(dim=-1).mean(dim=(0, 1)).cpu()
        return torch.as_tensor(self._options.probabilities(logits.cpu()))


def share(probabilities: Tensor, target: int | Contrast) -> Tensor:
    """Return a target's score ``(n, 1)``: its probability, or of a contrast its share of the labels named.

    Raises
    ------
    ExplanationError
        When the output does not have the columns.
    """
    _check_columns(probabilities, target)
    if isinstance(target, int):
        return probabilities[:, target : target + 1]
    asked = probabilities[:, list(target.columns)].sum(dim=1, keepdim=True)
    rest = probabilities[:, list(target.against)].sum(dim=1, keepdim=True)
    return asked / (asked + rest).clamp_min(SMALLEST_SHARE)


def log_odds(logits: Tensor, contrast: Contrast) -> Tensor:
    """Return the log-odds ``(n, 1)`` of the asked labels against the others, from logits ``(n, k)``.

    Raises
    ------
    ExplanationError
        When the output does not have the columns.
    """
    _check_columns(logits, contrast)
    asked, rest = (logits[:, list(columns)].logsumexp(dim=1) for columns in (contrast.columns, contrast.against))
    return (asked - rest)[:, None]


def _check_columns(output: Tensor, target: int | Contrast) -> None:
    for column in (target,) if isinstance(target, int) else (*target.columns, *target.against):
        check_target(output, column)


@contextmanager
def asked(model: nn.Module, target: int | Contrast) -> Iterator[int]:
    """Give the output column in which a member answers a target.

    For a contrast a hook puts its log-odds in place of the member's logits, so that every gradient
    method explains them as it would any logit; the hook goes at the end.

    Parameters
    ----------
    model : torch.nn.Module
        A copy that nobody else uses.
    target : int or Contrast
    """
    if isinstance(target, int):
        yield target
        return
    handle = model.register_forward_hook(lambda _module, _inputs, output: log_odds(output, target))
    try:
        yield 0
    finally:
        handle.remove()
