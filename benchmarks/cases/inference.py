"""Predictions on the product's engine: against an eager network, and an ensemble in units of one member."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.case import Case, Work, between_processes, interleaved
from benchmarks.nets import Pooled, ResNet18, Small, made, picture
from whycad.inference import Ensemble
from whycad.testing.plugins import TinyPlugin, write_plugin

TOLERANCE = 2e-5
EAGER_BATCH = 10
# As whycad.training.calibrate passes a data set on.
DATA_SET_BATCH = 32
CPU = torch.device("cpu")
LABELS = tuple("abcdefg")
SOURCE = """
from benchmarks.nets import {net}


def build_model():
    return {net}()
"""


def ensemble_of(net: type[nn.Module], side: int, n_members: int) -> Ensemble:
    """Return seeded members on the engine that the product puts them on."""
    with tempfile.TemporaryDirectory() as place:
        tiny = TinyPlugin(
            labels=LABELS, shape=(side, side), n_members=0, model=SOURCE.format(net=net.__name__), calibrated=False
        )
        plugin = write_plugin(Path(place), tiny)
        return Ensemble(plugin, [made(net, seed=seed) for seed in range(n_members)], CPU)


def images(side: int, n: int) -> list[Tensor]:
    """Return n different images ``(3, side, side)``; making batches of them is part of the work."""
    return [torch.from_numpy(picture(side, seed)) for seed in range(n)]


def eager(net: type[nn.Module], side: int, n: int) -> Work:
    """Return one member's logits, eager and contiguous, in batches of ten."""
    return _in_tens(made(net).to(memory_format=torch.contiguous_format), images(side, n))


def engine(net: type[nn.Module], side: int, n: int) -> Work:
    """Return one member's logits from the engine."""
    ensemble, singles = ensemble_of(net, side, 1), images(side, n)

    def work() -> np.ndarray:
        return torch.cat([ensemble.logits(part, views=("identity",))[0, 0] for part in _batches(singles)]).numpy()

    return work


def _batches(singles: list[Tensor], size: int = DATA_SET_BATCH) -> Iterator[Tensor]:
    return (torch.stack(singles[start : start + size]) for start in range(0, len(singles), size))


def _in_tens(model: nn.Module, singles: list[Tensor], layout: torch.memory_format = torch.contiguous_format) -> Work:
    def work() -> np.ndarray:
        with torch.inference_mode():
            tens = _batches(singles, EAGER_BATCH)
            return torch.cat([model(ten.contiguous(memory_format=layout)) for ten in tens]).numpy()

    return work


def against_eager(net: type[nn.Module], side: int, n: int) -> float:
    """Return the eager network's time over the engine's; logits agree within 2e-5."""
    return between_processes(partial(eager, net, side, n), partial(engine, net, side, n), rounds=9, tolerance=TOLERANCE)


def ensemble_in_members(net: type[nn.Module], side: int, n: int) -> float:
    """Return the time of an ensemble of five over that of one channels-last member in batches of ten."""
    ensemble, singles = ensemble_of(net, side, 5), images(side, n)
    one = _in_tens(made(net), singles, torch.channels_last)

    def work() -> list[Tensor]:
        return [ensemble.logits(part, views=("identity",)) for part in _batches(singles)]

    return interleaved(work, one, rounds=7)


def cases() -> list[Case]:
    """Return the cases at 224 and 64 px."""
    against = "eager NCHW batches of 10 / ours"
    return [
        Case(f"inference 224 px, ResNet-18: {against}", 1.35, partial(against_eager, ResNet18, 224, 30), at_least=True),
        Case(f"inference 64 px, pooled net: {against}", 3.0, partial(against_eager, Pooled, 64, 160), at_least=True),
        Case(f"inference 64 px, small net: {against}", 1.2, partial(against_eager, Small, 64, 320), at_least=True),
        Case("ensemble of five, 224 px, ResNet-18: / one member", 4.7, partial(ensemble_in_members, ResNet18, 224, 10)),
        Case("ensemble of five, 64 px, small net: / one member", 4.5, partial(ensemble_in_members, Small, 64, 320)),
    ]
