"""The staging network: a small residual net that looks at liver, spleen and the rest separately.

It predicts where liver and spleen lie and pools its features inside them, grades the signs of
fibrosis as an auxiliary task, and gives the stage by conditional questions (CORN).

References
----------
Shi, Cao and Raschka, 2021, arXiv:2111.08851: P(y > k | y > k - 1), multiplied up, are rank-consistent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.liver_fibrosis.effects import SIGN_NAMES

N_STAGES = 5
N_LEVELS = 3
ORGANS = ("liver", "spleen")


@dataclass(frozen=True)
class NetConfig:
    """Widths of the stem and the three stages; each halves the resolution."""

    widths: tuple[int, int, int, int] = (16, 40, 80, 128)
    dropout: float = 0.15


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


def stage_logits(answers: Tensor) -> Tensor:
    """Turn logits of "beyond stage k, given beyond k - 1" ``(n, 4)`` into logits of the stages ``(n, 5)``.

    They are log P(stage), whose cross-entropy is the sum of CORN's conditional losses, plus the
    mean size of the answers: that leaves the probabilities as they are and gives the logits an
    energy that says how decided the answers were.
    """
    answers = answers.float()
    reached = torch.cumsum(F.logsigmoid(answers), dim=1)
    zero = torch.zeros_like(reached[:, :1])
    logs = torch.cat([zero, reached], dim=1) + torch.cat([F.logsigmoid(-answers), zero], dim=1)
    return logs + answers.abs().mean(dim=1, keepdim=True)


def pool_inside(maps: Tensor, weights: Tensor) -> Tensor:
    """Average maps ``(n, c, h, w)`` under each weight map ``(n, o, h, w)``: ``(n, o * c)``."""
    flat = weights.flatten(2) + 1e-4
    flat = flat / flat.sum(dim=2, keepdim=True)
    return torch.bmm(flat, maps.flatten(2).transpose(1, 2)).flatten(1)


class StageNet(nn.Module):
    """Stage, signs and organs of one slice.

    ``forward`` gives the stages' logits ``(n, 5)``; ``forward_evidence`` gives
    organs and graded signs as probabilities; ``forward_all`` gives everything that is trained.
    """

    def __init__(self, config: NetConfig | None = None) -> None:
        super().__init__()
        config = config or NetConfig()
        w = config.widths
        self.stem = nn.Sequential(nn.Conv2d(1, w[0], 5, 2, 2, bias=False), nn.BatchNorm2d(w[0]), nn.ReLU())
        self.layer0 = ResidualBlock(w[0], w[0], 1)
        self.layer1 = nn.Sequential(ResidualBlock(w[0], w[1], 2), ResidualBlock(w[1], w[1], 1))
        self.layer2 = nn.Sequential(ResidualBlock(w[1], w[2], 2), ResidualBlock(w[2], w[2], 1))
        self.layer3 = ResidualBlock(w[2], w[3], 2)
        self.context = nn.Conv2d(w[2], w[1], 1)
        self.organs = nn.Sequential(nn.Conv2d(w[1], 24, 3, 1, 1), nn.ReLU(), nn.Conv2d(24, len(ORGANS), 1))
        self.n_features = 3 * w[1] + 2 * w[2] + w[3]
        self.mix = nn.Sequential(nn.LayerNorm(self.n_features), nn.Linear(self.n_features, 128), nn.ReLU())
        self.dropout = nn.Dropout(config.dropout)
        self.signs = nn.Linear(128, len(SIGN_NAMES) * N_LEVELS)
        self.values = nn.Linear(128, len(SIGN_NAMES))
        self.head = nn.Linear(128, N_STAGES - 1)

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.layer1(self.layer0(self.stem(x)))
        middle = self.layer2(fine)
        deep = self.layer3(middle)
        wide = F.interpolate(self.context(middle), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        organs = self.organs(fine + wide)
        inside = torch.sigmoid(organs.float())
        rest = 1 - inside.amax(dim=1, keepdim=True)
        weights = torch.cat([inside, rest], dim=1).to(fine.dtype)
        liver = F.adaptive_avg_pool2d(inside[:, :1], middle.shape[-2:]).to(middle.dtype)
        pooled = [pool_inside(fine, weights), pool_inside(middle, torch.cat([liver, 1 - liver], dim=1))]
        return self.mix(torch.cat([*pooled, deep.mean(dim=(2, 3))], dim=1)), organs

    def forward_features(self, x: Tensor) -> Tensor:
        """Map inputs ``(n, 1, H, W)`` to penultimate features ``(n, 128)``."""
        return self._encode(x)[0]

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the stages' logits ``(n, 5)`` and penultimate features ``(n, 128)`` in one pass."""
        features = self.forward_features(x)
        return stage_logits(self.head(self.dropout(features))), features

    def forward_all(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give everything that is trained.

        Returns
        -------
        (Tensor, Tensor, Tensor, Tensor)
            Logits of the stages ``(n, 5)``, of the organs ``(n, 2, H / 4, W / 4)`` and of the signs'
            levels ``(n, 8, 3)``, and the signs' standardised values ``(n, 8)``.
        """
        features, organs = self._encode(x)
        dropped = self.dropout(features)
        levels = self.signs(dropped).view(-1, len(SIGN_NAMES), N_LEVELS)
        return stage_logits(self.head(dropped)), organs, levels, self.values(dropped)

    def forward_evidence(self, x: Tensor) -> dict[str, Tensor]:
        """Give probabilities of organs ``(n, 2, H / 4, W / 4)``, signs' levels ``(n, 8, 3)`` and stages ``(n, 5)``."""
        logits, organs, levels, _ = self.forward_all(x)
        return {
            "organs": torch.sigmoid(organs.float()),
            "signs": torch.softmax(levels.float(), dim=-1),
            "stages": torch.softmax(logits.float(), dim=-1),
        }

    def forward(self, x: Tensor) -> Tensor:
        """Give the stages' logits ``(n, 5)``."""
        return self.forward_with_features(x)[0]


def build_model() -> StageNet:
    """Build one untrained member; the core loads its weights."""
    return StageNet()
