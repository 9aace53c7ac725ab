"""The unknown counts half for each label, painted disease is marked where it is, and training learns."""

import numpy as np
import pytest
import torch

from plugins.retinal_oct.align import INPUT_SHAPE
from plugins.retinal_oct.anomalies import PAINTERS, Scene, paint
from plugins.retinal_oct.augment import ScanChanges, augment_scans, random_grid
from plugins.retinal_oct.data import CALIBRATION_FOLD, LABELS, FluidTable, ScanTable, groups_of, training_rows
from plugins.retinal_oct.fluid import FluidBatches, FluidRecipe, Place, fit_decoder
from plugins.retinal_oct.model import ScanNet, two_logits
from plugins.retinal_oct.phantom_scan import ScanOptions, render_scan
from plugins.retinal_oct.preprocess import level
from plugins.retinal_oct.train import PAINTED, Recipe, ScanLoss, fit_member, sampling_weights
from whycad.datasets.pack import read_pack


@pytest.fixture(scope="module")
def table():
    found = [level(render_scan(seed, ScanOptions(noise=0.3))[0].astype(np.float32) / 255) for seed in range(6)]
    images, _, borders = zip(*found, strict=True)
    n = len(images)
    return ScanTable(
        np.stack(images).astype(np.float16),
        np.stack([b.inner for b in borders]).astype(np.float32),
        np.stack([b.outer for b in borders]).astype(np.float32),
        np.array([0, 1, 1, 1, 1, 1]),
        np.zeros(n, np.int64),
        np.arange(n),
    )


def scene(table, rows=slice(1, 6)):
    images = torch.from_numpy(table.images[rows]).float()
    return Scene(
        images, torch.from_numpy(table.inner[rows]), torch.from_numpy(table.outer[rows]), torch.zeros_like(images)
    )


@pytest.mark.parametrize(
    ("abnormal", "lesion", "cnv"), [(-9.0, 0.0, 0.0), (9.0, 9.0, 1.0), (9.0, -9.0, 0.5), (0.0, -9.0, 0.25)]
)
def test_what_is_unknown_leaves_both_labels_open(abnormal, lesion, cnv):
    logits = two_logits(torch.tensor([abnormal]), torch.tensor([lesion]))
    assert float(torch.softmax(logits, dim=1)[0, 0]) == pytest.approx(cnv, abs=2e-3)


def test_the_unknown_lowers_the_energy():
    logits = two_logits(torch.tensor([-6.0, 6.0, 6.0]), torch.tensor([0.0, 6.0, -6.0]))
    normal, lesion, unknown = torch.logsumexp(logits, dim=1)
    assert float(unknown) < float(normal) - 0.3
    assert float(unknown) < float(lesion) - 0.3


def test_one_pass_gives_what_the_parts_give():
    torch.manual_seed(0)
    model = ScanNet().eval()
    x = torch.randn(2, 1, *INPUT_SHAPE)
    with torch.no_grad():
        logits, features = model.forward_with_features(x)
        evidence = model.forward_evidence(x)
        assert torch.allclose(model(x), logits)
        assert torch.allclose(model.forward_features(x), features)
    assert features.shape == (2, model.n_features)
    assert evidence["fluid"].shape == (2, 56, 96)
    assert evidence["unusual"].shape == (2, 14, 24)
    assert all(float(value.min()) >= 0 and float(value.max()) <= 1 for value in evidence.values())


def test_the_network_is_small():
    assert sum(p.numel() for p in ScanNet().parameters()) < 1_000_000


@pytest.mark.parametrize("painter", PAINTERS, ids=lambda painter: painter.__name__)
def test_each_painter_changes_what_it_marks_and_little_else(table, painter):
    before = scene(table)
    after = painter(before, torch.Generator().manual_seed(3))
    change = (after.images - before.images).abs()
    assert torch.isfinite(after.images).all()
    assert float(after.images.min()) >= 0
    assert float(after.images.max()) <= max(1.2, float(before.images.max())) + 1e-5
    assert float(after.marked.max()) > 0.3
    marked = torch.nn.functional.max_pool2d(after.marked[:, None], 5, 1, 2)[:, 0] > 0.05
    # Tissue that is lifted as a whole changes too; what is not marked changes less than what is.
    assert float(change[marked].mean()) > 2 * float(change[~marked].mean())


