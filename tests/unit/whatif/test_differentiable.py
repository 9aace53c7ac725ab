"""The differentiable score is the decision rule's, and its gradient is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.inference import Ensemble, load_members
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import Study
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.calibration_parts import Scaling
from whycad.uncertainty.decision import utilities
from whycad.whatif.differentiable import Lead
from whycad.whatif.scene import Scene

RULE = "\n[decision]\nbalance_power = 0.7\nclass_weights = { a = 2.0 }\n"


@pytest.fixture
def ensemble(tmp_path: Path) -> Ensemble:
    plugin = write_plugin(tmp_path, TinyPlugin(tta=("identity", "flip_rows"), more=RULE))
    path = plugin.folder / "calibration.json"
    calibration = Calibration.model_validate_json(path.read_bytes())
    scaling = Scaling(
        form="dirichlet",
        matrix=((1.2, 0.1, 0.0), (0.0, 0.8, -0.1), (0.2, 0.0, 1.1)),
        offset=(0.1, -0.2, 0.0),
    )
    changed = {"scaling": scaling, "log_prior_shift": (0.3, -0.1, 0.2), "prior": (0.2, 0.3, 0.5)}
    path.write_text(calibration.model_copy(update=changed).model_dump_json())
    return load_members(plugin, torch.device("cpu"))


def test_the_score_is_the_decision_rules(ensemble: Ensemble, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    scene = open_case(make_study(), ensemble)
    scores = Lead(scene.setting).log_scores(torch.from_numpy(scene.before.inputs.array)[None])
    calibration = scene.setting.calibration
    rule = utilities(scene.before.prediction.probabilities.astype(float), ensemble.plugin.manifest, calibration.prior)
    np.testing.assert_allclose(torch.softmax(scores, 0).numpy(), rule, atol=1e-5)


def test_the_gradient_is_that_of_small_steps(ensemble: Ensemble, open_case: Callable[[Study, Ensemble], Scene]) -> None:
    scene = open_case(make_study(), ensemble)
    lead, image = Lead(scene.setting), torch.from_numpy(scene.before.inputs.array)[None]
    value, gradient = lead.gradient(image, 0)
    direction = gradient / gradient.norm()
    step = 0.02
    after, before = (float(lead.ahead(image + sign * step * direction, 0)) for sign in (1, -1))
    assert (after - before) / (2 * step) == pytest.approx(float(gradient.norm()), rel=0.05)
    assert value == pytest.approx(float(lead.ahead(image, 0)), abs=1e-5)
