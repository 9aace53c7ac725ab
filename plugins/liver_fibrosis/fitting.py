"""Loss, augmentation and runs that simulated and real training share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.liver_fibrosis.data import SliceTable
from plugins.liver_fibrosis.model import N_LEVELS, NetConfig, StageNet
from plugins.liver_fibrosis.preprocess import LOG_FLOOR, MEAN, STD
from whycad.training.fit import FitConfig, fit


@dataclass(frozen=True)
class Augmentation:
    """Largest random changes of a slice's signal.

    Attributes
    ----------
    coil : float
        Half log range of an added smooth sensitivity.
    noise : float
        Added Rician noise, relative to the mean signal.
    blur : float
        Share of the 3x3 mean that is mixed in.
    gamma : float
        Half log range of the exponent of the signal.
    """

    coil: float = 0.08
    noise: float = 0.04
    blur: float = 0.25
    gamma: float = 0.06


@dataclass(frozen=True)
class LossWeights:
    """Of the auxiliary tasks, beside the stage's 1."""

    organs: float = 0.5
    levels: float = 0.3
    values: float = 0.3


@dataclass(frozen=True)
class RunPlan:
    """One run: epochs of its cosine cycles, and how many of its last snapshots become members."""

    cycles: tuple[int, ...]
    keep: int


@dataclass(frozen=True)
class FitRecipe:
    """How an ensemble is trained.

    Attributes
    ----------
    runs : tuple of RunPlan
        Each from its own random start.
    learning_rate, weight_decay : float
    batch_size : int
    augment : Augmentation
    weights : LossWeights
    net : NetConfig
    """

    runs: tuple[RunPlan, ...]
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    batch_size: int = 48
    augment: Augmentation = field(default_factory=Augmentation)
    weights: LossWeights = field(default_factory=LossWeights)
    net: NetConfig = field(default_factory=NetConfig)


def augment(inputs: Tensor, change: Augmentation, generator: torch.Generator) -> Tensor:
    """Change coil, sharpness, noise and contrast of inputs ``(n, 1, H, W)`` and standardise them anew."""
    n, _, height, width = inputs.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device) * 2 - 1

    signal = torch.exp(inputs * STD + MEAN) - LOG_FLOOR
    y, x = torch.linspace(-1, 1, height).view(1, 1, -1, 1).to(inputs), torch.linspace(-1, 1, width).to(inputs)
    tilt = torch.zeros_like(signal)
    for term in (x, y, x * y, x * x, y * y):
        tilt = tilt + draw(n, 1, 1, 1) * term
    signal = signal.clamp_min(0) * torch.exp(change.coil * tilt)
    share = change.blur * draw(n, 1, 1, 1).abs()
    signal = (1 - share) * signal + share * F.avg_pool2d(signal, 3, 1, 1)
    level = change.noise * draw(n, 1, 1, 1).abs() * signal.mean(dim=(2, 3), keepdim=True)
    noise = torch.randn(2, *signal.shape, generator=generator, device=generator.device) * level
    signal = torch.sqrt((signal + noise[0]) ** 2 + noise[1] ** 2 + 1e-8)
    signal = signal ** torch.exp(change.gamma * draw(n, 1, 1, 1))
    signal = signal / signal.mean(dim=(2, 3), keepdim=True)
    return (torch.log(signal + LOG_FLOOR) - MEAN) / STD


class StageLoss:
    """Cross-entropy of the stage, plus organs, graded signs and their values where these are known."""

    def __init__(self, table: SliceTable, recipe: FitRecipe, device: torch.device) -> None:
        self.inputs, self.labels, self.organs, self.levels, self.values, self.known = (
            torch.from_numpy(values).to(device)
            for values in (table.inputs, table.labels, table.organs, table.levels, table.values, table.known)
        )
        self.recipe = recipe
        self.device = device

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one augmented batch."""
        assert isinstance(model, StageNet)
        inputs = self.inputs[rows].float()[:, None]
        with torch.autocast(self.device.type, enabled=False):
            inputs = augment(inputs, self.recipe.augment, generator).contiguous(memory_format=torch.channels_last)
        logits, organs, levels, values = model.forward_all(inputs)
        loss = F.cross_entropy(logits, self.labels[rows])
        known = self.known[rows]
        if not bool(known.any()):
            return loss
        return loss + self._auxiliary(rows[known], organs[known], levels[known], values[known])

    def _auxiliary(self, rows: Tensor, organs: Tensor, levels: Tensor, values: Tensor) -> Tensor:
        weights = self.recipe.weights
        shares = self.organs[rows].float() / 255
        graded = self.levels[rows].view(-1)
        return (
            weights.organs * F.binary_cross_entropy_with_logits(organs.float(), shares)
            + weights.levels * F.cross_entropy(levels.float().view(-1, N_LEVELS), graded)
            + weights.values * F.smooth_l1_loss(values.float(), self.values[rows])
        )


def sampling_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Weigh rows by the frequency of their stage to the minus ``power``: 0 leaves the prior, 1 balances it."""
    counts = np.bincount(labels, minlength=5).astype(np.float64)
    return counts[labels] ** -power


def sampling_prior(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Return how often training draws each stage ``(5,)``."""
    drawn = np.bincount(labels, weights=sampling_weights(labels, power), minlength=5)
    return np.asarray(drawn / drawn.sum())


@dataclass(frozen=True)
class Place:
    """Where runs are kept, on which device they run, and their seed."""

    folder: Path
    device: torch.device
    seed: int


def fit_members(
    table: SliceTable, recipe: FitRecipe, power: float, place: Place, starts: Sequence[Path] = ()
) -> list[Path]:
    """Train every run of a recipe, resuming in its folder, and return the members' state dicts.

    Parameters
    ----------
    table : SliceTable
    recipe : FitRecipe
    power : float
        See ``sampling_weights``.
    place : Place
    starts : sequence of Path
        Safetensors that each run goes on from; a random start without them.
    """
    members: list[Path] = []
    weights = sampling_weights(table.labels, power)
    for run, plan in enumerate(recipe.runs):
        config = FitConfig(
            cycles=plan.cycles,
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            seed=place.seed + run,
        )
        loss = StageLoss(table, recipe, place.device)
        build = partial(started_net, recipe.net, starts[run] if starts else None)
        states = fit(build, loss, weights, place.folder / f"run{run}", config, place.device)
        members += states[-plan.keep :]
    return members


def started_net(config: NetConfig, start: Path | None) -> StageNet:
    """Build a network, with the weights of a packaged member where one is named."""
    net = StageNet(config)
    if start is not None:
        stored = {name: tensor.float() for name, tensor in load_file(start).items()}
        net.load_state_dict({**net.state_dict(), **stored})
    return net
