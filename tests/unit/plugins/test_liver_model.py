"""The staging network: ordinal answers, organs to look into, and a loss that learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from plugins.liver_fibrosis.data import simulated_table, stage_only_table
from plugins.liver_fibrosis.fitting import (
    Augmentation,
    FitRecipe,
    RunPlan,
    StageLoss,
    augment,
    sampling_prior,
    sampling_weights,
    started_net,
)
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.model import NetConfig, StageNet, build_model, pool_inside, stage_logits
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE
from whycad.training.package import write_member

RECIPE = FitRecipe(runs=(RunPlan((1,), 1),))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=4, max_size=4))
def test_logits_are_the_product_of_conditional_answers(answers):
    f = torch.tensor([answers], dtype=torch.float64)
    beyond = torch.cumprod(torch.sigmoid(f.float()), dim=1)[0]
    p = torch.softmax(stage_logits(f), dim=1)[0]
    for stage in range(1, 5):
        assert float(p[stage:].sum()) == pytest.approx(float(beyond[stage - 1]), abs=1e-5)


def test_the_cross_entropy_is_the_conditional_loss():
    torch.manual_seed(0)
    f, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, 2])
    expected = torch.zeros(6)
    for row in range(6):
        for k in range(4):
            if y[row] >= k:
                expected[row] += F.binary_cross_entropy_with_logits(f[row, k], (y[row] > k).float())
    found = F.cross_entropy(stage_logits(f), y, reduction="none")
    torch.testing.assert_close(found, expected)


def test_the_energy_of_the_logits_is_not_constant():
    energy = torch.logsumexp(stage_logits(torch.tensor([[0.1, 0, 0, 0], [5.0, -5, 5, -5]])), dim=1)
    assert float(energy[1] - energy[0]) > 3


def test_pooling_looks_where_the_weights_are():
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., :2] = 5
    weights = torch.zeros(1, 2, 4, 4)
    weights[:, 0, :, :2] = 1
    weights[:, 1, :, 2:] = 1
    pooled = pool_inside(maps, weights)
    assert float(pooled[0, 0]) == pytest.approx(5, abs=0.01)
    assert float(pooled[0, 1]) == pytest.approx(0, abs=0.01)


def test_outputs_have_their_shapes_and_agree():
    torch.manual_seed(0)
    model = build_model().eval()
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
    x = torch.randn(2, 1, *INPUT_SHAPE)
    with torch.inference_mode():
        logits, features = model.forward_with_features(x)
        found = model.forward_evidence(x)
        assert torch.allclose(model(x), logits)
        assert torch.allclose(stage_logits(model.head(features)), logits)
    assert logits.shape == (2, 5)
    assert found["organs"].shape == (2, 2, 28, 36)
    assert found["signs"].shape == (2, 8, 3)
    torch.testing.assert_close(found["signs"].sum(dim=-1), torch.ones(2, 8))
    torch.testing.assert_close(found["stages"], torch.softmax(logits, dim=1))


def test_augmentation_keeps_the_picture_and_its_scale():
    table = simulated_table(PackOrder(5, 0, ("A",), stream="train"))
    inputs = torch.from_numpy(table.inputs).float()[:, None]
    changed = augment(inputs, Augmentation(), torch.Generator().manual_seed(0))
    again = augment(inputs, Augmentation(), torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)
    assert torch.isfinite(changed).all()
    assert not torch.equal(changed, inputs)
    for before, after in zip(inputs.flatten(1), changed.flatten(1), strict=True):
        assert float(torch.corrcoef(torch.stack([before, after]))[0, 1]) > 0.9


def test_augmentation_of_nothing_changes_nothing():
    table = simulated_table(PackOrder(2, 0, ("A",), stream="train"))
    inputs = torch.from_numpy(table.inputs).float()[:, None]
    same = augment(inputs, Augmentation(0, 0, 0, 0), torch.Generator().manual_seed(0))
    torch.testing.assert_close(same, inputs, atol=0.02, rtol=0)


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    table = simulated_table(PackOrder(10, 0, ("B",), stream="train"))
    model, loss = StageNet(), StageLoss(table, RECIPE, torch.device("cpu"))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    values = []
    for step in range(6):
        value = loss(model, torch.arange(10), step, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.9 * values[0]


def test_real_cases_teach_the_stage_alone():
    torch.manual_seed(0)
    inputs = np.random.default_rng(0).normal(size=(4, *INPUT_SHAPE)).astype(np.float16)
    loss = StageLoss(stage_only_table(inputs, np.array([0, 1, 2, 4])), RECIPE, torch.device("cpu"))
    model = StageNet()
    loss(model, torch.arange(4), 0, torch.Generator().manual_seed(0)).backward()
    assert model.head.weight.grad is not None
    assert model.signs.weight.grad is None or float(model.signs.weight.grad.abs().sum()) == 0


def test_a_run_goes_on_from_a_packaged_member(tmp_path):
    torch.manual_seed(0)
    trained = StageNet()
    trained.stem[1].running_mean += 0.5
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    write_member(tmp_path / "state.pt", tmp_path / "member.safetensors")
    torch.manual_seed(1)
    started, fresh = started_net(NetConfig(), tmp_path / "member.safetensors"), started_net(NetConfig(), None)
    torch.testing.assert_close(started.head.weight, trained.head.weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(started.stem[1].running_mean, trained.stem[1].running_mean)
    assert not torch.allclose(fresh.head.weight, trained.head.weight, atol=1e-3)


def test_sampling_is_balanced_as_far_as_asked():
    labels = np.array([0] * 80 + [1] * 20)
    assert sampling_weights(labels, 0.0)[0] == sampling_weights(labels, 0.0)[-1]
    assert sampling_prior(labels, 1.0)[:2] == pytest.approx([0.5, 0.5])
    assert sampling_prior(labels, 0.0)[:2] == pytest.approx([0.8, 0.2])
