"""Training resumes exactly, and its parts do what they say."""

import numpy as np
import pytest
import torch
from torch import nn

from whycad.errors import TrainingError
from whycad.training.augment import AugmentConfig, augment_batch, random_affine
from whycad.training.fit import FitConfig, draw_rows, fit, learning_rate_at

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def step_loss(model, rows, epoch, generator):
    return nn.functional.cross_entropy(model(X[rows]).float(), Y[rows])


class StoppedError(Exception):
    pass


def stop_in_epoch(limit):
    def loss(model, rows, epoch, generator):
        if epoch == limit:
            raise StoppedError
        return step_loss(model, rows, epoch, generator)

    return loss


def build():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


CONFIG = FitConfig(cycles=(2, 2), batch_size=16, learning_rate=1e-2, seed=3)
CPU = torch.device("cpu")


def test_a_stopped_run_ends_as_if_it_had_not_stopped(tmp_path):
    whole = fit(build, step_loss, np.ones(64), tmp_path / "whole", CONFIG, CPU)
    with pytest.raises(StoppedError):
        fit(build, stop_in_epoch(3), np.ones(64), tmp_path / "parts", CONFIG, CPU)
    parts = fit(build, step_loss, np.ones(64), tmp_path / "parts", CONFIG, CPU)
    for a, b in zip(whole, parts, strict=True):
        one, two = torch.load(a, weights_only=True), torch.load(b, weights_only=True)
        assert all(torch.equal(one[k], two[k]) for k in one)


def test_members_of_two_cycles_differ_and_learn(tmp_path):
    config = FitConfig(cycles=(8, 8), batch_size=16, learning_rate=3e-2, ema_decay=0.9)
    states = [torch.load(p, weights_only=True) for p in fit(build, step_loss, np.ones(64), tmp_path, config, CPU)]
    assert not torch.equal(states[0]["0.weight"], states[1]["0.weight"])
    model = build()
    model.load_state_dict(states[-1])
    assert (model(X).argmax(1) == Y).float().mean() > 0.9


def test_another_setting_is_not_resumed(tmp_path):
    fit(build, step_loss, np.ones(64), tmp_path, CONFIG, CPU)
    with pytest.raises(TrainingError, match="other settings"):
        fit(build, step_loss, np.ones(64), tmp_path, FitConfig(cycles=(2, 2), batch_size=8, seed=3), CPU)


def test_rows_are_drawn_by_weight():
    weights = np.array([1.0] * 50 + [9.0] * 50)
    rows = torch.cat([b for s in range(50) for b in draw_rows(weights, 10, s)])
    assert (rows >= 50).float().mean() == pytest.approx(0.9, abs=0.02)


def test_rate_warms_up_and_falls():
    rates = [learning_rate_at(s, 100, 10, 1.0) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == 1.0
    assert rates[-1] < 0.02


def test_mask_moves_with_its_image():
    image = torch.zeros(8, 3, 60, 80)
    image[:, :, 10:30, 15:35] = 1
    mask = image[:, :1]
    config = AugmentConfig(brightness=0, contrast=0, saturation=0, channel_gain=0, cutout=0)
    images, masks = augment_batch(image, mask, (60, 80), config, torch.Generator().manual_seed(0))
    small = torch.nn.functional.interpolate(images[:, :1], size=masks.shape[-2:], mode="area")
    overlap = torch.minimum(small, masks).sum() / torch.maximum(small, masks).sum()
    assert overlap > 0.85


def test_rotation_keeps_shapes_of_an_oblong_image():
    config = AugmentConfig(scale=(1.0, 1.0), aspect=1.0, shift=0.0)
    theta = random_affine(100, 60, 80, config, torch.Generator().manual_seed(0)).numpy()
    pixels = np.diag([40.0, 30.0])
    for matrix in theta[:, :, :2]:
        rigid = pixels @ matrix @ np.linalg.inv(pixels)
        np.testing.assert_allclose(rigid @ rigid.T, np.eye(2), atol=1e-5)


def test_a_finished_run_is_not_repeated(tmp_path):
    first = fit(build, step_loss, np.ones(64), tmp_path, CONFIG, CPU)
    (tmp_path / "state.pt").unlink()
    assert fit(build, stop_in_epoch(0), np.ones(64), tmp_path, CONFIG, CPU) == first


def test_a_run_of_a_gpu_goes_on_here(tmp_path):
    fit(build, step_loss, np.ones(64), tmp_path, FitConfig(cycles=(1,), batch_size=16, seed=3), CPU)
    stored = torch.load(tmp_path / "state.pt", weights_only=True)
    stored["optimizer"]["param_groups"][0] |= {"lr": torch.tensor(0.1), "fused": True, "capturable": True}
    torch.save(stored, tmp_path / "state.pt")
    states = fit(build, step_loss, np.ones(64), tmp_path, FitConfig(cycles=(1, 1), batch_size=16, seed=3), CPU)
    assert all(path.is_file() for path in states)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_steps_end_where_eager_ones_do(tmp_path):
    cuda = torch.device("cuda")
    x, y = X.to(cuda), Y.to(cuda)

    def loss(model, rows, epoch, generator):
        noise = torch.randn(len(rows), 4, generator=generator, device=cuda)
        return nn.functional.cross_entropy(model(x[rows] + 0.1 * noise).float(), y[rows])

    def captured(*arguments):
        return loss(*arguments)

    captured.capturable = True
    ends = [
        torch.load(fit(build, way, np.ones(64), tmp_path / name, CONFIG, cuda)[-1], weights_only=True)
        for name, way in (("eager", loss), ("captured", captured))
    ]
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-4)
