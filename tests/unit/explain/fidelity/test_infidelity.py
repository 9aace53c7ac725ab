"""Infidelity and sensitivity: exact for linear models, and the same as captum's."""

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max

from whycad.explain import ExplainOptions
from whycad.explain.fidelity.cells import Cells
from whycad.explain.fidelity.curves import draw_references
from whycad.explain.fidelity.infidelity import infidelity, relative_change

SHAPE = (12, 18)


@pytest.fixture
def case(nets, make_inputs):
    model, inputs = nets.linear((3, *SHAPE)), make_inputs(SHAPE)
    cells = Cells.of(inputs, "baseline")
    references = draw_references(model, cells, ExplainOptions(seed=2))
    weight = model.head.weight.detach().numpy()[0].reshape(3, *SHAPE)
    return model, inputs, cells, references, (weight * inputs.array).sum(axis=0)


def test_the_exact_attribution_of_a_linear_model_has_none(case):
    _, _, cells, references, exact = case
    assert infidelity(cells.sums(exact), references) == pytest.approx(0, abs=1e-6)
    assert infidelity(cells.sums(5 * exact), references) == pytest.approx(0, abs=1e-6)
    assert infidelity(np.zeros(cells.n), references) == 1
    assert infidelity(np.random.default_rng(0).normal(size=cells.n), references) > 0.3


def test_it_is_captums_on_the_same_hidden_cells(case):
    model, inputs, cells, references, _ = case
    values = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    hidden = torch.from_numpy(references.hidden[:, cells.labels])[:, None]

    def perturb(image):
        where = hidden.to(image.dtype).expand(-1, 3, -1, -1)
        return where, image * (1 - where)

    # captum sums over channels too: a third of the map in each is the whole map once.
    spread = torch.from_numpy(values)[None, None].repeat(1, 3, 1, 1) / 3
    theirs = captum_infidelity(
        lambda x: model(x)[:, 0], perturb, torch.from_numpy(inputs.array)[None], spread,
        n_perturb_samples=len(hidden), normalize=True,
    )  # fmt: skip
    changes = references.whole - references.scores
    ours = infidelity(cells.sums(values), references)
    assert ours == pytest.approx(float(theirs) / float((changes**2).mean()), rel=1e-3)


def test_sensitivity_is_captums_of_the_same_draw():
    image, noise = torch.ones(1, 1, 4, 5), 0.1 * torch.arange(20.0).reshape(1, 1, 4, 5)
    theirs = sensitivity_max(lambda x: x[0] ** 2, image, lambda x: x[0] + noise, n_perturb_samples=1)
    ours = relative_change((image**2).numpy(), ((image + noise) ** 2).numpy())
    assert ours == pytest.approx(float(theirs), rel=1e-5)
