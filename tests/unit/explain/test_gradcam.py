"""Grad-CAM: captum's maps, many at once, for little more than a forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from whycad.errors import ExplanationError
from whycad.explain import ExplainOptions
from whycad.explain.gradcam import cells_of


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_many_maps_at_once_are_captums_one_by_one(nets, d, size):
    model = nets.smooth(d=d).eval()
    images = torch.rand((5, 3, 6, 8, 4)[: d + 2], generator=torch.Generator().manual_seed(1))
    targets = [0, 1, 2, 1, 0]
    cells = cells_of(model, images, targets, ExplainOptions(gradcam_layer="conv", batch_size=size))
    captums = LayerGradCam(model, model.conv)
    expected = torch.cat(
        [captums.attribute(one[None], t, relu_attributions=True) for one, t in zip(images, targets, strict=True)]
    )
    np.testing.assert_allclose(cells.numpy(), expected.detach().numpy(), atol=1e-7)


def test_nothing_before_the_layer_is_recorded_for_a_backward_pass(nets):
    model = nets.quadrant().eval()
    recorded = []
    model.features.register_forward_hook(lambda _m, _i, out: recorded.append(out.requires_grad))
    cells_of(model, torch.rand(2, 3, 8, 8), (1, 1), ExplainOptions(gradcam_layer="features"))
    assert recorded == [False]
    assert len(model.features._forward_hooks) == 1


def test_a_target_that_one_image_lacks_is_refused(nets):
    with pytest.raises(ExplanationError, match="no target 7"):
        cells_of(nets.smooth().eval(), torch.rand(2, 3, 8, 8), (0, 7), ExplainOptions(gradcam_layer="conv"))
