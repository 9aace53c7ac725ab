"""Windowing: linear, monotone, exact at its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whycad.errors import GeometryError
from whycad.imaging.display import default_window, to_uint8
from whycad.types import Study


def study(pixels: np.ndarray[Any, Any], unit: str = "HU", window: tuple[float, float] | None = None) -> Study:
    return Study(pixels=pixels.astype(np.float32), modality="CT", sha256="", unit=unit, window=window)


def test_a_window_maps_its_ends_and_centre() -> None:
    shown = to_uint8(study(np.array([[-161.0, -160, 40, 240, 241]])), (40.0, 400.0))
    assert shown.tolist() == [[0, 0, 128, 255, 255]]
    assert shown.dtype == np.uint8


def test_the_files_window_is_used_and_can_be_replaced() -> None:
    image = study(np.array([[0.0, 100.0]]), window=(50.0, 100.0))
    assert to_uint8(image).tolist() == [[0, 255]]
    assert to_uint8(image, (100.0, 200.0)).tolist() == [[0, 128]]


@given(hnp.arrays(np.uint8, (3, 4, 3)))
def test_colour_comes_back_exactly(pixels: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(to_uint8(study(pixels / np.float32(255), "rgb", (0.1, 0.1))), pixels)


@given(
    hnp.arrays(np.float32, (20,), elements=st.floats(-5000, 5000, width=32)),
    st.floats(-2000, 2000),
    st.floats(0.01, 4000),
)
def test_windowing_is_monotone(values: np.ndarray[Any, Any], centre: float, width: float) -> None:
    ordered = np.sort(values).reshape(4, 5)
    shown = to_uint8(study(ordered), (centre, width)).reshape(-1).astype(int)
    assert (np.diff(shown) >= 0).all()


def test_without_a_window_the_bulk_of_the_values_is_shown() -> None:
    values = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    values[0, 0] = 1e9
    centre, width = default_window(study(values))
    assert centre == pytest.approx(5000, abs=60)
    assert width == pytest.approx(9900, abs=60)


def test_a_volume_keeps_its_shape_and_a_constant_image_is_grey() -> None:
    assert to_uint8(study(np.zeros((2, 3, 4)), window=(0, 1))).shape == (2, 3, 4)
    assert set(to_uint8(study(np.full((3, 3), 7.0))).reshape(-1).tolist()) == {128}


@pytest.mark.parametrize("window", [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_window_that_is_none_is_a_typed_error(window: tuple[float, float]) -> None:
    with pytest.raises(GeometryError, match="display window"):
        to_uint8(study(np.zeros((2, 2))), window)
