"""One step of training: eager, or captured once as a CUDA graph and replayed.

Small networks keep a GPU waiting for the next kernel to be launched. A captured step launches all
of its kernels at once (two to three times as many steps a second).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

CLIP_NORM = 5.0
WARM_UP = 3


class StepLoss(Protocol):
    """Computes the loss of one batch of rows; the plugin's own.

    A loss whose steps launch the same kernels on the same shapes whatever they draw, in every
    epoch, may set an attribute ``capturable = True``: on CUDA its steps are captured.
    """

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of the samples ``rows`` (int64, n); rows and generator are on the device."""
        ...


class EagerStep:
    """Draws, computes the loss, and moves the weights."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, loss: StepLoss, generator: torch.Generator
    ) -> None:
        self.model, self.optimizer, self.loss, self.generator = model, optimizer, loss, generator

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the steps to come."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def run(self, rows: Tensor, epoch: int) -> Tensor:
        """Take one step; gradients must be None."""
        with torch.autocast(rows.device.type, dtype=torch.bfloat16):
            loss = self.loss(self.model, rows, epoch, self.generator)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        return loss.detach()

    def __call__(self, rows: Tensor, epoch: int) -> Tensor:
        """Take one step on ``rows`` and return its loss, a scalar tensor on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.run(rows, epoch)


class CapturedStep(EagerStep):
    """The same, as a CUDA graph; the optimizer must be capturable, with its rate in a tensor."""

    _graph: torch.cuda.CUDAGraph | None = None
    _rows: Tensor
    _loss: Tensor

    def __call__(self, rows: Tensor, epoch: int) -> Tensor:
        """Take one step on ``rows`` and return its loss, a scalar tensor on the device."""
        if self._graph is None:
            self._capture(rows, epoch)
        assert self._graph is not None
        self._rows.copy_(rows)
        self._graph.replay()
        return self._loss

    def _capture(self, rows: Tensor, epoch: int) -> None:
        self._rows = rows.clone()
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        moments = self._moments()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                super().__call__(self._rows, epoch)
        torch.cuda.current_stream().wait_stream(aside)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self._loss = self.run(self._rows, epoch)
        self._graph = graph
        self._undo(weights, moments)

    def _moments(self) -> dict[int, dict[str, Tensor]]:
        """Copy the optimizer's state, by parameter number; empty before the first step."""
        parameters = list(self.model.parameters())
        return {
            index: {name: value.clone() for name, value in self.optimizer.state[parameter].items()}
            for index, parameter in enumerate(parameters)
            if self.optimizer.state[parameter]
        }

    def _undo(self, weights: dict[str, Tensor], moments: dict[int, dict[str, Tensor]]) -> None:
        """Put back, in place, what warming up has changed."""
        self.model.load_state_dict(weights)
        for index, parameter in enumerate(self.model.parameters()):
            for name, value in self.optimizer.state[parameter].items():
                before = moments.get(index)
                value.copy_(before[name]) if before else value.zero_()
        self.generator.manual_seed(self.generator.initial_seed())
        torch.cuda.manual_seed(torch.initial_seed())
