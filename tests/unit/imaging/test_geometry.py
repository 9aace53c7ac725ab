"""Geometry: points and maps go to the model's grid and come back to the same place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from whycad.errors import GeometryError
from whycad.imaging.geometry import from_patient_mm, map_to_source, resize_geometry, sample_to_model, to_patient_mm
from whycad.types import Geometry, Study

sides = st.integers(8, 90)
shapes = st.tuples(sides, sides)
quick = settings(max_examples=40, deadline=None)


def boxes(shape: tuple[int, int]) -> st.SearchStrategy[tuple[float, float, float, float]]:
    rows, columns = shape
    return st.tuples(
        st.floats(-0.3 * rows, 0.4 * rows),
        st.floats(-0.3 * columns, 0.4 * columns),
        st.floats(0.6 * rows, 1.3 * rows),
        st.floats(0.6 * columns, 1.3 * columns),
    )


def ramp(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.random(shape, dtype=np.float32)


@quick
@given(shapes, shapes, st.data())
def test_points_return_from_the_round_trip(source, model, data):
    geometry = resize_geometry(source, model, data.draw(boxes(source)))
    points = np.array([[0.0, 0.0], [model[0] - 1.0, 3.5], [-0.5, model[1] - 0.5]])
    np.testing.assert_allclose(geometry.points_to_model(geometry.points_to_source(points)), points, atol=1e-9)


def test_edges_of_the_box_are_edges_of_the_model_grid():
    geometry = resize_geometry((100, 60), (10, 20), (10, -5, 90, 45))
    corners = geometry.points_to_source(np.array([[-0.5, -0.5], [9.5, 19.5]]))
    np.testing.assert_allclose(corners + 0.5, [[10, -5], [90, 45]])


@quick
@given(shapes, shapes, st.integers(1, 3))
def test_full_image_resize_agrees_with_torch(source, model, channels):
    image = ramp((*source, channels))
    ours = sample_to_model(image, resize_geometry(source, model))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    theirs = torch.nn.functional.interpolate(tensor, model, mode="bilinear", align_corners=False, antialias=True)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-4)


def test_a_grey_image_gets_one_channel_and_identity_keeps_it():
    image = ramp((9, 13))
    np.testing.assert_array_equal(sample_to_model(image, resize_geometry((9, 13), (9, 13))), image[None])


def test_a_whole_pixel_crop_is_a_slice():
    image = ramp((20, 30, 3))
    crop = sample_to_model(image, resize_geometry((20, 30), (10, 12), (5, 7, 15, 19)))
    np.testing.assert_allclose(crop, image[5:15, 7:19].transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("padding", ["edge", "reflect"])
def test_a_crop_beyond_the_image_is_padded(padding):
    image = ramp((20, 30))
    crop = sample_to_model(image, resize_geometry((20, 30), (26, 38), (-3, -6, 23, 32)), padding=padding)
    np.testing.assert_allclose(crop[0], np.pad(image, ((3, 3), (6, 2)), mode=padding), atol=1e-6)


def blob(shape: tuple[int, int], centre: tuple[float, float], sigma: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * sigma**2)).astype(np.float32)


@quick
@given(shapes, shapes, st.floats(0.15, 0.35), st.floats(0.65, 0.9), st.booleans(), st.data())
def test_the_peak_of_a_mapped_blob_lands_on_the_true_spot(source, model, v, h, swap, data):
    """The spot is off-centre in a lopsided image, so a flip or a transpose misses it."""
    v, h = (h, v) if swap else (v, h)
    seen = np.array([v * (model[0] - 1), h * (model[1] - 1)])
    geometry = resize_geometry(source, model, data.draw(boxes(source)))
    true = geometry.points_to_source(seen[None])[0]
    assume(np.all((true >= 0) & (true <= np.asarray(source) - 1)))
    step = np.diag(geometry.to_source)[:2]
    # A blob narrower than a source pixel has no peak there.
    mapped = map_to_source(blob(model, (seen[0], seen[1]), max(1.5, 0.5 / step.min())), geometry)
    peak = np.array([np.unravel_index(int(mapped.argmax()), mapped.shape)], dtype=float)
    # Half a source pixel of rounding comes on top where the source is the coarser grid.
    assert np.all(np.abs(geometry.points_to_model(peak)[0] - seen) <= 1.0 + 0.5 / step)


@quick
@given(shapes, shapes)
def test_an_image_sampled_and_mapped_back_keeps_its_blob(source, model):
    spot = (0.3 * source[0], 0.7 * source[1])
    geometry = resize_geometry(source, model)
    image = blob(source, spot, 0.12 * min(source))
    back = map_to_source(sample_to_model(image, geometry)[0], geometry)
    rows, columns = np.indices(source)
    centre = np.array([(back * rows).sum(), (back * columns).sum()]) / back.sum()
    true = np.array([(image * rows).sum(), (image * columns).sum()]) / image.sum()
    assert np.all(np.abs(centre - true) <= np.maximum(np.diag(geometry.to_source)[:2], 1.0))


def test_a_map_is_zero_outside_the_field_of_view_and_full_inside():
    geometry = resize_geometry((40, 60), (8, 8), (10, 20, 30, 50))
    mapped = map_to_source(np.ones((8, 8), np.float32), geometry)
    expected = np.zeros((40, 60), np.float32)
    expected[10:30, 20:50] = 1
    np.testing.assert_allclose(mapped, expected, atol=1e-6)


def test_a_flipped_geometry_flips_the_image_and_flips_the_map_back():
    plain = resize_geometry((12, 18), (12, 18))
    flipped = plain.to_source.copy()
    flipped[1, 1], flipped[1, 2] = -1.0, 17.0
    geometry = Geometry(flipped, (12, 18), (12, 18))
    image = ramp((12, 18))
    seen = sample_to_model(image, geometry)[0]
    np.testing.assert_allclose(seen, image[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(map_to_source(seen, geometry), image, atol=1e-6)


def test_a_turned_geometry_maps_back_by_interpolation():
    matrix = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 11.0], [0.0, 0.0, 1.0]])
    geometry = Geometry(matrix, (12, 9), (9, 12))
    values = ramp((12, 9))
    mapped = map_to_source(values, geometry)
    for row, column in [(0, 0), (11, 8), (4, 7)]:
        r, c = geometry.points_to_source(np.array([[row, column]], dtype=float))[0].round().astype(int)
        assert mapped[r, c] == pytest.approx(values[row, column], abs=1e-5)
    with pytest.raises(GeometryError, match="along the image's axes"):
        sample_to_model(ramp((9, 12)), geometry)


def test_volumes_are_sampled_and_mapped_back():
    geometry = resize_geometry((8, 10, 12), (4, 5, 6))
    volume = np.zeros((8, 10, 12), np.float32)
    volume[2:4, 6:8, 10:12] = 1
    seen = sample_to_model(volume, geometry)
    assert seen.shape == (1, 4, 5, 6)
    assert np.unravel_index(seen[0].argmax(), seen[0].shape) == (1, 3, 5)
    back = map_to_source(seen[0], geometry)
    assert back.shape == volume.shape
    assert volume[np.unravel_index(back.argmax(), back.shape)] == 1


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (5, 5, 1, 9), (0, 0, np.nan, 4), (0, 0, np.inf, 4), (0, 0, 5)], ids=str)
def test_an_impossible_box_is_refused(box):
    with pytest.raises(GeometryError, match="box needs"):
        resize_geometry((10, 10), (5, 5), box)


def test_wrong_grids_are_refused():
    geometry = resize_geometry((10, 12), (5, 6))
    with pytest.raises(GeometryError, match="is not on grid"):
        sample_to_model(ramp((12, 10)), geometry)
    with pytest.raises(GeometryError, match="is not on grid"):
        map_to_source(ramp((6, 5)), geometry)
    with pytest.raises(GeometryError, match="cannot become"):
        resize_geometry((10, 12), (5, 6, 7))


def test_importing_it_does_not_import_torch():
    code = "import sys, whycad.imaging.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def turned(a: float, b: float, c: float) -> np.ndarray:
    """Any rotation, from Euler angles."""
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    about_z = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
    return about_z @ about_x @ np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])


angles = st.floats(-3.2, 3.2)
lengths = st.floats(0.05, 9.0)
placed = st.builds(
    lambda a, b, c, spacing, place: Study(
        pixels=np.zeros((2,) * len(spacing), np.float32),
        modality="CT",
        sha256="",
        unit="HU",
        spacing_mm=spacing,
        # As a file has them: a few decimals.
        orientation=tuple(np.round(turned(a, b, c)[:, :2].T.ravel(), 4)),
        position_mm=place,
    ),
    angles,
    angles,
    angles,
    st.tuples(lengths, lengths) | st.tuples(lengths, lengths, lengths),
    st.tuples(*[st.floats(-2000, 2000)] * 3),
)


@quick
@given(placed, st.lists(st.tuples(*[st.floats(-100, 700)] * 3), min_size=1, max_size=4))
def test_points_return_from_the_patient(study, points):
    index = np.array(points)[:, -len(study.spacing_mm) :]
    mm = to_patient_mm(study, index)
    assert mm.shape == (len(points), 3)
    np.testing.assert_allclose(from_patient_mm(study, mm), index, atol=1e-6)


@quick
@given(placed, st.integers(0, 2), st.floats(0.5, 300))
def test_a_step_along_an_axis_is_as_long_as_the_spacing_says(study, axis, steps):
    d = len(study.spacing_mm)
    axis %= d
    ends = np.zeros((2, d))
    ends[1, axis] = steps
    first, last = to_patient_mm(study, ends)
    np.testing.assert_allclose(first, study.position_mm)
    assert np.linalg.norm(last - first) == pytest.approx(steps * study.spacing_mm[axis], rel=1e-9)


def test_axial_images_point_to_the_left_the_back_and_the_head():
    study = Study(
        np.zeros((3, 4, 5), np.float32), "CT", "", "HU", (2.5, 0.7, 0.8), None, (1, 0, 0, 0, 1, 0), (10, 20, 30)
    )
    np.testing.assert_allclose(to_patient_mm(study, np.array([[2, 3, 4]])), [[10 + 3.2, 20 + 2.1, 35]])


def test_a_coronal_image_has_rows_from_the_head_down():
    study = Study(np.zeros((4, 5), np.float32), "MR", "", "stored", (2, 1), None, (1, 0, 0, 0, 0, -1), (0, 50, 100))
    np.testing.assert_allclose(to_patient_mm(study, np.array([[3.0, 4.0]])), [[4, 50, 94]])
    # A point in front of the plane has its foot on it.
    np.testing.assert_allclose(from_patient_mm(study, np.array([[4.0, 0.0, 94.0]])), [[3, 4]])


@pytest.mark.parametrize("missing", ["spacing_mm", "orientation", "position_mm"])
def test_a_study_without_a_place_cannot_be_measured_in(missing):
    study = Study(np.zeros((4, 5), np.float32), "CT", "", "HU", (1, 1), None, (1, 0, 0, 0, 1, 0), (0, 0, 0))
    with pytest.raises(GeometryError, match="does not say where it lies"):
        to_patient_mm(replace(study, **{missing: None}), np.zeros((1, 2)))
    with pytest.raises(GeometryError, match="does not say where it lies"):
        from_patient_mm(replace(study, metadata={"spacing_is_relative": True}), np.zeros((1, 3)))


@pytest.mark.parametrize("points", [np.zeros(2), np.zeros((1, 3)), np.array([[np.nan, 0.0]])], ids=["1-D", "3", "nan"])
def test_points_of_another_dimension_are_refused(points):
    study = Study(np.zeros((4, 5), np.float32), "CT", "", "HU", (1, 1), None, (1, 0, 0, 0, 1, 0), (0, 0, 0))
    with pytest.raises(GeometryError, match="rows of 2 finite numbers"):
        to_patient_mm(study, points)
