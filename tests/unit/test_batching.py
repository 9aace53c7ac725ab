"""Batches fit the network: its largest weight, its first activation, and the machine's memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from whycad.batching import CPU_FEWEST, CPU_MEMORY_BYTES, CPU_MOST, fitted_batch, keep_freed_memory

CPU = torch.device("cpu")


def net(width: int, kernel: int = 3, stride: int = 2) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 32, 3, stride), nn.Conv2d(32, width, kernel))


@pytest.mark.parametrize(
    ("shape", "width", "expected"),
    [
        ((64, 64), 64, 16),
        ((112, 144), 64, 4),
        ((28, 28), 64, CPU_MOST),
        ((224, 224), 64, CPU_FEWEST),
        ((112, 144), 4096, 18),
    ],
)
def test_large_weights_and_small_images_ask_for_large_batches(shape, width, expected):
    assert fitted_batch(shape, CPU, net(width)) == expected


def test_a_volume_that_fills_the_memory_goes_alone():
    assert fitted_batch((128, 512, 512), CPU, nn.Conv3d(1, 16, 3)) == 1


@given(st.lists(st.integers(1, 600), min_size=2, max_size=3), st.integers(1, 400), st.integers(1, 3), st.booleans())
def test_a_batch_keeps_its_bounds(shape, width, stride, on_cpu):
    model = (nn.Conv2d if len(shape) == 2 else nn.Conv3d)(1, width, 1, stride)
    size = fitted_batch(shape, CPU if on_cpu else torch.device("cuda"), model)
    assert 1 <= size <= (CPU_MOST if on_cpu else 512)
    first = 4 * width * torch.Size(shape).numel() // stride ** len(shape)
    assert not on_cpu or size == 1 or size * first <= CPU_MEMORY_BYTES


def test_without_a_convolution_pixels_decide():
    assert fitted_batch((224, 224), CPU) == fitted_batch((224, 224), CPU, nn.Linear(3, 4)) == 12
    assert fitted_batch((8, 8), CPU) == CPU_MOST


def test_a_module_that_says_its_batch_gets_it():
    model = net(8)
    model.batch_size = 5  # type: ignore[assignment]
    assert fitted_batch((64, 64), CPU, model) == 5


def test_keeping_freed_memory_holds_no_memory_itself():
    assert keep_freed_memory() is None
