"""Measures of an outline: in millimetres, steady under turns, and about what they are named for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.lung_nodule.grid import LUNG_HU, SENTINEL, scale_hu
from plugins.lung_nodule.measures import CENTRE, LIMIT, NAMES, SCALE, Measures, raw_measures

LUNG = float(scale_hu(np.array(LUNG_HU, np.float32)))


def disc(radius_mm, stretch=1.0, spikes=0.0, shift=(0.0, 0.0)):
    axis = (torch.arange(96) - 47.5) * 0.6
    rows, columns = (axis - shift[0])[:, None], (axis - shift[1])[None]
    angle = torch.atan2(rows.expand(96, 96), columns.expand(96, 96))
    away = torch.sqrt((rows / stretch) ** 2 + (columns * stretch) ** 2)
    edge = radius_mm * (1 + spikes * torch.cos(9 * angle))
    return ((edge - away) / 0.6 + 0.5).clamp(0, 1)[None]


def look(mask, inside=0.4, outside=LUNG):
    return outside + (inside - outside) * mask


def value(name, planes, mask):
    return float(raw_measures(planes, mask)[0, NAMES.index(name)])


def test_names_and_norms_fit():
    assert len(NAMES) == len(set(NAMES)) == len(CENTRE) == len(SCALE)
    assert min(SCALE) > 0


@pytest.mark.parametrize("radius", [3.0, 8.0, 15.0])
def test_area_and_length_are_in_millimetres(radius):
    mask = disc(radius)
    assert np.exp(value("log_area", look(mask), mask)) - 1 == pytest.approx(np.pi * radius**2, rel=0.05)
    assert np.exp(value("log_outline_length", look(mask), mask)) - 1 == pytest.approx(2 * np.pi * radius, rel=0.12)
    assert np.exp(value("log_long_axis", look(mask), mask)) == pytest.approx(radius / 2, rel=0.1)


def test_a_disc_is_round_and_an_oval_is_not():
    round_, oval = disc(8.0), disc(8.0, stretch=1.3)
    assert value("elongation", look(round_), round_) < 0.02
    assert value("elongation", look(oval), oval) == pytest.approx(2 * np.log(1.3), abs=0.08)


def test_spikes_make_the_outline_jagged_and_open():
    smooth, spiky = disc(9.0), disc(9.0, spikes=0.3)
    for name, sign in (("jaggedness", 1), ("radius_spread", 1), ("closed1", -1), ("opened1", -1)):
        change = value(name, look(spiky), spiky) - value(name, look(smooth), smooth)
        assert sign * change > 0.02, name


def test_a_blurred_margin_is_less_steep():
    mask = disc(8.0)
    blurred = torch.nn.functional.avg_pool2d(look(mask)[:, None], 7, 1, 3)[:, 0]
    sharp, soft = (value("margin_steepness", planes, mask) for planes in (look(mask), blurred))
    assert soft < 0.75 * sharp


def test_density_inside_and_around():
    mask = disc(8.0)
    planes = look(mask, inside=0.1)
    assert value("density", planes, mask) == pytest.approx(0.1, abs=0.08)
    assert value("ring2_density", planes, mask) == pytest.approx(LUNG, abs=0.02)
    walled = torch.where(disc(14.0) > 0.5, planes, torch.tensor(0.5))
    assert value("ring2_dense_share", walled, mask) >= value("ring2_dense_share", planes, mask)


def test_turning_changes_nothing():
    mask = disc(7.0, stretch=1.2, spikes=0.2, shift=(1.8, -0.6))
    straight = raw_measures(look(mask), mask)
    turned = raw_measures(look(mask).rot90(1, (1, 2)), mask.rot90(1, (1, 2)))
    torch.testing.assert_close(straight, turned, atol=1e-4, rtol=1e-4)


def test_off_centre_is_the_distance_to_the_seed():
    mask = disc(5.0, shift=(3.0, 0.0))
    assert value("off_centre", look(mask), mask) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_outlines_give_finite_numbers_and_slopes(fill):
    planes = torch.full((2, 96, 96), SENTINEL)
    planes[:, 20:70] = LUNG
    planes.requires_grad_()
    mask = torch.full((2, 96, 96), fill, requires_grad=True)
    found = Measures()(planes, mask)
    assert torch.isfinite(found).all()
    assert found.abs().max() <= LIMIT
    found.sum().backward()
    assert torch.isfinite(planes.grad).all()
    assert torch.isfinite(mask.grad).all()
