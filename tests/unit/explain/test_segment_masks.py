"""Superpixels shown and hidden: cut once per input, scored once per distinct mask."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from whycad.explain import METHODS, ExplainOptions, segment_masks
from whycad.explain.segment_masks import SegmentedImage, SegmentScores
from whycad.explain.superpixels import grid_segments


def test_an_input_is_cut_once_for_all_methods_and_seeds(make_inputs, nets, monkeypatch):
    cuts = []
    real = segment_masks.superpixels_within
    monkeypatch.setattr(segment_masks, "superpixels_within", lambda *a: cuts.append(a[-1]) or real(*a))
    inputs, model = make_inputs(), nets.quadrant().eval()
    for method in ("lime", "kernel_shap"):
        for seed in (0, 1):
            METHODS[method].explain(model, inputs, 1, ExplainOptions(seed=seed, n_samples=40))
    assert cuts == [0]
    METHODS["lime"].explain(model, inputs, 1, ExplainOptions(n_samples=40, n_segments=9))
    METHODS["lime"].explain(model, make_inputs(), 1, ExplainOptions(n_samples=40))
    assert cuts == [0, 9, 0]


def test_segments_go_with_their_input(make_inputs):
    inputs = make_inputs()
    segments = weakref.ref(SegmentedImage.of(inputs, ExplainOptions()).segments)
    gc.collect()
    assert segments() is not None
    del inputs
    gc.collect()
    assert segments() is None


class Sums(nn.Module):
    """The sum of an image's pixels; remembers how many images it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return x.double().sum(dim=(1, 2, 3))[:, None]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 7), st.integers(0, 99))
def test_scores_asked_for_bit_by_bit_are_those_asked_for_at_once(asked, k, seed):
    masks = np.random.default_rng(seed).random((60, k)) < 0.5
    segments = grid_segments((6, 7), k)
    masks = np.resize(masks, (60, int(segments.max()) + 1))
    image = np.random.default_rng(seed).random((2, 6, 7)).astype(np.float32)
    model = Sums()
    scored = SegmentScores(model, SegmentedImage(image, np.zeros_like(image), segments), masks, ExplainOptions())
    for n in asked:
        expected = [(image * mask[segments]).sum(dtype=np.float64) for mask in masks[:n]]
        np.testing.assert_allclose(scored.first(n)[:, 0], expected, rtol=1e-5)
    assert model.seen == scored.n_evaluated == len(np.unique(masks[: max(asked)], axis=0))
