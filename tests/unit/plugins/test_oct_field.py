"""What the source's size, its letterbox and its fill corners tell is gone before anything looks at the retina."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from plugins.retinal_oct import field
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


def grainy(rng, shape, share):
    """Return a picture with a share of it as bright as fill, often at its border, in steps of 1 / 255."""
    image = ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(1, 12))
    image = np.clip((image - np.quantile(image, 1 - share)) / np.ptp(image) + 0.9, 0, 1)
    return (np.rint(255 * image**3) / 255).astype(np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_ruled_out_early_is_not_found_late(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    image = grainy(rng, tuple(rng.integers(40, 200, 2)), rng.choice([0.002, 0.01, 0.1]))
    quick = fill_mask(image)
    monkeypatch.setattr(field, "_may_hold_fill", lambda *_: True)
    assert np.array_equal(quick, fill_mask(image))


@pytest.mark.parametrize("width", [1, 2, 49, 50, 51, 101, 500, 512])
def test_counted_rows_are_lit_as_sorted_ones_are(width):
    rng = np.random.default_rng(width)
    image = (rng.random((400, width)) * rng.uniform(0.02, 0.05, (400, 1))).astype(np.float32)
    lit = np.percentile(image, 98, axis=1) > field.BLACK
    assert 0.1 < lit.mean() < 0.9
    assert np.array_equal(field._lit_rows(image), lit)


@pytest.mark.parametrize(("ends", "filled"), [(0, False), (5, False), (0, True), (5, True), (40, True)])
def test_the_margins_of_fill_and_ends_are_those_of_their_union(ends, filled):
    fill = np.zeros((60, 50), bool)
    fill[10:14, 40:] = filled
    both = fill.copy()
    both[:ends], both[len(both) - ends :] = True, True
    assert np.array_equal(field._near_fill(fill, ends, 4), ndimage.binary_dilation(both, iterations=4))


def test_extents_count_lines_not_pixels():
    labels = np.array([[1, 1, 0], [1, 0, 2], [0, 0, 2]])
    assert field._largest_extent(labels, 3, axis=0)[1:].tolist() == [2, 1, 0]
    assert field._largest_extent(labels, 3, axis=1)[1:].tolist() == [2, 2, 0]


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
    taken = take_field(np.where(wedge(scan.shape, 0.3), np.float32(1), scan))
    assert not taken.valid[:10, :60].any()
    assert np.abs(taken.pixels[:10, :60]).max() < 1e-6


def test_the_field_says_where_it_lies(scan):
    taken = take_field(scan)
    corner = taken.geometry.points_to_source(np.array([[0.0, 0.0], [FIELD_SHAPE[0] - 1.0, FIELD_SHAPE[1] - 1.0]]))
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
    taken = take_field(scan)
    borders = find_borders(taken.pixels, taken.valid)
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
    taken = take_field(scan)
    borders = find_borders(taken.pixels, taken.valid)
    image = taken.pixels.clip(0, None)
    plain = scale_greys(image, borders)
    assert np.allclose(plain, scale_greys(0.3 * image, borders), atol=1e-5)
    assert np.abs(plain - scale_greys(image**1.4, borders)).mean() < 0.01


def test_an_empty_retina_is_no_division_by_zero():
    nothing = Borders(np.full(192, 5.0), np.full(192, 0.0))
    assert np.isfinite(scale_greys(np.zeros((112, 192), np.float32), nothing)).all()
