"""The networks of the test plugins."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TinyNet(nn.Module):
    """Two convolutions with batch norm, pooling and a linear head."""

    def __init__(self, channels: int = 3, n_labels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Linear(16, n_labels)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, H, W)`` to ``(n, 16)``."""
        return torch.mean(self.layer1(self.stem(x)), dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, H, W)`` to logits ``(n, n_labels)``."""
        return torch.as_tensor(self.head(self.forward_features(x)))


class TinyVolumeNet(nn.Module):
    """The same for volumes."""

    def __init__(self, channels: int = 1, n_labels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(channels, 8, 3, 2, 1, bias=False), nn.BatchNorm3d(8), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv3d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm3d(16), nn.ReLU())
        self.head = nn.Linear(16, n_labels)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, Z, H, W)`` to ``(n, 16)``."""
        return torch.mean(self.layer1(self.stem(x)), dim=(2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, Z, H, W)`` to logits ``(n, n_labels)``."""
        return torch.as_tensor(self.head(self.forward_features(x)))
