"""Folding keeps the function; ReLUs work in place only where nobody else needs what they overwrite."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from whycad.folding import folded, same_gradients


class Stem(nn.Module):
    """A convolution, its norm and a ReLU, used as a subclass says."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.norm.running_mean += 0.3

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x))).mean(dim=(2, 3))


class KeepsWhatCameBefore(Stem):
    def forward(self, x: Tensor) -> Tensor:
        before = self.norm(self.conv(x))
        return (self.act(before) - before).mean(dim=(2, 3))


class ActsOnItsInput(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.act(x))).mean(dim=(2, 3))


class ActsTwice(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(self.act(x)))).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("kind", "in_place"), [(Stem, True), (KeepsWhatCameBefore, False), (ActsOnItsInput, False), (ActsTwice, False)]
)
def test_a_relu_works_in_place_only_on_what_nobody_else_reads(kind, in_place):
    model, x = kind().eval(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    fast, given = folded(model, x), x.clone()
    assert isinstance(fast.norm, nn.Identity)
    assert fast.act.inplace is in_place
    assert model.act.inplace is False
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), atol=1e-5, rtol=1e-5)
    assert torch.equal(x, given)


class WithoutGradient(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class OfOtherGradient(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(0.9 * x + 0.1 * x.detach())


def test_gradients_of_a_folded_model_are_those_of_the_model():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model = Stem().eval()
    assert same_gradients(model, folded(model, x), x)
    assert x.grad is None


@pytest.mark.parametrize("kind", [WithoutGradient, OfOtherGradient])
def test_other_gradients_or_none_are_seen(kind):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert not same_gradients(Stem().eval(), kind().eval(), x)
