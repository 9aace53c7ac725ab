"""Ratings become targets, patients stay on one side, and depth does not reach the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from plugins.lung_nodule.augment import AugmentConfig, Views
from plugins.lung_nodule.concepts import SCALES, head_widths
from plugins.lung_nodule.crossfigures import partial_spearman
from plugins.lung_nodule.data import (
    CALIBRATION_FOLD,
    LABELS,
    N_FOLDS,
    NoduleTable,
    SliceTable,
    beyond_size,
    median_label,
    nodule_table,
    rating_shares,
    slice_table,
    suspicion_share,
)
from plugins.lung_nodule.grid import KNOWN_ABOVE
from plugins.lung_nodule.losses import STACK_SIDE, NoduleLoss, Recipe, outline_loss, soft_cross_entropy
from plugins.lung_nodule.model import NetConfig, NoduleNet
from plugins.lung_nodule.preprocess import preprocess
from plugins.lung_nodule.rows import read_row
from plugins.lung_nodule.train import without_fold
from whycad.datasets.pack import read_pack
from whycad.manifest import load_manifest
from whycad.types import Region, Study

SMALL = NetConfig(stem=4, widths=(4, 6, 8), blocks=(1, 1, 1), dropout=0.0)


def made_table(n=40, seed=0):
    """A table of made-up nodules: noise with a bright square, ratings at random."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((n, 128, 128), np.uint8)
    mask[:, 56:72, 56:72] = 1
    hu = (rng.normal(-850, 20, mask.shape) + 850.0 * mask).astype(np.int16)
    readers = rng.integers(1, 6, (n, 4)).astype(np.int8)
    label = median_label(readers)
    ratings = {k: rating_shares(rng.integers(1, w + 1, (n, 4)).astype(np.int8), w) for k, w in head_widths().items()}
    ratings["suspicion"] = rating_shares(readers, 5)
    return NoduleTable(
        hu=hu,
        mask=mask,
        spacing_mm=np.full(n, 0.7),
        seed=np.full((n, 2), 63.5),
        label=label,
        ratings=ratings,
        n_readers=np.full(n, 4),
        diameter_mm=rng.uniform(4, 30, n),
        patient=np.array([f"p{i // 2}" for i in range(n)]),
        fold=(np.arange(n) // 2) % N_FOLDS,
    )


def test_labels_are_medians_of_those_who_rated():
    ratings = np.array([[1, 2, 3, -1], [4, 4, 1, 5], [3, -1, -1, -1], [2, 4, -1, -1], [3, 4, -1, -1]], np.int8)
    assert median_label(ratings).tolist() == [0, 1, -1, -1, 1]


def test_shares_count_only_those_who_rated():
    shares = rating_shares(np.array([[1, 1, 5, -1], [-1, -1, -1, 2]], np.int8), 5)
    np.testing.assert_allclose(shares, [[2 / 3, 0, 0, 0, 1 / 3], [0, 1, 0, 0, 0]], atol=1e-6)


def test_an_indeterminate_rating_counts_half():
    shares = np.array([[0, 0, 1, 0, 0], [0.5, 0, 0, 0, 0.5], [0, 0, 0.5, 0.25, 0.25]], np.float32)
    assert suspicion_share(shares).tolist() == [0.5, 0.5, 0.75]


def test_targets_are_soft_or_medians():
    table = made_table()
    soft, weight = Recipe(soft_labels=True).targets(table)
    assert weight.all()
    assert 0 <= soft.min() < soft.max() <= 1
    hard, weight = Recipe(soft_labels=False).targets(table)
    assert set(np.unique(hard)) <= {0.0, 1.0}
    assert np.array_equal(weight > 0, table.label >= 0)


def test_what_goes_beyond_size_has_no_rank_correlation_with_it():
    table = made_table(200)
    table.diameter_mm[:5] = np.nan
    rest = beyond_size(table)
    assert np.isnan(rest[:5]).all()
    known = rest[5:].astype(float)
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(known.std(axis=0), 1, atol=1e-5)
    rated = table.ratings["margin"][5:] @ np.arange(1, 6)
    column = list(table.ratings).index("margin")
    assert partial_spearman(known[:, column], rated, table.diameter_mm[5:]) > 0.95


def test_leaving_a_fold_out_leaves_its_slices_out():
    table = made_table()
    slices = SliceTable(np.zeros((40, 48, 48), np.int16), np.zeros((40, 48, 48), np.uint8), np.arange(40))
    slices.hu[:, 0, 0] = np.arange(40)
    part, rest = without_fold((table, slices), 1)
    assert 1 not in part.fold
    assert len(part.label) == len(rest.owner) == 32
    assert np.array_equal(np.flatnonzero(table.fold != 1)[rest.owner], rest.hu[:, 0, 0])


def made_slices(n=10):
    rng = np.random.default_rng(0)
    hu = rng.normal(-800, 30, (3 * n, STACK_SIDE, STACK_SIDE)).astype(np.int16)
    return SliceTable(hu, np.ones_like(hu, np.uint8), np.repeat(np.arange(n), 3))


def loss_of(recipe):
    return NoduleLoss(made_table(), made_slices(), recipe, torch.device("cpu"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_soft_cross_entropy_is_least_at_the_target():
    target = torch.tensor([[0.2, 0.8]])
    at, off = soft_cross_entropy(target.log(), target), soft_cross_entropy(torch.tensor([[0.0, 0.0]]), target)
    assert float(at) < float(off)
    assert float(at) == pytest.approx(float(-(target * target.log()).sum()))


def test_the_outline_is_not_judged_where_nothing_is_known():
    planes, known = torch.zeros(1, 96, 96), torch.ones(1, 96, 96, dtype=torch.bool)
    known[:, :, 48:] = False
    mask = torch.zeros(1, 96, 96)
    mask[:, 40:56, 60:70] = 1
    views = Views(planes, mask, known, torch.ones(1, dtype=torch.bool))
    assert float(outline_loss(torch.full((2, 1, 48, 48), -20.0), views)) < 1e-6
    views = replace(views, known=torch.ones(1, 96, 96, dtype=torch.bool))
    assert float(outline_loss(torch.full((2, 1, 48, 48), -20.0), views)) > 0.1


def test_neighbouring_slices_come_from_the_same_nodule():
    recipe = Recipe(augment=AugmentConfig(neighbours=1.0))
    loss = loss_of(recipe)
    loss.slice_hu[:] = torch.arange(30)[:, None, None].to(torch.int16)
    parts = loss._slices(torch.arange(20), generator())
    assert (parts.side[:10] == STACK_SIDE).all()
    assert (parts.side[10:] == 128).all()
    assert torch.equal(parts.hu[:10, 0, 0] // 3, torch.arange(10.0))
    assert (parts.spacing_mm[:10] == 1).all()
    assert loss_of(recipe).slice_hu.shape == (30, STACK_SIDE, STACK_SIDE)


def test_unlabelled_nodules_do_not_count_with_median_labels():
    hard = loss_of(Recipe(soft_labels=False))
    assert hard.weight.sum() < len(hard.weight)
    unsure = torch.from_numpy(np.flatnonzero(made_table().label < 0))
    only = replace(hard.recipe, descriptor_weight=0.0, beyond_size_weight=0.0, outline_weight=0.0)
    hard.recipe = only
    torch.manual_seed(0)
    assert float(hard(NoduleNet(SMALL), unsure, 0, generator()).detach()) == 0


def test_every_head_learns_and_the_loss_goes_down():
    torch.manual_seed(0)
    model, loss = NoduleNet(SMALL), loss_of(Recipe(augment=AugmentConfig(noise_hu=5.0)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    history = []
    for step in range(20):
        value = loss(model, torch.arange(16), 0, generator(step))
        optimizer.zero_grad()
        value.backward()
        if step == 0:
            silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert not silent
        optimizer.step()
        history.append(float(value.detach()))
    assert np.mean(history[-5:]) < 0.95 * np.mean(history[:3])


@pytest.fixture(scope="module")
def table(data_dir):
    return nodule_table(data_dir)


@pytest.mark.data
def test_no_patient_is_on_two_sides(data_dir, table):
    for patient in np.unique(table.patient):
        assert len(np.unique(table.fold[table.patient == patient])) == 1
    pack = read_pack(data_dir / "lung" / "lidc_key_slices.npz")
    assert not set(table.patient) & set(pack.arrays["patient"][pack.rows("val")].astype(str))
    assert np.bincount(table.label[(table.fold == CALIBRATION_FOLD) & (table.label >= 0)]).min() >= 60


@pytest.mark.data
def test_labels_are_those_of_the_pack_and_of_the_manifest(data_dir, table, repo):
    pack = read_pack(data_dir / "lung" / "lidc_key_slices.npz")
    assert np.array_equal(table.label, pack.arrays["label"][pack.rows("train")])
    assert load_manifest(repo / "plugins" / "lung_nodule").label_codes == LABELS
    assert all(np.allclose(table.ratings[scale.name].sum(axis=1), 1) for scale in SCALES)


@pytest.mark.data
def test_neighbouring_slices_belong_to_training_nodules_and_are_near_the_middle(data_dir, table):
    slices = slice_table(data_dir)
    assert slices.owner.max() < len(table.label)
    assert np.bincount(slices.owner).max() <= 7
    assert (table.label[slices.owner] >= 0).all()
    assert slices.mask.any(axis=(1, 2)).mean() > 0.95


@pytest.mark.data
def test_depth_does_not_reach_the_network(data_dir, table):
    """A stack's depth tells the label; what is known of the network's input does not."""
    keys, stacks = (read_pack(data_dir / "lung" / f"lidc_{name}.npz") for name in ("key_slices", "stacks_1mm"))
    label = {
        (str(p), int(n)): int(y)
        for p, n, y in zip(*(keys.arrays[c] for c in ("patient", "nodule_no", "label")), strict=True)
    }
    malignant, depth, extent = [], [], []
    for row in stacks.rows("train")[::2]:
        n = int(np.diff(stacks.arrays["offset"][row : row + 2])[0])
        malignant.append(label[(str(stacks.arrays["patient"][row]), int(stacks.arrays["nodule_no"][row]))] == 1)
        depth.append(n)
        extent.append(known_slices(n))
    truth = np.array(malignant)
    assert auroc(np.array(depth), truth) > 0.8, "the probe does not bite"
    assert auroc(np.array(extent), truth) == pytest.approx(0.5, abs=0.02)
    rows = [read_row(stacks, int(row))[0].pixels.shape for row in stacks.rows("train")[:50]]
    assert set(rows) == {(48, 48)}


def known_slices(depth):
    study = Study(np.zeros((depth, 48, 48), np.float32), "CT", "0" * 64, "HU", (1.0, 1.0, 1.0))
    patch = preprocess(study, Region(((depth - 1) / 2, 23.5, 23.5))).array[0]
    return int((patch > KNOWN_ABOVE).any(axis=(1, 2)).sum())


def auroc(score, truth):
    greater = (score[truth][:, None] > score[~truth][None]).mean()
    return float(greater + 0.5 * (score[truth][:, None] == score[~truth][None]).mean())
