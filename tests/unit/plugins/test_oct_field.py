"""What the source's size, its letterbox and its fill corners tell is gone before anything looks at the retina."""

import numpy as np
import pytest
from PIL import Image

from plugins.retinal_oct.align import MAX_SLOPE, OUTER_ROW, robust_line, scale_greys
from plugins.retinal_oct.field import FIELD_SHAPE, bar_height, fill_mask, take_field
from plugins.retinal_oct.layers import Borders, best_path, find_borders
from plugins.retinal_oct.phantom_scan import DEPTH_MM, ScanOptions, render_scan
from plugins.retinal_oct.preprocess import level


@pytest.fixture(scope="module")
def scan():
    return render_scan(1, ScanOptions())[0].astype(np.float32) / 255


def resized(image, height, width):
    picture = Image.fromarray(np.rint(255 * image).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32) / 255


def letterboxed(image, side=256):
    height = round(side * image.shape[0] / image.shape[1])
    canvas = np.zeros((side, side), np.float32)
    top = (side - height) // 2
    canvas[top : top + height] = resized(image, height, side)
    return canvas


def wedge(shape, reach):
    rows, columns = np.indices(shape)
    return rows < reach * shape[0] * (1 - columns / shape[1])


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def test_bars_are_found_where_they_lie_on_both_sides(scan):
    assert bar_height(letterboxed(scan)) == pytest.approx(32, abs=1)
    assert bar_height(scan) == 0
    one_sided = np.concatenate([np.zeros((60, scan.shape[1]), np.float32), scan])
    assert bar_height(one_sided) == 0
    assert bar_height(np.zeros((50, 50), np.float32)) == 0


def test_a_dark_scan_loses_a_quarter_of_each_side_at_most():
    dark = np.zeros((100, 100), np.float32)
    dark[48:52] = 0.8
    assert bar_height(dark) == 25


def test_a_white_corner_is_found_and_a_bright_retina_is_not(scan):
    filled = scan.copy()
    filled[wedge(scan.shape, 0.3)] = 1.0
    found = fill_mask(filled)
    assert found[wedge(scan.shape, 0.3)].all()
    assert found.mean() < 0.2
    assert not fill_mask(scan).any()


@pytest.mark.parametrize("change", ["letterbox", "large", "small", "corner", "dim"])
def test_the_network_sees_the_same_whatever_the_source(scan, change):
    changed = {
        "letterbox": lambda: letterboxed(scan),
        "large": lambda: resized(scan, 768, 1024),
        "small": lambda: resized(scan, 192, 256),
        "corner": lambda: np.where(wedge(scan.shape, 0.3), np.float32(1), scan),
        "dim": lambda: 0.5 * scan,
    }[change]()
    plain, _, _ = level(scan)
    other, _, _ = level(np.asarray(changed, np.float32))
    assert correlation(plain, other) > 0.97
    assert abs(plain.mean() - other.mean()) < 0.03


def test_a_white_corner_leaves_no_bright_pixel_behind(scan):
    field = take_field(np.where(wedge(scan.shape, 0.3), np.float32(1), scan))
    assert not field.valid[:10, :60].any()
    assert np.abs(field.pixels[:10, :60]).max() < 1e-6


def test_the_field_says_where_it_lies(scan):
    field = take_field(scan)
    corner = field.geometry.points_to_source(np.array([[0.0, 0.0], [FIELD_SHAPE[0] - 1.0, FIELD_SHAPE[1] - 1.0]]))
    assert corner[0] == pytest.approx((0, 0), abs=8)
    assert corner[1] == pytest.approx(np.array(scan.shape) - 1, abs=8)


def test_the_best_path_follows_the_bright_line():
    image = np.zeros((40, 60), np.float32)
    line = np.rint(20 + 8 * np.sin(np.arange(60) / 9)).astype(int)
    image[line, np.arange(60)] = 1
    assert np.array_equal(best_path(image, 3, 0.05), line)


def test_a_path_cannot_jump_further_than_allowed():
    image = np.zeros((40, 30), np.float32)
    image[5, :15], image[35, 15:] = 1, 1
    assert np.abs(np.diff(best_path(image, 2, 0.0))).max() <= 2


def test_borders_lie_where_the_phantom_put_them(scan):
    field = take_field(scan)
    borders = find_borders(field.pixels, field.valid)
    row_mm = DEPTH_MM / FIELD_SHAPE[0]
    inside = slice(20, -20)
    thickness = borders.thickness[inside] * row_mm
    assert np.median(thickness) == pytest.approx(0.30, abs=0.05)
    fovea = thickness[len(thickness) // 2 - 6 : len(thickness) // 2 + 6].mean()
    assert fovea < np.median(thickness) - 0.05


def test_the_levelled_epithelium_is_level():
    tilted = render_scan(2, ScanOptions(tilt=0.5, bow=0.0))[0].astype(np.float32) / 255
    _, geometry, borders = level(tilted)
    assert abs(np.polyfit(np.arange(192), borders.outer, 1)[0]) < 0.02
    assert np.median(borders.outer) == pytest.approx(OUTER_ROW, abs=2)
    assert geometry.to_source[0, 1] != 0


def test_a_line_ignores_a_detachment_and_a_slope_has_a_limit():
    path = 90 + 0.1 * (np.arange(192) - 95.5)
    path[80:120] -= 30
    centre, slope = robust_line(path)
    assert centre == pytest.approx(90, abs=1)
    assert slope == pytest.approx(0.1, abs=0.02)
    assert robust_line(90 + 3.0 * np.arange(192))[1] == MAX_SLOPE


def test_greys_do_not_depend_on_gain_and_compression(scan):
    field = take_field(scan)
    borders = find_borders(field.pixels, field.valid)
    image = field.pixels.clip(0, None)
    plain = scale_greys(image, borders)
    assert np.allclose(plain, scale_greys(0.3 * image, borders), atol=1e-5)
    assert np.abs(plain - scale_greys(image**1.4, borders)).mean() < 0.01


def test_an_empty_retina_is_no_division_by_zero():
    nothing = Borders(np.full(192, 5.0), np.full(192, 0.0))
    assert np.isfinite(scale_greys(np.zeros((112, 192), np.float32), nothing)).all()
