"""Evidence of a skin lesion: one plausible outline or nothing, millimetres only where the spacing is known."""

import numpy as np
import pytest
import torch

from plugins.skin_lesion.data import upright_masks
from plugins.skin_lesion.evidence import evidence, longest_distance
from plugins.skin_lesion.outline import lesion_mask
from plugins.skin_lesion.outline_model import build_outline_model
from plugins.skin_lesion.outline_train import OutlineLoss, dice_loss
from plugins.skin_lesion.preprocess import INPUT_SHAPE, preprocess
from whycad.types import Study


def disc(shape=INPUT_SHAPE, centre=(56, 72), radius=25.0):
    rows, columns = np.indices(shape)
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def study(shape=(224, 288), spacing=None):
    pixels = np.full((*shape, 3), (0.85, 0.65, 0.6), np.float32)
    pixels[disc(shape, (shape[0] / 2, shape[1] / 2), shape[0] * 25 / 112)] = (0.35, 0.2, 0.15)
    return Study(pixels, "OT", "0" * 64, "rgb", spacing)


def found(image, mask=None):
    mask = disc() if mask is None else mask
    result = evidence(image, preprocess(image, None), {"mask": mask.astype(np.float32)})
    return result, {item.key: item for item in result.measurements}


def test_a_round_lesion_is_symmetric_smooth_and_of_one_colour():
    result, values = found(study())
    assert values["shape_asymmetry"].value < 2
    assert values["border_irregularity"].value < 0.03
    assert values["colours"].value == 1
    (outline,) = result.segmentations
    assert outline.name == "lesion"
    assert outline.mask.sum() == pytest.approx(np.pi * 50**2, rel=0.03)
    assert {item.outline for item in result.measurements} == {"lesion"}


def test_the_diameter_is_in_millimetres_or_not_given():
    _, known = found(study(spacing=(0.05, 0.05)))
    assert known["diameter"].value == pytest.approx(5.0, rel=0.03)
    assert "field_share" not in known
    _, unknown = found(study())
    assert "diameter" not in unknown
    assert unknown["field_share"].value == pytest.approx(100 * np.pi * 25**2 / (112 * 144), rel=0.03)


def test_measures_do_not_depend_on_the_resolution():
    small, large = found(study((112, 144)))[1], found(study((448, 576)))[1]
    for key in ("shape_asymmetry", "border_irregularity", "border_indentation"):
        assert small[key].value == pytest.approx(large[key].value, abs=0.01 if "irreg" in key else 1.0)


@pytest.mark.parametrize("mask", [np.zeros(INPUT_SHAPE), np.ones(INPUT_SHAPE), disc(radius=2), 0.6 * disc()])
def test_what_is_no_plausible_lesion_is_not_measured(mask):
    result, _ = found(study(), mask)
    assert result.measurements == ()
    assert result.segmentations == ()


def test_a_lesion_that_is_cut_off_has_colours_but_no_shape():
    _, values = found(study(), disc(centre=(0, 72), radius=40.0))
    assert {"colours", "variegation"} <= set(values)
    assert "border_irregularity" not in values


def test_only_the_largest_part_is_the_lesion_and_holes_are_filled():
    probability = disc().astype(np.float32)
    probability[50:60, 68:76] = 0.1
    probability[5:12, 5:12] = 1
    mask = lesion_mask(probability)
    assert np.array_equal(mask, disc())


def test_the_longest_distance_is_from_edge_to_edge():
    mask = np.zeros((30, 40), bool)
    mask[10, 5:25] = True
    assert longest_distance(mask, np.array([0.5, 0.1])) == pytest.approx(np.hypot(0.5, 2.0))


def test_masks_of_the_skin_are_turned_and_others_are_kept():
    masks = np.stack([disc((75, 100), (37, 50), 20), ~disc((75, 100), (37, 50), 20), np.ones((75, 100), bool)])
    image = np.where(np.kron(masks[0], np.ones((2, 2)))[..., None], 60, 200).astype(np.uint8).repeat(3, axis=2)
    upright = upright_masks(masks.astype(np.uint8), np.stack([image] * 3))
    assert np.array_equal(upright[0], masks[0])
    assert np.array_equal(upright[1], masks[0])
    assert upright[2].all(), "a lesion that fills the picture stays"
    light = upright_masks(masks[1:2].astype(np.uint8), 255 - image[None])
    assert np.array_equal(light[0], masks[1]), "darker at the border: it is the lesion"


def test_the_network_gives_a_probability_for_every_pixel():
    model = build_outline_model().eval()
    with torch.no_grad():
        mask = model.forward_evidence(torch.zeros(2, 3, *INPUT_SHAPE))["mask"]
    assert mask.shape == (2, *INPUT_SHAPE)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    assert 2 * sum(p.numel() for p in model.parameters()) < 1_000_000


def test_dice_is_nothing_for_a_perfect_outline_and_one_for_none():
    target = torch.from_numpy(disc()[None].astype(np.float32))
    assert float(dice_loss(40 * (target - 0.5), target)) == pytest.approx(0, abs=1e-3)
    assert float(dice_loss(-40 * (target - 0.5), target)) == pytest.approx(1, abs=1e-2)


def test_a_training_step_lowers_the_loss():
    from plugins.skin_lesion.data import LesionTable

    image = (255 * study((150, 200)).pixels).astype(np.uint8)
    mask = disc((75, 100), (37, 50), 17).astype(np.uint8)
    rows = np.zeros(4, np.int64)
    table = LesionTable(np.stack([image] * 4), np.stack([mask] * 4), np.ones(4, bool), rows, rows)
    torch.manual_seed(0)
    model, loss = build_outline_model(), OutlineLoss(table, torch.device("cpu"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        value = loss(model, torch.arange(4), 0, torch.Generator().manual_seed(1))
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]
