"""How many inputs go through a network at once.

On a CPU the best batch is a matter of memory traffic. Activations should stay in cache, which
asks for few images; the weights are read once per pass, which asks for many. Measured best sizes
lie where the largest activation is about 2 MB, or twice the largest weight where that is more.
The rule is deterministic, so that one case gives one result.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import nn

CPU_ACTIVATION_BYTES = 2 * 2**20
CPU_WEIGHTS_FACTOR = 2
CPU_FEWEST, CPU_MOST = 4, 32
CPU_MEMORY_BYTES = 128 * 2**20
CPU_PIXELS_PER_PASS = 12 * 224 * 224
CUDA_PIXELS_PER_PASS = 128 * 224 * 224
CUDA_MOST = 512
FLOAT_BYTES = 4
# The C library returns a freed block to the system, and faults its pages in again at the next
# pass, unless a block as large has been freed before; 32 MiB is the largest that it learns from.
LEARNT_BYTES = 32 * 2**20 - 2**16

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fitted_batch(shape: Sequence[int], device: torch.device, model: nn.Module | None = None) -> int:
    """Return how many inputs of a spatial shape to pass at once.

    Parameters
    ----------
    shape : sequence of int
        Spatial axes of the input.
    device : torch.device
    model : torch.nn.Module or None
        Its ``batch_size`` attribute decides where it has one; on a CPU, its largest weight and the
        output of its first convolution. Without either, the input's pixels do.

    Examples
    --------
    On a CPU a ResNet-18 takes 6 images of 224 px and 32 of 64 px.
    """
    declared = getattr(model, "batch_size", None)
    if isinstance(declared, int):
        return declared
    if device.type != "cpu":
        return max(1, min(CUDA_PIXELS_PER_PASS // prod(shape), CUDA_MOST))
    activation = _first_activation_bytes(shape, model)
    if model is None or not activation:
        return max(1, min(CPU_PIXELS_PER_PASS // prod(shape), CPU_MOST))
    weights = max(parameter.numel() for parameter in model.parameters()) * FLOAT_BYTES
    wanted = round(max(CPU_ACTIVATION_BYTES, CPU_WEIGHTS_FACTOR * weights) / activation)
    affordable = max(1, CPU_MEMORY_BYTES // activation)
    return min(max(wanted, CPU_FEWEST), affordable, CPU_MOST)


def keep_freed_memory() -> None:
    """Let the C library keep freed blocks of up to 32 MiB for the next pass.

    Without it a small network spends as long on page faults as on its convolutions.
    """
    torch.empty(LEARNT_BYTES, dtype=torch.uint8)


def _first_activation_bytes(shape: Sequence[int], model: nn.Module | None) -> int:
    """Return the size of the first convolution's output for one input, 0 where there is no convolution.

    In usual networks nothing that follows is larger. A convolution with fewer axes than the input
    runs on every slice.
    """
    first = next((m for m in model.modules() if isinstance(m, _CONVOLUTIONS)), None) if model is not None else None
    if first is None:
        return 0
    return int(FLOAT_BYTES * first.out_channels * prod(shape) // prod(first.stride))
