"""The lesion network: a small residual net with an outline head that also steers pooling.

The outline (lesion mask) is an auxiliary target. Its prediction weights a second pooling of
the features, so that the classifier reads the lesion and its surroundings separately.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

N_CLASSES = 7
MEAN = (0.70, 0.55, 0.54)
STD = (0.17, 0.17, 0.18)


@dataclass(frozen=True)
class NetConfig:
    """Widths and depths of the four stages; the first is at half resolution."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 2)
    dropout: float = 0.2


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.act1 = nn.ReLU(inplace=False)
        self.act2 = nn.ReLU(inplace=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, n_in, H, W)`` to ``(n, n_out, H / stride, W / stride)``."""
        out = self.act1(self.bn1(self.conv1(x)))
        return torch.as_tensor(self.act2(self.bn2(self.conv2(out)) + self.shortcut(x)))


def _stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(n_in, n_out, stride)
    return nn.Sequential(first, *(ResidualBlock(n_out, n_out, 1) for _ in range(n_blocks - 1)))


class LesionNet(nn.Module):
    """Classifier with an outline head.

    ``forward`` gives the class logits ``(n, 7)`` alone, so that explanation methods see an
    ordinary classifier; ``forward_with_outline`` gives the outline's logits too, and
    ``forward_features`` the pooled features.
    """

    def __init__(self, config: NetConfig | None = None) -> None:
        super().__init__()
        config = config or NetConfig()
        w, b = config.widths, config.blocks
        self.stem = nn.Sequential(nn.Conv2d(3, w[0], 3, 2, 1, bias=False), nn.BatchNorm2d(w[0]), nn.ReLU())
        self.layer1 = _stage(w[0], w[0], b[0], 1)
        self.layer2 = _stage(w[0], w[1], b[1], 2)
        self.layer3 = _stage(w[1], w[2], b[2], 2)
        self.layer4 = _stage(w[2], w[3], b[3], 2)
        self.outline = nn.Conv2d(w[2], 1, 1)
        self.evidence = nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * w[3], N_CLASSES)
        self.n_features = 2 * w[3]

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.layer3(self.layer2(self.layer1(self.stem(x))))
        outline = self.outline(middle)
        deep = self.layer4(middle)
        weight = F.adaptive_avg_pool2d(torch.sigmoid(outline.float()), deep.shape[-2:]) + 1e-3
        inside = deep * (weight / weight.mean(dim=(2, 3), keepdim=True)).to(deep.dtype)
        # The head is linear in these maps, so that a class activation map of them is exact (Zhou 2016).
        maps = self.evidence(torch.cat([deep, inside], dim=1))
        return maps.mean(dim=(2, 3)), outline

    def forward_features(self, x: Tensor) -> Tensor:
        """Map normalised images ``(n, 3, H, W)`` to penultimate features ``(n, 512)``."""
        return self._encode(x)[0]

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give class logits ``(n, 7)`` and penultimate features ``(n, 512)`` in one pass."""
        features = self.forward_features(x)
        return self.head(self.dropout(features)), features

    def forward_with_outline(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give class logits ``(n, 7)`` and outline logits ``(n, 1, H / 8, W / 8)``."""
        features, outline = self._encode(x)
        return self.head(self.dropout(features)), outline

    def forward(self, x: Tensor) -> Tensor:
        """Give class logits ``(n, 7)``."""
        return self.forward_with_outline(x)[0]


def build_model() -> LesionNet:
    """Build one untrained member; the core loads its weights."""
    return LesionNet()
