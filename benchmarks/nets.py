"""Networks and images of known size to measure on; weights are random and seeded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from whycad.batching import keep_freed_memory
from whycad.folding import folded
from whycad.imaging.geometry import resize_geometry
from whycad.types import FloatArray, ModelInput


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        same = stride == 1 and n_in == n_out
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, n_in, H, W)`` to ``(n, n_out, H / stride, W / stride)``."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + self.shortcut(x))


class ResNet18(nn.Module):
    """The size of a ResNet-18 (He 2016): 11.2 million parameters, 7 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        widths, blocks = (64, 64, 128, 256, 512), []
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            blocks += [Block(n_in, n_out, 1 if i == 0 else 2), Block(n_out, n_out, 1)]
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(512, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 3, H, W)`` to logits ``(n, 7)``."""
        return self.head(self.body(self.stem(x)).mean(dim=(2, 3)))


class Small(nn.Module):
    """A net for 64-pixel images: three strided convolutions, 7 outputs."""

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for n_in, n_out, stride in ((3, 32, 2), (32, 64, 2), (64, 128, 2)):
            layers += [nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(128, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 3, H, W)`` to logits ``(n, 7)``."""
        return self.head(self.body(x).mean(dim=(2, 3)))


class Pooled(nn.Module):
    """A plain net for 64-pixel images: three convolutions at full resolution, each pooled, 7 outputs."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(n_in, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(128, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 3, H, W)`` to logits ``(n, 7)``."""
        return self.head(self.body(x).mean(dim=(2, 3)))


class Free(nn.Module):
    """A classifier that costs almost nothing, which leaves the method's own work."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 3, H, W)`` to logits ``(n, 7)``."""
        return x[:, 0, ::16, ::16].flatten(1)[:, :7]


class Probabilities(nn.Module):
    """A classifier's softmax."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, 3, H, W)`` to probabilities ``(n, 7)``."""
        return self.net(x).softmax(dim=1)


def made(kind: type[nn.Module], *, seed: int = 0) -> nn.Module:
    """Build a seeded net in eval mode, channels last."""
    torch.manual_seed(seed)
    return kind().eval().requires_grad_(False).to(memory_format=torch.channels_last)


def as_the_product_runs_it(kind: type[nn.Module], side: int) -> nn.Module:
    """Build the seeded net as the engine prepares it: folded, channels last, giving probabilities."""
    keep_freed_memory()
    return Probabilities(as_gradients_are_taken(kind, side)).eval()


def as_gradients_are_taken(kind: type[nn.Module], side: int) -> nn.Module:
    """Build the seeded net as methods that differentiate it get it: folded, channels last, giving logits."""
    net = folded(made(kind), torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(0)))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def picture(side: int, seed: int = 0) -> FloatArray:
    """Return a smooth image with noise ``(3, side, side)``, 0..1, that SLIC can cut."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    channels = [np.sin(5 * x + p) * np.cos(7 * y + p) for p in rng.uniform(0, 3, 3)]
    return np.clip(0.5 + 0.3 * np.array(channels) + 0.03 * rng.normal(size=(3, side, side)), 0, 1).astype(np.float32)


def model_input(side: int) -> ModelInput:
    """Return a picture as a model's input, one source pixel per model pixel."""
    return ModelInput(picture(side), resize_geometry((side, side), (side, side)))
