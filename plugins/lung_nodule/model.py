"""The nodule network: one 2-D encoder for three views and two scales, with several heads.

Views are averaged over those that are known, so that one network reads a single key slice and a
volume (multi-view, Setio 2016; multi-scale, Shen 2015). The outline, an output of its own, steers
the pooling and is measured, and radiologists' descriptors are predicted from the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.lung_nodule.concepts import SCALES, head_widths
from plugins.lung_nodule.grid import KNOWN_ABOVE, MIDDLE, SHAPE
from plugins.lung_nodule.measures import NAMES, Measures
from plugins.lung_nodule.placing import place
from plugins.lung_nodule.views import N_SCALES, join_scales, planes_of, scales_of

N_CLASSES = 2
N_POOLINGS = 3
POOL = 4


@dataclass(frozen=True)
class NetConfig:
    """Widths and depths of the three stages, features before the heads, and their dropout."""

    stem: int = 16
    widths: tuple[int, int, int] = (24, 48, 64)
    blocks: tuple[int, int, int] = (1, 2, 1)
    hidden: int = 64
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


def _stage(n_in: int, n_out: int, n_blocks: int, stride: int = 2) -> nn.Sequential:
    first = ResidualBlock(n_in, n_out, stride)
    return nn.Sequential(first, *(ResidualBlock(n_out, n_out, 1) for _ in range(n_blocks - 1)))


def pooling_weights(outline: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights ``(n, 1, 12, 12)`` that add up to 1: the whole plane, inside an outline, around it.

    Parameters
    ----------
    outline : Tensor (n, 48, 48)
        Logits.
    """
    inside = F.avg_pool2d(torch.sigmoid(outline)[:, None], POOL)
    around = F.max_pool2d(inside, 3, 1, 1) - inside
    return tuple(w / w.sum(dim=(2, 3), keepdim=True) for w in (torch.ones_like(inside), inside + 1e-3, around + 1e-3))  # type: ignore[return-value]


class Outline(nn.Module):
    """Outline logits ``(n, 48, 48)`` from the features of all three stages."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.middle = nn.Conv2d(widths[1], 16, 1)
        self.deep = nn.Conv2d(widths[2], 16, 1)
        self.mix = nn.Conv2d(widths[0] + 32, 24, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.act = nn.ReLU()
        self.out = nn.Conv2d(24, 4, 1)

    def forward(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Join maps of 24, 12 and 12 cells a side."""
        size = shallow.shape[-2:]
        grown = [
            F.interpolate(layer(maps), size, mode="bilinear", align_corners=False)
            for layer, maps in ((self.middle, middle), (self.deep, deep))
        ]
        mixed = self.act(self.norm(self.mix(torch.cat([shallow, *grown], dim=1))))
        return F.pixel_shuffle(self.out(mixed), 2)[:, 0]


