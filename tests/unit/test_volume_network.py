"""A network of volumes: passes, views, maps and single images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.explain import to_source
from whycad.imaging.geometry import map_to_source
from whycad.inference import Ensemble, load_members
from whycad.pipeline import analyse, predict_batch
from whycad.testing.plugins import write_plugin
from whycad.testing.volume_plugins import PATCHES, make_volume
from whycad.types import AnalysisRequest, Geometry, Prediction, Region
from whycad.volume import slice_study

METHODS = ("gradcam", "ig", "occlusion", "lime")
SEED = Region((4.0, 20.0, 22.0))


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    torch.set_num_threads(1)
    return load_members(write_plugin(tmp_path_factory.mktemp("plugins"), PATCHES), torch.device("cpu"))


def test_every_view_is_passed_and_batch_norms_are_folded(ensemble: Ensemble) -> None:
    x = torch.rand((3, 1, *PATCHES.shape), generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits = ensemble.logits(x, views=("identity", "flip_rows", "flip_columns", "flip_both"))
    with torch.no_grad():
        bare = [[member(view) for view in (x, x.flip(-2), x.flip(-1), x.flip((-2, -1)))] for member in ensemble.members]
    torch.testing.assert_close(logits, torch.stack([torch.stack(views) for views in bare]), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for e in ensemble._engine.members for m in e.modules())


def test_maps_of_a_volume_lie_within_the_patch(ensemble: Ensemble) -> None:
    study = make_volume()
    result = analyse(study, ensemble.plugin, AnalysisRequest(explain=METHODS, region=SEED), ensemble=ensemble)
    assert result.profile is None
    for attribution in result.attributions:
        assert attribution.map.shape == study.pixels.shape
        assert np.isfinite(attribution.map).all()
        assert attribution.map.any()
        outside = attribution.map.copy()
        outside[1:7, 10:30, 10:34] = 0
        assert not outside.any(), attribution.method


def test_what_lies_outside_the_volume_takes_no_part(ensemble: Ensemble) -> None:
    """A seed in a corner leaves three quarters of the patch empty."""
    study = make_volume()
    corner = AnalysisRequest(explain=("ig", "occlusion", "lime"), region=Region((0.0, 2.0, 2.0)))
    result = analyse(study, ensemble.plugin, corner, ensemble=ensemble)
    gradients, windows, superpixels = result.attributions
    assert gradients.fidelity.convergence_delta == pytest.approx(0, abs=0.05)
    inputs = ensemble.plugin.preprocess(study, corner.region)
    known = int((np.asarray(inputs.baseline)[0] == -1).sum())
    assert known < 0.4 * inputs.array.size
    assert windows.fidelity.n_samples is not None
    assert windows.fidelity.n_samples <= 1 + 7**3
    assert superpixels.parameters["segments"] >= 20
    for attribution in result.attributions:
        assert attribution.map.any()


def test_a_single_image_is_a_volume_of_one_slice(ensemble: Ensemble) -> None:
    study = slice_study(make_volume(), 4)
    request = AnalysisRequest(explain=METHODS, region=Region((20.0, 22.0)))
    result = analyse(study, ensemble.plugin, request, ensemble=ensemble)
    assert result.source_shape == (40, 44)
    for attribution in result.attributions:
        assert attribution.map.shape == (40, 44)
        assert attribution.map.any()
    windows = result.attributions[2]
    assert windows.parameters["window"] == "1x3x3"
    assert windows.fidelity.n_samples == 1 + 7 * 8


def test_images_and_volumes_share_a_batch(ensemble: Ensemble) -> None:
    study = make_volume()
    together = predict_batch([study, slice_study(study, 4)], ensemble.plugin, ensemble, regions=[SEED, None])
    alone = predict_batch([slice_study(study, 4)], ensemble.plugin, ensemble)[0]
    assert isinstance(together[1], Prediction)
    assert isinstance(alone, Prediction)
    np.testing.assert_allclose(together[1].probabilities, alone.probabilities, atol=1e-5)


def test_a_ball_is_where_the_maps_say(ensemble: Ensemble, tmp_path: Path) -> None:
    """Only the ball's brightness counts: half of the patch's other half must stay quiet."""
    source = """
import torch
from whycad.testing.tiny_net import TinyVolumeNet
class Net(TinyVolumeNet):
    def forward(self, x):
        seen = torch.clamp(x[:, :, :3, :10, :12] + 1, min=0).mean(dim=(1, 2, 3, 4))
        return torch.stack([-seen, 4 * seen, torch.zeros_like(seen)], dim=1)
def build_model(): return Net({channels}, {n_labels})
"""
    own = load_members(write_plugin(tmp_path, replace(PATCHES, model=source)), torch.device("cpu"))
    request = AnalysisRequest(explain=("ig", "occlusion", "lime"), target="b", region=SEED)
    result = analyse(make_volume(), own.plugin, request, ensemble=own)
    for attribution in result.attributions:
        positive = np.clip(attribution.map, 0, None)
        inside = positive[1:4, 10:20, 10:22].sum() / positive.sum()
        assert inside > 0.6, attribution.method


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-15, 30), min_size=3, max_size=3),
    st.lists(st.floats(0.3, 3), min_size=3, max_size=3),
    st.integers(0, 9),
)
def test_a_map_is_brought_back_as_if_the_whole_volume_were_computed(
    start: list[float], step: list[float], seed: int
) -> None:
    matrix = np.diag([*step, 1.0])
    matrix[:3, 3] = start
    geometry = Geometry(matrix, (4, 5, 6), (12, 14, 16))
    values = np.random.default_rng(seed).normal(size=(4, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(to_source(values, geometry), map_to_source(values, geometry), atol=1e-6)


KEEPS_A_TENSOR = """
from functools import lru_cache
import torch
from whycad.testing.tiny_net import TinyVolumeNet

@lru_cache(maxsize=1)
def weights():
    return torch.linspace(0.5, 1.5, 24)

class Net(TinyVolumeNet):
    def forward(self, x):
        return super().forward(x * weights())

def build_model(): return Net({channels}, {n_labels})
"""


def test_a_network_may_keep_a_tensor_that_it_made_while_predicting(tmp_path: Path) -> None:
    own = load_members(write_plugin(tmp_path, replace(PATCHES, model=KEEPS_A_TENSOR)), torch.device("cpu"))
    result = analyse(make_volume(), own.plugin, AnalysisRequest(explain=("gradcam", "ig"), region=SEED), ensemble=own)
    assert all(attribution.map.any() for attribution in result.attributions)
