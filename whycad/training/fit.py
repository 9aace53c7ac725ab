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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import TrainingError
from whycad.training.steps import CapturedStep, EagerStep, StepLoss

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
        # A run may be resumed on another device: how the optimizer works there is not stored.
        own = [{name: group[name] for name in ("lr", "fused", "capturable")} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(payload["optimizer"])
        for group, settings in zip(self.optimizer.param_groups, own, strict=True):
            group.update(settings)
        self.epoch = int(payload["epoch"])


class Averaging:
    """Moves ``average`` towards ``model``, buffers included; both keep their tensors."""

    def __init__(self, average: nn.Module, model: nn.Module) -> None:
        pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
        moving = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        self.means, self.values = [mean for mean, _ in moving], [value for _, value in moving]
        self.counters = [pair for pair in pairs if not pair[0].dtype.is_floating_point]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move by ``1 - decay``; counters are copied."""
        torch._foreach_lerp_(self.means, self.values, 1 - decay)
        for mean, value in self.counters:
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
    members = _member_paths(folder, config)
    if all(member.exists() for member in members):
        return members
    torch.manual_seed(config.seed)
    model = build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = _State(model, copy.deepcopy(model), _optimizer(model, config, device))
    if (folder / "state.pt").exists():
        state.load(folder / "state.pt")
    captured = device.type == "cuda" and getattr(step_loss, "capturable", False)
    make = CapturedStep if captured else EagerStep
    step = make(model, state.optimizer, step_loss, torch.Generator(device))
    first = 0
    for length, member in zip(config.cycles, members, strict=True):
        for epoch in range(max(first, state.epoch), first + length):
            _train_epoch(state, step, weights, config, (first, length, epoch))
            if epoch == first + length - 1:
                torch.save(state.average.state_dict(), member)
            state.save(folder / "state.pt")
        first += length
    return members


def _optimizer(model: nn.Module, config: FitConfig, device: torch.device) -> torch.optim.AdamW:
    cuda = device.type == "cuda"
    rate = torch.tensor(config.learning_rate, device=device) if cuda else config.learning_rate
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=config.weight_decay, fused=cuda, capturable=cuda)


def _train_epoch(
    state: _State,
    step: EagerStep,
    weights: NDArray[np.float64],
    config: FitConfig,
    place: tuple[int, int, int],
) -> None:
    """Train one epoch; ``place`` is the cycle's first epoch, its length, and this epoch."""
    first, length, epoch = place
    per_epoch = len(weights) // config.batch_size
    warmup = max(1, round(config.warmup_epochs * per_epoch))
    device, seed = step.generator.device, config.seed * 10_007 + epoch
    step.generator.manual_seed(seed)
    torch.manual_seed(seed)
    state.model.train()
    averaging = Averaging(state.average, state.model)
    started, total = time.monotonic(), torch.zeros((), device=device)
    for index, rows in enumerate(draw_rows(weights, config.batch_size, seed)):
        taken = (epoch - first) * per_epoch + index
        step.set_rate(learning_rate_at(taken, length * per_epoch, warmup, config.learning_rate))
        total += step(rows.to(device), epoch)
        averaging.update(min(config.ema_decay, (1 + taken) / (10 + taken)))
    state.epoch = epoch + 1
    mean_loss = float(total) / max(1, per_epoch)
    seconds = time.monotonic() - started
    logger.info("epoch %d: loss %.4f, %.0f images/s", epoch, mean_loss, len(weights) / seconds)
