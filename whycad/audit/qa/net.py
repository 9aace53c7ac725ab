"""The network of the phantom tests: a few thousand parameters, trained in seconds on one core."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 32


class PhantomNet(nn.Module):
    """Three convolutions with batch norm, pooling and a linear head.

    Parameters
    ----------
    channels, n_labels : int
    """

    def __init__(self, channels: int = 3, n_labels: int = 2) -> None:
        super().__init__()
        self.stem = _layer(channels, 8, 2)
        self.layer1 = _layer(8, 16, 2)
        self.layer2 = _layer(16, 24, 1)
        self.head = nn.Linear(24, n_labels)

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(n, channels, 32, 32)`` to logits ``(n, n_labels)`` and features ``(n, 24)``."""
        features = torch.mean(self.layer2(self.layer1(self.stem(x))), dim=(2, 3))
        return self.head(features), features

    def forward_features(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, 32, 32)`` to features ``(n, 24)``."""
        return self.forward_with_features(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, 32, 32)`` to logits ``(n, n_labels)``."""
        return self.forward_with_features(x)[0]


def _layer(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())