class NoduleNet(nn.Module):
    """Suspicion of malignancy with descriptors and an outline.

    ``forward`` gives the class logits ``(n, 2)`` alone, so that explanation methods see an
    ordinary classifier. ``evidence`` holds what the classifier pools, on a coarse grid of the patch.
    """

    def __init__(self, config: NetConfig | None = None) -> None:
        super().__init__()
        config = config or NetConfig()
        w, b = config.widths, config.blocks
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.stem, 3, 1, 1, bias=False), nn.BatchNorm2d(config.stem), nn.ReLU()
        )
        self.layer1 = _stage(config.stem, w[0], b[0])
        self.layer2 = _stage(w[0], w[1], b[1])
        self.layer3 = _stage(w[1], w[2], b[2], stride=1)
        self.outline = Outline(w)
        self.measures = Measures()
        self.evidence = nn.Identity()
        self.mix = nn.Linear(N_POOLINGS * N_SCALES * w[2] + len(NAMES), config.hidden)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(config.dropout)
        self.n_features = config.hidden
        self.head = nn.Linear(config.hidden, N_CLASSES)
        self.beyond_size = nn.Linear(config.hidden, len(head_widths()))
        self.descriptors = nn.ModuleDict({name: nn.Linear(config.hidden, k) for name, k in head_widths().items()})

    def encode(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Encode planes at both scales.

        Parameters
        ----------
        planes : Tensor (m, 96, 96)

        Returns
        -------
        maps : Tensor (2, m, 3 c, 12, 12)
            Their sum over cells is the pooled features: the mean over the plane, inside the outline
            and in the ring around it.
        outline : Tensor (2, m, 48, 48)
            Logits.
        """
        scales = scales_of(planes)
        shallow = self.layer1(self.stem(scales.flatten(0, 1)))
        middle = self.layer2(shallow)
        deep = self.layer3(middle)
        outline = self.outline(shallow, middle, deep)
        maps = torch.cat([deep * weight.to(deep.dtype) for weight in pooling_weights(outline.float())], dim=1)
        split = scales.shape[:2]
        return maps.reshape(*split, *maps.shape[1:]), outline.reshape(*split, *outline.shape[1:])

    def _joined(self, pooled: Tensor, planes: Tensor, outline: Tensor) -> Tensor:
        """Join pooled features ``(m, 6 c)`` with measures of the outline to features ``(m, hidden)``."""
        # Descriptors must not bend the outline; explanations follow its gradient all the same.
        logits = outline.detach() if self.training else outline
        mask = join_scales(torch.sigmoid(logits.float()))
        found = self.measures(planes, mask * (planes > KNOWN_ABOVE))
        return torch.as_tensor(self.act(self.mix(torch.cat([pooled, found.to(pooled.dtype)], dim=1))))

    def heads(self, features: Tensor) -> dict[str, Tensor]:
        """Give logits by head: ``malignancy`` ``(n, 2)`` and every descriptor ``(n, levels)``.

        ``beyond_size`` ``(n, heads)`` serves training alone: by how much a nodule is rated above others
        of its size, in standard deviations, for each head but malignancy.
        """
        dropped = self.dropout(features)
        found = {name: layer(dropped) for name, layer in self.descriptors.items()}
        return {"malignancy": self.head(dropped), "beyond_size": self.beyond_size(dropped), **found}

    def forward_planes(self, planes: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Give logits by head and outline logits ``(2, n, 48, 48)`` of single planes ``(n, 96, 96)``."""
        maps, outline = self.encode(planes)
        pooled = maps.sum(dim=(3, 4)).transpose(0, 1).flatten(1)
        return self.heads(self._joined(pooled, planes, outline)), outline

    def forward_features(self, x: Tensor) -> Tensor:
        """Map patches ``(n, 1, 25, 96, 96)`` to features ``(n, hidden)``, the mean over known views."""
        planes, weights = planes_of(x[:, 0])
        n, v = weights.shape
        flat = planes.flatten(0, 1)
        maps, outline = self.encode(flat)
        placed = self.evidence(place(maps.reshape(len(maps), n, v, *maps.shape[2:])))
        pooled = placed.flatten(2).sum(dim=2).reshape(n * v, -1)
        features = self._joined(pooled, flat, outline).reshape(n, v, -1)
        return torch.as_tensor((features * weights[..., None]).sum(dim=1))

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give class logits ``(n, 2)`` and features ``(n, hidden)`` in one pass."""
        features = self.forward_features(x)
        return self.head(self.dropout(features)), features

    def forward(self, x: Tensor) -> Tensor:
        """Give class logits ``(n, 2)``."""
        return self.forward_with_features(x)[0]

    def forward_evidence(self, x: Tensor) -> dict[str, Tensor]:
        """Give descriptors as distributions ``(n, levels)`` and the nodule's mask ``(n, 25, 96, 96)``, 0..1."""
        found = self.heads(self.forward_features(x))
        shares = {scale.name: found[scale.name].float().softmax(dim=1) for scale in SCALES}
        return {**shares, "mask": self.masks(x[:, 0])}

    def masks(self, patch: Tensor) -> Tensor:
        """Outline the nodule on axial planes ``(n, 25, 96, 96)``, from the middle outwards until it ends; else 0."""
        found = torch.zeros_like(patch)
        here = torch.ones(len(patch), dtype=torch.bool, device=patch.device)
        found[:, MIDDLE] = self._mask(patch[:, MIDDLE])
        for step in (-1, 1):
            going = here
            for plane in range(MIDDLE + step, SHAPE[0] if step > 0 else -1, step):
                going = going & (found[:, plane - step] > 0.5).flatten(1).any(dim=1)
                going = going & (patch[:, plane] > KNOWN_ABOVE).flatten(1).any(dim=1)
                if not bool(going.any()):
                    break
                found[going, plane] = self._mask(patch[going, plane])
        return found

    def _mask(self, planes: Tensor) -> Tensor:
        mask = join_scales(torch.sigmoid(self.encode(planes)[1].float()))
        return mask * (planes > KNOWN_ABOVE)


def build_model() -> NoduleNet:
    """Build one untrained member; the core loads its weights."""
    return NoduleNet()
