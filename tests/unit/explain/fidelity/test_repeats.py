"""One member's map made again: which repeats there are, what they are made of, that nothing is left behind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from whycad.errors import JobCancelledError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.fidelity.cells import Cells
from whycad.explain.fidelity.repeats import OneMember, RepeatOptions, cheap_options, repeat, with_noise
from whycad.testing.planted_maps import BLOB, LAYER, PlantedNet, planted_case

OPTIONS = ExplainOptions(seed=4, gradcam_layer=LAYER)


@pytest.fixture(scope="module")
def case():
    return planted_case(3)


def run(method, case, options=OPTIONS, how=RepeatOptions()):  # noqa: B008 - frozen
    return repeat(method, Cells.of(case.inputs), (PlantedNet().eval(), case.inputs, BLOB), options, how)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_can_be_repeated_and_seeds_fix_the_result(case, method):
    found = run(method, case)
    assert len(found.similarities) == (2 if METHODS[method].scope == "member" else 1)
    assert all(-1 <= value <= 1 for value in (*found.similarities, found.ssim, found.stability))
    assert found.sensitivity > 0
    assert run(method, case) == found


def test_a_right_map_is_stable_and_changes_with_the_weights(case):
    found = run("gradcam", case, how=RepeatOptions(n_noisy=2, shares=(0.5, 1.0)))
    assert found.stability > 0.8
    assert found.similarities[-1] < 0.6


def test_the_member_is_left_as_it_was(case):
    net = PlantedNet().eval()
    before = [parameter.clone() for parameter in net.parameters()]
    repeat("gradcam", Cells.of(case.inputs), (net, case.inputs, BLOB), OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert not net.features._forward_hooks


def test_noise_goes_only_where_there_is_an_image(case):
    array = case.inputs.array.copy()
    array[:, :20] = 0
    inputs = replace(case.inputs, array=array)
    cells = Cells.of(inputs, "baseline")
    noisy = with_noise(inputs, cells, 0.1, seed=0).array - array
    spread = float(array[:, 20:].max() - array[:, 20:].min())
    assert not noisy[:, :20].any()
    assert noisy[:, 20:].std() == pytest.approx(0.1 * spread, rel=0.05)


def test_windows_of_repeats_lie_side_by_side(case):
    found = cheap_options(OPTIONS, Cells.of(case.inputs))
    assert found.occlusion_stride == 9
    assert (found.n_segments, found.n_samples) == (25, 200)


def test_one_network_is_an_ensemble(case):
    net = PlantedNet().eval()
    batch = torch.from_numpy(case.inputs.array)[None]
    found = OneMember(net, torch.device("cpu")).logits(batch, views=("identity",))
    assert found.shape == (1, 1, 1, 3)
    np.testing.assert_allclose(found[0, 0].numpy(), net(batch).detach().numpy(), rtol=1e-6)


def test_cancelling_stops_the_repeats(case):
    with pytest.raises(JobCancelledError):
        run("gradcam", case, replace(OPTIONS, cancelled=lambda: True))
