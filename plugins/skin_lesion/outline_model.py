"""The network that outlines the lesion: a small U-Net (Ronneberger 2015), apart from the classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

WIDTHS = (24, 48, 72, 88)


def _block(n_in: int, n_out: int) -> nn.Sequential:
    def convolution(n: int) -> list[nn.Module]:
        return [nn.Conv2d(n, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]

    return nn.Sequential(*convolution(n_in), *convolution(n_out))


class OutlineNet(nn.Module):
    """Four levels, the finest at half resolution; pixels are folded into channels before and after.

    ``forward_evidence`` is what the core calls.

    Parameters
    ----------
    widths : tuple of int
        Channels of each level, finest first.
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        first, *rest = widths
        self.down = nn.ModuleList([_block(12, first)])
        for before, width in zip(widths, rest, strict=False):
            self.down.append(_block(before, width))
        self.up = nn.ModuleList(
            _block(below + width, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(first, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images ``(n, 3, H, W)`` to outline logits ``(n, H, W)``; sides divide by 16."""
        x = F.pixel_unshuffle(x, 2)
        passed: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            passed.append(x)
        for block, beside in zip(self.up, passed[-2::-1], strict=True):
            finer = F.interpolate(x, size=beside.shape[-2:], mode="nearest")
            x = block(torch.cat([finer, beside], dim=1))
        return F.pixel_shuffle(self.head(x), 2)[:, 0]

    def forward_evidence(self, x: Tensor) -> dict[str, Tensor]:
        """Return ``mask``, the probability of lesion ``(n, H, W)`` for normalised images."""
        return {"mask": torch.sigmoid(self.forward(x).float())}


def build_outline_model() -> OutlineNet:
    """Build the untrained network; the core loads its weights."""
    return OutlineNet()
