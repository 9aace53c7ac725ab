"""The training loop: cyclic cosine schedule, moving average, resumable after every epoch."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import TrainingError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitConfig:
    """How one run is trained.

    Attributes
    ----------
    cycles : tuple of int
        Epochs of each cosine cycle; every cycle ends in one ensemble member (a snapshot,
        Huang 2017).
    batch_size : int
    learning_rate, weight_decay : float
        AdamW's; the rate is the peak of every cycle.
    warmup_epochs : float
        Linear warm-up at the start of every cycle.
    ema_decay : float
        Of the moving average of the weights; the average is what becomes a member.
    seed : int
    """

    cycles: tuple[int, ...] = (20, 10, 10)
    batch_size: int = 48
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    ema_decay: float = 0.998
    seed: int = 0


class StepLoss(Protocol):
    """Computes the loss of one batch of rows; the plugin's own."""

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of the samples ``rows`` (int64, n)."""
        ...


def learning_rate_at(step: int, n_steps: int, warmup: int, peak: float) -> float:
    """Return the rate at a step of one cycle: linear warm-up, then a cosine to 1 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, n_steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def draw_rows(weights: NDArray[np.float64], batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield one epoch of batches, rows drawn with probability proportional to ``weights``."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(weights), size=len(weights), p=weights / weights.sum())
    for start in range(0, len(rows) - batch_size + 1, batch_size):
        yield torch.from_numpy(rows[start : start + batch_size])


@dataclass
class _State:
    """Everything that a resumed run needs."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0

    def save(self, path: Path) -> None:
        payload = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
        }
        partial = path.with_suffix(".partial")
        torch.save(payload, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        payload = torch.load(path, weights_only=True, map_location="cpu")
        self.model.load_state_dict(payload["model"])
        self.average.load_state_dict(payload["average"])
        self.optimizer.load_state_dict(payload["optimizer"])
        self.epoch = int(payload["epoch"])


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move ``average`` towards ``model`` by ``1 - decay``, buffers included."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _member_paths(folder: Path, config: FitConfig) -> list[Path]:
    return [folder / f"cycle{index}.pt" for index in range(len(config.cycles))]


def _check_same_run(folder: Path, config: FitConfig) -> None:
    record = folder / "fit.json"
    wanted = json.loads(json.dumps(asdict(config)))
    if record.exists():
        found = json.loads(record.read_text())
        same = {k: v for k, v in found.items() if k != "cycles"} == {k: v for k, v in wanted.items() if k != "cycles"}
        if not same or wanted["cycles"][: len(found["cycles"])] != found["cycles"]:
            raise TrainingError(
                f"{folder.name!r} holds a run with other settings, so it cannot be resumed",
                remedy="choose an empty --out, or the settings in its fit.json",
            )
    record.write_text(json.dumps(wanted, indent=1))


def fit(
    build: Callable[[], nn.Module],
    step_loss: StepLoss,
    weights: NDArray[np.float64],
    folder: Path,
    config: FitConfig,
    device: torch.device,
) -> list[Path]:
    """Train one run of snapshot members, resuming where ``folder`` left off.

    Parameters
    ----------
    build : callable
        Builds an untrained model.
    step_loss : StepLoss
    weights : ndarray of float64 (n,)
        Sampling weight of each training row.
    folder : Path
        Holds ``state.pt`` after every epoch and ``cycle<k>.pt`` after every cycle.
    config : FitConfig
    device : torch.device

    Returns
    -------
    list of Path
        One state dict of the averaged model per cycle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_same_run(folder, config)
    torch.manual_seed(config.seed)
    model = build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = _State(model, copy.deepcopy(model), optimizer)
    if (folder / "state.pt").exists():
        state.load(folder / "state.pt")
    first = 0
    for length, member in zip(config.cycles, _member_paths(folder, config), strict=True):
        for epoch in range(max(first, state.epoch), first + length):
            _train_epoch(state, step_loss, weights, config, (first, length, epoch), device)
            if epoch == first + length - 1:
                torch.save(state.average.state_dict(), member)
            state.save(folder / "state.pt")
        first += length
    return _member_paths(folder, config)


def _train_epoch(
    state: _State,
    step_loss: StepLoss,
    weights: NDArray[np.float64],
    config: FitConfig,
    place: tuple[int, int, int],
    device: torch.device,
) -> None:
    """Train one epoch; ``place`` is the cycle's first epoch, its length, and this epoch."""
    first, length, epoch = place
    per_epoch = len(weights) // config.batch_size
    warmup = max(1, round(config.warmup_epochs * per_epoch))
    generator = torch.Generator().manual_seed(config.seed * 10_007 + epoch)
    torch.manual_seed(config.seed * 10_007 + epoch)
    state.model.train()
    started, total = time.monotonic(), 0.0
    for index, rows in enumerate(draw_rows(weights, config.batch_size, config.seed * 10_007 + epoch)):
        step = (epoch - first) * per_epoch + index
        rate = learning_rate_at(step, length * per_epoch, warmup, config.learning_rate)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = step_loss(state.model, rows, epoch, generator)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.model.parameters(), 5.0)
        state.optimizer.step()
        update_average(state.average, state.model, min(config.ema_decay, (1 + step) / (10 + step)))
        total += float(loss.detach())
    state.epoch = epoch + 1
    seconds = time.monotonic() - started
    logger.info("epoch %d: loss %.4f, %.0f images/s", epoch, total / per_epoch, len(weights) / seconds)
