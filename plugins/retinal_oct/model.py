"""The B-scan network: says whether anything is not normal, and if so, whether it is neovascularisation.

The first question has two opinions, trained on disease simulated in normal scans: the worst places
of a map of what is unusual, and the deepest features of the whole. The second is answered from
those features. What is unusual and not neovascularisation counts half for each of the two labels:
such a scan leaves both open, and lowers the logits together, which the gate sees as their energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

MEAN, STD = 0.2, 0.25
# Weight of "this is known" in the sum of the logits; probabilities do not depend on it.
FAMILIARITY = 0.1
N_WORST = (4, 16)


@dataclass(frozen=True)
class NetConfig:
    """Widths and depths of the four stages; the first is at half resolution."""

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    dropout: float = 0.2
    decoder: int = 24


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


class FluidDecoder(nn.Module):
    """Draws fluid from the members' feature maps, which it does not change."""

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(n, width, 1) for n in widths)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()
        )
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Map features at 1/2, 1/4 and 1/8 to fluid logits ``(n, 1, H / 2, W / 2)``."""
        size = maps[0].shape[-2:]
        total = torch.zeros((), device=maps[0].device)
        for lateral, values in zip(self.lateral, maps, strict=True):
            total = total + F.interpolate(lateral(values), size, mode="bilinear", align_corners=False)
        return torch.as_tensor(self.out(self.mix(F.relu(total))))


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one pass gives.

    Attributes
    ----------
    opinions : (Tensor, Tensor), each (n,)
        Logits of "something is not normal": by the worst places, by the whole.
    lesion : Tensor (n,)
        Logit of "what is not normal is neovascularisation".
    unusual : Tensor (n, 1, H / 8, W / 8)
        Logits of "not normal here".
    features : Tensor (n, d)
    maps : (Tensor, Tensor, Tensor)
        Feature maps at 1/2, 1/4 and 1/8 of the resolution.
    """

    opinions: tuple[Tensor, Tensor]
    lesion: Tensor
    unusual: Tensor
    features: Tensor
    maps: tuple[Tensor, Tensor, Tensor]

    @property
    def abnormal(self) -> Tensor:
        """Logit of "something is not normal", ``(n,)``."""
        return (self.opinions[0] + self.opinions[1]) / 2

    @property
    def logits(self) -> Tensor:
        """Logits of the two labels, ``(n, 2)``."""
        return two_logits(self.abnormal, self.lesion)


def two_logits(abnormal: Tensor, lesion: Tensor) -> Tensor:
    """Join the two answers ``(n,)`` into logits of the two labels ``(n, 2)``.

    Their softmax gives the unknown half to each label; their common level falls as the unknown grows.
    """
    abnormal, lesion = abnormal.float(), lesion.float()
    neovascular = F.logsigmoid(abnormal) + F.logsigmoid(lesion)
    normal = F.logsigmoid(-abnormal)
    unknown = F.logsigmoid(abnormal) + F.logsigmoid(-lesion) - math.log(2)
    labels = torch.stack([torch.logaddexp(neovascular, unknown), torch.logaddexp(normal, unknown)], dim=1)
    known = torch.logaddexp(neovascular, normal)
    return labels + FAMILIARITY * known[:, None]


class ScanNet(nn.Module):
    """Classifier of levelled B-scans.

    ``forward`` gives the two labels' logits alone, so that explanation methods see an ordinary
    classifier.
    """

    def __init__(self, config: NetConfig | None = None) -> None:
        super().__init__()
        config = config or NetConfig()
        w, b = config.widths, config.blocks
        self.stem = nn.Sequential(nn.Conv2d(1, w[0], 3, 2, 1, bias=False), nn.BatchNorm2d(w[0]), nn.ReLU())
        self.layer1 = _stage(w[0], w[0], b[0], 1)
        self.layer2 = _stage(w[0], w[1], b[1], 2)
        self.layer3 = _stage(w[1], w[2], b[2], 2)
        self.evidence = nn.Identity()
        self.layer4 = _stage(w[2], w[3], b[3], 2)
        self.unusual = nn.Conv2d(w[2], 1, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.worst = nn.Linear(len(N_WORST), 1)
        nn.init.constant_(self.worst.weight, 0.5)
        nn.init.zeros_(self.worst.bias)
        self.head = nn.Linear(2 * w[3], 2)
        self.fluid = FluidDecoder((w[0], w[1], w[2]), config.decoder)
        self.n_features = 2 * w[3]

    def outputs(self, x: Tensor) -> Outputs:
        """Run everything but the fluid decoder on normalised B-scans ``(n, 1, H, W)``."""
        half = self.layer1(self.stem(x))
        quarter = self.layer2(half)
        eighth = self.evidence(self.layer3(quarter))
        unusual = self.unusual(eighth)
        deep = self.layer4(eighth).flatten(2)
        features = torch.cat([deep.mean(dim=2), deep.topk(4, dim=2).values.mean(dim=2)], dim=1)
        places = unusual.flatten(1).topk(max(N_WORST), dim=1).values.float()
        worst = torch.stack([places[:, :n].mean(dim=1) for n in N_WORST], dim=1)
        whole = self.head(self.dropout(features)).float()
        opinions = (self.worst(worst)[:, 0].float(), whole[:, 0])
        return Outputs(opinions, whole[:, 1], unusual, features, (half, quarter, eighth))

    def forward_features(self, x: Tensor) -> Tensor:
        """Map normalised B-scans ``(n, 1, H, W)`` to penultimate features ``(n, 192)``."""
        return self.outputs(x).features

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the labels' logits ``(n, 2)`` and penultimate features ``(n, 192)`` in one pass."""
        outputs = self.outputs(x)
        return outputs.logits, outputs.features

    def forward_evidence(self, x: Tensor) -> dict[str, Tensor]:
        """Give what the evidence is made of.

        Returns
        -------
        dict
            ``fluid`` ``(n, H / 2, W / 2)`` and ``unusual`` ``(n, H / 8, W / 8)``, probabilities.
        """
        outputs = self.outputs(x)
        fluid = torch.sigmoid(self.fluid(outputs.maps).float())[:, 0]
        return {"fluid": fluid, "unusual": torch.sigmoid(outputs.unusual.float())[:, 0]}

    def forward(self, x: Tensor) -> Tensor:
        """Give the two labels' logits ``(n, 2)``."""
        return self.outputs(x).logits


def build_model() -> ScanNet:
    """Build one untrained member; the core loads its weights."""
    return ScanNet()