def test_painting_leaves_the_originals_alone_and_follows_its_seed(table):
    before = scene(table)
    kept = before.images.clone()
    images, marked = paint(before.images, before.inner, before.outer, torch.Generator().manual_seed(1))
    again, _ = paint(before.images, before.inner, before.outer, torch.Generator().manual_seed(1))
    assert torch.equal(before.images, kept)
    assert torch.equal(images, again)
    assert not torch.equal(images, kept)
    assert marked.shape == images.shape


def test_masks_follow_their_images():
    images = torch.zeros(8, *INPUT_SHAPE)
    images[:, 50:70, 80:120] = 1.0
    plain = ScanChanges(gamma=0, gain=0, speckle=0, noise=0, shadow=0, coarse=0, blur=0.41)
    changed, masks = augment_scans(images, images.clone(), plain, torch.Generator().manual_seed(0))
    inside, outside = changed[masks > 0.9], changed[masks < 0.1]
    assert float(inside.mean()) > 0.8
    assert float(outside.mean()) < 0.1


def test_no_change_is_the_identity_or_its_mirror_image():
    none = ScanChanges((0, 0), 0, 0, (1, 1), (1, 1))
    grid = random_grid(4, (112, 192), none, torch.Generator().manual_seed(0))
    image = torch.rand(4, 1, *INPUT_SHAPE)
    same = torch.nn.functional.grid_sample(image, grid, align_corners=False)
    for i in range(4):
        mirrored = torch.allclose(same[i], image[i].flip(-1), atol=1e-4)
        assert mirrored or torch.allclose(same[i], image[i], atol=1e-4)


def test_only_normal_scans_are_painted(table):
    loss = ScanLoss(table, Recipe(painted_share=1.0), torch.device("cpu"))
    _, marked, kinds = loss.batch(torch.arange(6), torch.Generator().manual_seed(0))
    assert kinds.tolist() == [0] + [PAINTED] * 5
    assert float(marked[0].max()) == 0


def test_a_batch_holds_the_wanted_share_of_disease():
    weights = sampling_weights(np.array([0, 1, 1, 1]), 0.25)
    assert weights[0] / weights.sum() == pytest.approx(0.25)


def test_a_few_steps_lower_the_loss_and_resume(table, tmp_path):
    recipe = Recipe(epochs=2)
    many = ScanTable(**{name: np.repeat(array, 16, axis=0) for name, array in vars(table).items()})
    torch.manual_seed(0)
    state = fit_member(tmp_path, many, recipe, 0, 0)
    written = state.stat().st_mtime_ns
    assert fit_member(tmp_path, many, recipe, 0, 0).stat().st_mtime_ns == written
    trained = ScanNet()
    trained.load_state_dict(torch.load(state, weights_only=True))
    measure = ScanLoss(many, recipe, torch.device("cpu"))
    rows = torch.arange(0, 96, 3)
    losses = []
    for model in (ScanNet(), trained):
        with torch.no_grad():
            losses.append(float(measure(model.train(), rows, 0, torch.Generator().manual_seed(9))))
    assert losses[1] < losses[0]


def test_the_fluid_decoder_changes_nothing_but_itself(table):
    torch.manual_seed(0)
    model = ScanNet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    masks = np.zeros((6, *INPUT_SHAPE), np.float32)
    masks[:, 55:62, 90:110] = 1
    real = FluidTable(table.images.astype(np.float32), masks, np.array(["a"] * 6))
    fit_decoder(model, FluidBatches(real, table, FluidRecipe(steps=3), Place(torch.device("cpu"), 0)))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("fluid.")


@pytest.mark.data
def test_no_run_of_scans_is_trained_and_calibrated_on(data_dir):
    pack = read_pack(data_dir / "oct" / "kermany_cnv_normal.npz")
    rows = training_rows(pack)
    folds = pack.arrays["fold5"][rows]
    assert set(np.unique(folds)) == {0, 1, 2, 3}
    groups = groups_of(pack, rows)
    assert not set(groups[folds == CALIBRATION_FOLD]) & set(groups[folds != CALIBRATION_FOLD])
    assert len(LABELS) == 2
