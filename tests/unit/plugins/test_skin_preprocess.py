"""The lesion plugin sees the whole picture, in the right place, whatever its shape."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from plugins.skin_lesion.model import MEAN, STD, LesionNet
from plugins.skin_lesion.preprocess import INPUT_SHAPE, preprocess
from whycad.errors import PredictionError
from whycad.imaging.geometry import map_to_source
from whycad.phantom import colour_study
from whycad.types import Region


def spot_study(height, width, row, column):
    image = np.full((height, width, 3), 200, np.uint8)
    image[max(0, row - 8) : row + 9, max(0, column - 8) : column + 9] = 20
    return colour_study(image)


@settings(max_examples=25, deadline=None)
@given(st.integers(120, 400), st.integers(120, 400), st.floats(0.25, 0.75), st.floats(0.25, 0.75))
def test_a_dark_spot_maps_back_to_where_it_was(height, width, down, across):
    row, column = int(down * height), int(across * width)
    inputs = preprocess(spot_study(height, width, row, column), None)
    darkness = map_to_source(-inputs.array.mean(axis=0), inputs.geometry)
    inside = map_to_source(np.ones(INPUT_SHAPE, np.float32), inputs.geometry) > 0.5
    assume(inside[max(0, row - 12) : row + 13, max(0, column - 12) : column + 13].all())
    darkness = np.where(inside, darkness, darkness.min())
    found = np.argwhere(darkness > darkness.max() - 0.1 * np.ptp(darkness)).mean(axis=0)
    assert abs(found[0] - row) < 5
    assert abs(found[1] - column) < 5


def test_it_is_the_resize_that_training_used():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    ours = preprocess(colour_study(image), None).array
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(tensor, size=INPUT_SHAPE, mode="bilinear", antialias=True)[0].numpy()
    expected = (resized - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    np.testing.assert_allclose(ours, expected, atol=2e-2)


def test_a_box_is_looked_at_alone():
    study = spot_study(200, 200, 50, 50)
    whole = preprocess(study, None).array.min(axis=0)
    boxed = preprocess(study, Region((100.0, 100.0), (180.0, 180.0))).array.min(axis=0)
    assert whole.min() < -2
    assert boxed.min() > 0


def test_strips_are_cropped_about_their_centre():
    inputs = preprocess(spot_study(100, 400, 50, 200), None)
    corners = inputs.geometry.points_to_source(np.array([[0.0, 0.0], [111.0, 143.0]]))
    assert corners[0, 1] == pytest.approx(400 - 1 - corners[1, 1])
    assert corners[0, 1] > 100


def test_grey_images_are_refused():
    study = replace(colour_study(np.zeros((100, 100, 3), np.uint8)), pixels=np.zeros((100, 100), np.float32))
    with pytest.raises(PredictionError, match="grey"):
        preprocess(study, None)


def test_features_are_what_the_head_reads():
    torch.manual_seed(0)
    model = LesionNet().eval()
    x = torch.randn(2, 3, *INPUT_SHAPE)
    with torch.no_grad():
        logits, features = model.forward_with_features(x)
        assert torch.allclose(model(x), logits)
        assert torch.allclose(model.head(features), logits)
        assert features.shape == (2, model.n_features)
        assert model.forward_with_outline(x)[1].shape == (2, 1, 14, 18)
