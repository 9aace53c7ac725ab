"""Volumes are graded like images, with fewer passes; a volume of one known slice like that slice."""

import numpy as np
import pytest
import torch
from torch import nn

from whycad.explain import ExplainOptions
from whycad.explain.fidelity.case import CaseGrader, Question
from whycad.explain.fidelity.curves import VOLUME_SHARES
from whycad.explain.fidelity.repeats import OneMember
from whycad.map_grades import Thresholds
from whycad.types import Fidelity, Geometry, ModelInput

SHAPE = (6, 24, 24)


class Corner(nn.Module):
    """The second label grows with brightness in one corner of the volume."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 8.0)

    def forward(self, x):
        found = self.scale(x[:, :, :, :12, :12].mean(dim=(1, 2, 3, 4))[:, None])
        return torch.cat([torch.ones_like(found), found], dim=1)


def grader_of(array):
    inputs = ModelInput(array, Geometry(np.eye(4), SHAPE, SHAPE), 0.0)
    ensemble = OneMember(Corner().eval(), torch.device("cpu"))
    question = Question(ensemble, inputs, 1, "bright", ExplainOptions(seed=0), {"corner": corner() > 0})
    # A blur keeps brightness, which is all that this network sees.
    return CaseGrader(question, Thresholds(hidden="baseline"))


def corner():
    values = np.zeros(SHAPE, np.float32)
    values[:, :12, :12] = 1
    return values


@pytest.fixture(params=["whole", "one slice"])
def grader(request):
    array = (0.5 + 0.5 * np.random.default_rng(0).random((1, *SHAPE))).astype(np.float32)
    if request.param == "one slice":
        array[:, [0, 1, 2, 4, 5]] = 0
        array *= len(array[0])
    return grader_of(array)


def test_a_right_map_gains_a_wrong_one_fails(grader):
    assert grader.references.shares == VOLUME_SHARES
    right = grader.grade("occlusion", corner(), Fidelity())
    assert right.gain_over_random > 0.05
    assert right.gain_over_edges > 0
    assert (right.inside_of, right.mass_inside) == ("corner", 1)
    assert right.mass_shifted < 0.6
    assert grader.grade("occlusion", 1 - corner(), Fidelity()).grade == "fails"
