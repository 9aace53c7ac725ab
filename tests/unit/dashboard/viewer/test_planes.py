from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.viewer.planes import AXIAL, SCANS, patient_planes


def test_an_axial_volume_has_its_own_plane_first_and_shows_it_as_it_is() -> None:
    axial, coronal, sagittal = patient_planes(AXIAL)
    assert (axial.id, axial.axis, axial.right, axial.down) == ("axial", 0, 2, 1)
    assert not axial.flip_right
    assert not axial.flip_down
    assert axial.forward == -1, "forward goes to the feet, which come first in the array"
    assert (coronal.axis, coronal.right, coronal.down, coronal.flip_down) == (1, 2, 0, True)
    assert (sagittal.axis, sagittal.right, sagittal.down, sagittal.flip_down) == (2, 1, 0, True)


def test_rows_that_run_to_the_right_of_the_patient_are_turned_round() -> None:
    axial = patient_planes((-1, 0, 0, 0, 1, 0))[0]
    assert axial.flip_right
    assert not axial.flip_down
    assert axial.forward == 1, "the slices run to the feet now"


def test_a_coronal_acquisition_comes_first_with_the_head_at_the_top() -> None:
    first = patient_planes((1, 0, 0, 0, 0, -1))[0]
    assert (first.id, first.axis, first.flip_right, first.flip_down) == ("coronal", 0, False, False)


def test_b_scans_have_no_anatomical_planes() -> None:
    assert [plane.name for plane in SCANS] == ["B-scan", "En face", "Across scans"]
    assert all(not plane.edges for plane in SCANS)


@pytest.mark.parametrize("tilt", [0.0, 10.0, 25.0])
def test_tilted_slices_keep_the_name_of_the_nearest_plane(tilt: float) -> None:
    angle = np.deg2rad(tilt)
    assert patient_planes((1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))))[0].id == "axial"


@given(st.integers(0, 23), st.booleans())
def test_every_plane_uses_every_axis_once_and_shows_the_patient_upright(number: int, mirrored: bool) -> None:
    axes = np.roll(np.eye(3), number % 3, axis=0)[:: 1 if number < 12 else -1]
    signs = np.array([1 if number & bit else -1 for bit in (1, 2)])
    row, column = axes[0] * signs[0], axes[1] * signs[1] * (-1 if mirrored else 1)
    directions = np.stack([np.cross(row, column), column, row])
    wanted = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "H": (2, 1), "F": (2, -1)}
    for plane in patient_planes((*row, *column)):
        assert {plane.axis, plane.right, plane.down} == {0, 1, 2}
        to_right = directions[plane.right] * (-1 if plane.flip_right else 1)
        to_bottom = directions[plane.down] * (-1 if plane.flip_down else 1)
        for letter, vector in zip(plane.edges, (-to_right, to_right, -to_bottom, to_bottom), strict=True):
            axis, sign = wanted[letter]
            assert vector[axis] * sign > 0
