"""Networks whose right explanation is known, and an ensemble around them."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from whycad.imaging.geometry import resize_geometry
from whycad.types import ModelInput


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Linear(nn.Module):
    """Logits that are linear in the pixels: exact attributions are weight x (input - baseline)."""

    def __init__(self, shape: tuple[int, ...] = (3, 12, 18), n_labels: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.head = nn.Linear(int(np.prod(shape)), n_labels)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(self.head.weight.shape, generator=generator) * 0.1)
            self.head.bias.fill_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class Quadrant(nn.Module):
    """Label 1 grows with brightness in one corner; nothing else matters.

    ``features`` is an ordinary convolution at half resolution, for Grad-CAM.
    """

    def __init__(self, corner: tuple[int, int] = (0, 1), scale: float = 4.0) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 2, stride=2, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.corner = corner
        self.scale = scale
        with torch.no_grad():
            self.features.weight.fill_(1 / 12)

    def forward(self, x: Tensor) -> Tensor:
        f = self.act(self.features(x))
        h, w = f.shape[-2] // 2, f.shape[-1] // 2
        rows = slice(0, h) if self.corner[0] == 0 else slice(h, None)
        columns = slice(0, w) if self.corner[1] == 0 else slice(w, None)
        seen = self.dropout(f)[..., rows, columns].mean(dim=(1, 2, 3)) * self.scale
        return torch.stack([torch.zeros_like(seen), seen - 1.0, -seen], dim=1)


class Smooth(nn.Module):
    """A small curved network of two or three spatial axes; ``conv`` is its layer of features."""

    def __init__(self, channels: int = 3, d: int = 2, n_labels: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = (nn.Conv2d if d == 2 else nn.Conv3d)(channels, 6, 3, padding=1)
            self.head = nn.Linear(6, n_labels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(3 * self.conv(x)).flatten(2).mean(dim=2) * 5)


class FakeEnsemble:
    """The interface of ``whycad.inference.Ensemble`` and nothing more."""

    def __init__(self, *members: nn.Module) -> None:
        self.members = tuple(member.eval() for member in members)
        self.device = torch.device("cpu")
        self.lock = threading.RLock()
        self.n_images = 0

    def logits(self, batch: Tensor, *, cancelled=None, views=None) -> Tensor:
        assert tuple(views) == ("identity",)
        self.n_images += len(batch)
        with torch.inference_mode(), self.lock:
            return torch.stack([member(batch)[None] for member in self.members]).float()

    def explain_members(self) -> tuple[nn.Module, ...]:
        with self.lock:
            return tuple(copy.deepcopy(member) for member in self.members)

    gradient_members = explain_members


class Nets:
    linear = Linear
    quadrant = Quadrant
    smooth = Smooth
    ensemble = FakeEnsemble


@pytest.fixture(scope="session")
def nets() -> type[Nets]:
    return Nets


@pytest.fixture
def make_inputs():
    """Bright noisy images on an oblong grid, from a source of twice the size."""

    def make(shape: tuple[int, int] = (32, 48), *, baseline: float = 0.0, seed: int = 0, box=None) -> ModelInput:
        rng = np.random.default_rng(seed)
        array = (0.6 + 0.4 * rng.random((3, *shape))).astype(np.float32)
        source = (shape[0] * 2, shape[1] * 2)
        return ModelInput(array, resize_geometry(source, shape, box), baseline)

    return make
