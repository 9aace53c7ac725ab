"""The viewer in a real browser: exact pixels, no reruns, nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OPACITY = "viewer-opacity"
FINGERPRINT = """canvas => {
  const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let h = 0;
  for (let i = 0; i < d.length; i += 1) h = (h * 31 + d[i]) | 0;
  return h;
}"""


@pytest.fixture(scope="module")
def url(start_app: Callable[..., str]) -> str:
    return start_app("tests/e2e/pages/viewer_page.py")


@pytest.fixture(scope="module")
def page(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    """One tab for the whole module: the browser keeps what it has compiled."""
    context = browser.new_context(**browser_context_args)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def wait_until_shown(page: Page) -> None:
    expect(page.get_by_test_id("viewer-frame")).to_have_attribute("aria-busy", "false", timeout=60_000)
    settle(page)


@pytest.fixture
def show(page: Page, url: str) -> Callable[[str], Page]:
    def open_page(what: str) -> Page:
        page.goto(f"{url}/?what={what}")
        wait_until_shown(page)
        return page

    return open_page


@contextmanager
def requests_of(page: Page) -> Iterator[list[Request]]:
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    yield asked
    page.remove_listener("request", note)


def settle(page: Page) -> None:
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def rgba(page: Page) -> NDArray[np.int64]:
    """What the flat canvas shows, (H, W, 4), one per CSS pixel."""
    settle(page)
    data: str = page.get_by_test_id("viewer-canvas").evaluate("c => c.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGBA")).astype(np.int64)


def pixels(page: Page) -> NDArray[np.int64]:
    """Colours as 0xRRGGBB."""
    shown = rgba(page)
    return (shown[..., 0] << 16) + (shown[..., 1] << 8) + shown[..., 2]


def fingerprint(page: Page) -> int:
    settle(page)
    value: int = page.get_by_test_id("viewer-canvas").evaluate(FINGERPRINT)
    return value


def event(page: Page) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(page.locator("code").inner_text())
    return value


def wait_for_event(page: Page, kind: str, after: int = 0) -> dict[str, Any]:
    for _ in range(100):
        now = event(page)
        if now["kind"] == kind and now["seq"] > after:
            return now
        page.wait_for_timeout(50)
    raise AssertionError(f"no {kind} arrived; last: {event(page)}")


def runs(page: Page) -> int:
    return int(page.get_by_text(re.compile(r"^runs \d+$")).inner_text().split()[1])


def slide(slider: Locator, value: float) -> None:
    slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", str(value))


def click_stage(page: Page, x: float, y: float) -> None:
    page.get_by_test_id("viewer-stage").click(position={"x": x, "y": y})


def red_mark(page: Page) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of the phantom's red mark on the screen (edges, CSS pixels)."""
    rows, columns = np.nonzero(pixels(page) == 0xFF0000)
    return float(rows.min()), float(columns.min()), float(rows.max() + 1), float(columns.max() + 1)


def place_of(page: Page, row: float, column: float) -> tuple[float, float]:
    """Screen place of a source pixel's centre, from the mark alone (rows 40..59, columns 500..539)."""
    top, left, bottom, right = red_mark(page)
    return (left + (column + 0.5 - 500) * (right - left) / 40, top + (row + 0.5 - 40) * (bottom - top) / 20)


def test_what_is_shown_at_a_click_is_what_the_click_returns(show: Callable[[str], Page]) -> None:
    page = show("small")
    page.get_by_test_id("viewer-tool-point").click()
    rng = np.random.default_rng(3)
    seq = 0
    for zoom_in in (0, 2, 4):
        for _ in range(zoom_in):
            page.get_by_test_id("viewer-zoom-in").click()
        shown = rgba(page)
        grey = shown[..., 0]
        inside = np.argwhere(shown[60:-60, 60:-60, 3] == 255) + 60
        for y, x in inside[rng.choice(len(inside), 3, replace=False)]:
            click_stage(page, float(x) + 0.5, float(y) + 0.5)
            got = wait_for_event(page, "click", seq)
            seq = got["seq"]
            row, column = got["click"]
            assert (row * 7 + column) * 7 % 251 == grey[y, x]


def test_row_0_is_at_the_top_and_column_0_at_the_left(show: Callable[[str], Page]) -> None:
    page = show("small")
    shown = pixels(page) & 0xFF
    rows, columns = np.nonzero(shown == 34 * 7)
    assert rows.mean() > shown.shape[0] * 0.6
    assert columns.mean() > shown.shape[1] * 0.6


def test_clicks_stay_exact_under_zoom_and_pan(show: Callable[[str], Page]) -> None:
    page = show("photo")
    page.get_by_test_id("viewer-map-toggle").click()
    page.get_by_test_id("viewer-tool-point").click()
    settle(page)
    click_stage(page, *place_of(page, 45, 520))
    first = wait_for_event(page, "click")
    assert abs(first["click"][0] - 45) <= 1
    assert abs(first["click"][1] - 520) <= 1

    stage = page.get_by_test_id("viewer-stage")
    box = stage.bounding_box()
    assert box is not None
    x, y = place_of(page, 55, 515)
    page.mouse.move(box["x"] + x, box["y"] + y)
    for _ in range(8):
        page.mouse.wheel(0, -200)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + x - 90, box["y"] + y + 60, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    settle(page)
    assert int(stage.get_attribute("data-zoom") or 0) > 500
    click_stage(page, *place_of(page, 54.7, 511.7))  # off the centre, still the same pixel
    assert wait_for_event(page, "click", first["seq"])["click"] == [55, 512]


def test_a_box_holds_both_corners(show: Callable[[str], Page]) -> None:
    page = show("small")
    page.get_by_test_id("viewer-tool-box").click()
    grey = pixels(page) & 0xFF
    centres = {i: np.argwhere(grey == i * 7).mean(axis=0) for i in (8, 31)}  # (1, 1) and (4, 3)
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    for i, step in ((31, page.mouse.down), (8, page.mouse.up)):
        row, column = centres[i]
        page.mouse.move(box["x"] + column, box["y"] + row, steps=3)
        step()
    assert wait_for_event(page, "box")["box"] == [[1, 1], [4, 3]]


def test_brush_strokes_come_back_in_source_pixels(show: Callable[[str], Page]) -> None:
    page = show("small")
    page.get_by_test_id("viewer-tool-brush").click()
    grey = pixels(page) & 0xFF
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    for i, step in ((14, page.mouse.down), (18, page.mouse.up)):  # (2, 0) to (2, 4)
        row, column = np.argwhere(grey == i * 7).mean(axis=0)
        page.mouse.move(box["x"] + column, box["y"] + row, steps=30)
        step()
    brush = wait_for_event(page, "brush")["brush"]
    assert [stroke["points"] for stroke in brush] == [[[2, 0], [2, 1], [2, 2], [2, 3], [2, 4]]]
    page.get_by_test_id("viewer-clear").click()
    assert wait_for_event(page, "clear")["brush"] == []


def test_looking_never_reruns_the_page(show: Callable[[str], Page]) -> None:
    page = show("photo")
    seen = [fingerprint(page)]
    slide(page.get_by_test_id(OPACITY), 0.2)
    seen.append(fingerprint(page))
    page.get_by_test_id("viewer-display").click()
    slide(page.get_by_test_id("viewer-threshold"), 0.5)
    seen.append(fingerprint(page))
    page.get_by_test_id("viewer-colormap").select_option("inferno")
    seen.append(fingerprint(page))
    slide(page.get_by_test_id("viewer-window-width"), 120)
    seen.append(fingerprint(page))
    page.get_by_test_id("viewer-display").click()
    page.get_by_test_id("viewer-method-lime").click()
    expect(page.get_by_test_id("viewer-legend")).to_have_text("againstfor")
    page.wait_for_timeout(300)
    seen.append(fingerprint(page))
    page.get_by_test_id("viewer-stage").hover()
    page.mouse.wheel(0, -300)
    seen.append(fingerprint(page))
    page.get_by_test_id("viewer-map-toggle").click()
    seen.append(fingerprint(page))
    assert len(set(seen)) == len(seen), "something that was changed did not change the picture"
    page.wait_for_timeout(600)
    assert runs(page) == 1


def test_threshold_hides_weak_places_and_leaves_the_peak(show: Callable[[str], Page]) -> None:
    page = show("photo")
    page.get_by_test_id("viewer-outline-toggle").click()
    settle(page)
    (x1, y1), (x2, y2) = place_of(page, 190, 270), place_of(page, 190, 370)
    with_map = pixels(page)
    page.get_by_test_id("viewer-display").click()
    slide(page.get_by_test_id("viewer-threshold"), 0.6)
    settle(page)
    cut = pixels(page)
    page.get_by_test_id("viewer-map-toggle").click()
    settle(page)
    bare = pixels(page)
    weak, peak = (int(y2), int(x2)), (int(y1), int(x1))
    assert with_map[weak] != bare[weak]
    assert cut[weak] == bare[weak]
    assert cut[peak] == with_map[peak] != bare[peak]


def test_signed_maps_diverge_around_zero(show: Callable[[str], Page]) -> None:
    page = show("photo")
    page.get_by_test_id("viewer-method-lime").click()
    page.wait_for_timeout(300)
    settle(page)
    (x1, y1), (x2, y2) = place_of(page, 180, 240), place_of(page, 290, 400)
    shown = pixels(page)
    page.get_by_test_id("viewer-map-toggle").click()
    bare = pixels(page)

    def red_less_blue(picture: NDArray[np.int64], x: float, y: float) -> int:
        value = int(picture[int(y), int(x)])
        return (value >> 16) - (value & 0xFF)

    assert red_less_blue(shown, x1, y1) > red_less_blue(bare, x1, y1)
    assert red_less_blue(shown, x2, y2) < red_less_blue(bare, x2, y2)


def test_everything_by_keyboard(show: Callable[[str], Page]) -> None:
    page = show("photo")
    stage = page.get_by_test_id("viewer-stage")
    stage.focus()
    keyboard = page.keyboard
    for key in ("+", "+", "ArrowLeft", "ArrowUp"):
        before = fingerprint(page)
        keyboard.press(key)
        assert fingerprint(page) != before, key
    expect(page.get_by_test_id("viewer-zoom")).to_have_text("zoom 156 %")
    keyboard.press("0")
    expect(page.get_by_test_id("viewer-zoom")).to_have_text("zoom 100 %")
    keyboard.press("]")
    expect(page.get_by_test_id("viewer-method-lime")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("viewer-status")).to_have_text("LIME, grade A")
    keyboard.press("m")
    expect(page.get_by_test_id("viewer-map-toggle")).to_have_attribute("aria-pressed", "false")
    for key in ("o", "Shift+O", "t", "c", "w", "l", "b", "r"):
        keyboard.press(key)
    keyboard.press("?")
    expect(page.get_by_test_id("viewer-help-panel")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_test_id("viewer-help-panel")).to_be_hidden()
    keyboard.press("2")
    expect(page.get_by_test_id("viewer-tool-point")).to_have_attribute("aria-pressed", "true")
    keyboard.press("Enter")  # the cursor appears in the middle: row 225, column 300
    keyboard.press("ArrowRight")
    keyboard.press("Shift+ArrowDown")
    keyboard.press("Enter")
    assert wait_for_event(page, "click")["click"] == [235, 301]
    assert runs(page) == 2
    keyboard.press("3")
    for key in ("Enter", "Shift+ArrowRight", "Shift+ArrowUp", "Enter"):
        keyboard.press(key)
    assert wait_for_event(page, "box")["box"] == [[225, 301], [235, 311]]


def test_the_focus_can_be_seen_and_the_picture_has_its_text(show: Callable[[str], Page]) -> None:
    page = show("photo")
    canvas = page.get_by_test_id("viewer-canvas")
    expect(canvas).to_have_role("img")
    expect(canvas).to_have_accessible_name("Simulated lesion, dark, left of the middle")
    page.get_by_test_id("viewer-stage").focus()
    page.keyboard.press("+")
    assert page.get_by_test_id("viewer-stage").evaluate("e => getComputedStyle(e).boxShadow") != "none"
    nameless = (
        page.get_by_test_id("viewer")
        .locator("button, input, select")
        .evaluate_all("all => all.filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).length")
    )
    assert nameless == 0


def test_nothing_is_fetched_from_elsewhere(page: Page, url: str) -> None:
    with requests_of(page) as asked:
        for what in ("photo", "volume"):
            page.goto(f"{url}/?what={what}")
            wait_until_shown(page)
    hosts = {urlsplit(r.url).netloc for r in asked if not r.url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(url).netloc}


def test_a_rerun_sends_no_image_again_and_keeps_the_view(show: Callable[[str], Page]) -> None:
    page = show("photo")
    page.get_by_test_id("viewer-zoom-in").click()
    before = fingerprint(page)
    with requests_of(page) as asked:
        page.get_by_role("button", name="Rerun").click()
        expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
        page.wait_for_timeout(300)
    assert [r.url for r in asked if "/media/" in r.url] == []
    assert fingerprint(page) == before


def test_a_photo_with_four_maps_is_small(show: Callable[[str], Page]) -> None:
    page = show("photo")
    for name in ("lime", "ig", "occlusion"):
        page.get_by_test_id(f"viewer-method-{name}").click()
        expect(page.get_by_test_id(f"viewer-method-{name}")).to_have_attribute("aria-pressed", "true")
    settle(page)
    page.wait_for_timeout(500)
    sizes = page.evaluate(
        "() => performance.getEntriesByType('resource').filter(e => new URL(e.name).pathname.startsWith('/media/'))"
        ".map(e => e.encodedBodySize)"
    )
    assert len(sizes) == 5
    assert min(sizes) > 0
    assert sum(sizes) < 1_500_000


def test_the_png_carries_its_notice(show: Callable[[str], Page], tmp_path: Path) -> None:
    page = show("photo")
    with page.expect_download() as waiting:
        page.get_by_test_id("viewer-save").click()
    download = waiting.value
    assert download.suggested_filename == "whycad-overlay-gradcam.png"
    download.save_as(tmp_path / "overlay.png")
    with Image.open(io.BytesIO((tmp_path / "overlay.png").read_bytes())) as picture:
        picture.load()
        data = np.asarray(picture.convert("RGB")).astype(int)
    assert data.shape[1] == 1200
    assert data.shape[0] > 900
    footer = data[902:]
    assert (np.abs(footer - (255, 217, 138)).sum(axis=-1) < 30).sum() > 200  # the notice, in its own colour
    assert (np.abs(data[80:118, 1004:1076] - (255, 0, 0)).sum(axis=-1) < 40).mean() > 0.9  # the mark, where it belongs


def test_deep_grey_images_are_windowed_and_read_out(show: Callable[[str], Page]) -> None:
    page = show("grey")
    canvas = pixels(page) & 0xFF
    ys, xs = np.nonzero(canvas)
    assert canvas.max() == 255
    x, y = float(np.median(xs)), float(np.percentile(ys, 75))
    page.get_by_test_id("viewer-stage").hover(position={"x": x, "y": y})
    readout = page.get_by_test_id("viewer-readout").inner_text()
    found = re.fullmatch(r"row (\d+), column (\d+) · (-?[\d.]+) HU", readout)
    assert found, readout
    expected = -1000 + 2000 * (int(found[1]) * 80 + int(found[2])) / 7999
    assert abs(float(found[3]) - expected) < 1
    before = fingerprint(page)
    page.get_by_test_id("viewer-display").click()
    page.get_by_role("button", name="Lung").click()
    assert fingerprint(page) != before


def test_the_scale_bar_is_true_and_absent_without_spacing(show: Callable[[str], Page]) -> None:
    page = show("photo")
    bar = page.get_by_test_id("viewer-scale-bar")
    millimetres = float(bar.inner_text().removesuffix(" mm"))
    _, left, _, right = red_mark(page)  # 40 columns of 0.03 mm
    width = bar.evaluate("e => e.getBoundingClientRect().width")
    assert width / millimetres == pytest.approx((right - left) / 1.2, rel=0.05)
    show("small")
    expect(page.get_by_test_id("viewer-scale-bar")).to_be_hidden()


def test_full_screen_and_back(show: Callable[[str], Page]) -> None:
    page = show("photo")
    button = page.get_by_test_id("viewer-fullscreen")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    frame = page.get_by_test_id("viewer-frame").bounding_box()
    assert frame is not None
    assert frame["width"] >= 1270
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")


# ---- volumes ----


def bright_block(page: Page) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of the 900 HU block on the screen, relative to the stage."""
    stage = page.get_by_test_id("viewer-stage")
    box = stage.bounding_box()
    assert box is not None
    page.wait_for_timeout(400)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        grey = np.asarray(picture.convert("RGB")).min(axis=-1)
    shown = grey[int(box["y"]) + 60 : int(box["y"] + box["height"]) - 90, int(box["x"]) + 20 : int(box["x"]) + 1050]
    rows, columns = np.nonzero(shown > 236)  # the letters at the edges are darker
    assert rows.size, "the block is not on show"
    return rows.min() + 60.0, columns.min() + 20.0, rows.max() + 61.0, columns.max() + 21.0


def at(page: Page) -> list[int]:
    """Slice, row and column where the planes meet."""
    return [int(v) for v in (page.get_by_test_id("viewer-stage").get_attribute("data-at") or "").split(",")]


def show_one_plane(page: Page) -> None:
    page.get_by_test_id("viewer-map-toggle").click()
    page.get_by_test_id("viewer-linked").click()
    expect(page.get_by_test_id("viewer-linked")).to_have_attribute("aria-pressed", "false")


def test_a_volume_is_shown_in_radiological_convention_and_clicked_exactly(show: Callable[[str], Page]) -> None:
    page = show("volume")
    show_one_plane(page)
    slide(page.get_by_test_id("viewer-slice"), 6)
    top, left, bottom, right = bright_block(page)
    stage = page.get_by_test_id("viewer-stage").bounding_box()
    assert stage is not None
    assert (left + right) / 2 > stage["width"] / 2  # column 0, the patient's right, is on the left
    assert (top + bottom) / 2 < stage["height"] / 2  # row 0, the front, is at the top
    page.get_by_test_id("viewer-tool-point").click()
    click_stage(page, left + (right - left) * 2.5 / 8, top + (bottom - top) * 7.5 / 10)
    first = wait_for_event(page, "click")
    assert first["click"] == [6, 17, 38]
    assert first["slice"] == 6

    page.get_by_test_id("viewer-stage").focus()
    for key in ("1", "+", "+", "ArrowRight", "ArrowUp", "ArrowDown", "2"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    cleared = wait_for_event(page, "clear")
    top, left, bottom, right = bright_block(page)
    click_stage(page, left + (right - left) * 5.5 / 8, top + (bottom - top) * 2.5 / 10)
    assert wait_for_event(page, "click", cleared["seq"])["click"] == [6, 12, 41]


def test_planes_are_linked_and_slices_step(show: Callable[[str], Page]) -> None:
    page = show("volume")
    stage = page.get_by_test_id("viewer-stage")
    box = stage.bounding_box()
    assert box is not None
    expect(page.get_by_test_id("viewer-linked")).to_have_attribute("aria-pressed", "true")
    stage.focus()
    slice_slider = page.get_by_test_id("viewer-slice")
    start = int(slice_slider.input_value())
    page.keyboard.press("PageDown")
    expect(slice_slider).to_have_value(str(start - 1))
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.wheel(0, 120)
    expect(slice_slider).to_have_value(str(start - 2))
    page.mouse.wheel(0, -120)
    expect(slice_slider).to_have_value(str(start - 1))
    page.mouse.move(box["x"] + 0.85 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.wheel(0, 240)  # over the coronal plane: its own slices step, towards the back
    expect(stage).to_have_attribute("data-at", f"{start - 1},25,32")
    expect(slice_slider).to_have_value(str(start - 1))

    show_one_plane(page)
    slide(slice_slider, 6)
    top, left, bottom, right = bright_block(page)
    click_stage(page, (left + right) / 2, (top + bottom) / 2)  # in pan, a click moves all planes there
    page.wait_for_timeout(300)
    assert at(page)[1] in (14, 15)
    page.get_by_test_id("viewer-plane").select_option("coronal")
    expect(slice_slider).to_have_value(re.compile("^1[45]$"))
    top, left, bottom, right = bright_block(page)
    assert (top + bottom) / 2 > box["height"] / 2  # slices 4..8 of 20 are towards the feet
    assert (left + right) / 2 > box["width"] / 2
    assert runs(page) == 1


def test_a_point_is_seen_in_all_planes_and_a_click_in_any_plane_gives_it(show: Callable[[str], Page]) -> None:
    page = show("volume")
    page.get_by_test_id("viewer-map-toggle").click()
    slide(page.get_by_test_id("viewer-slice"), 6)
    page.get_by_test_id("viewer-tool-point").click()
    stage = page.get_by_test_id("viewer-stage").bounding_box()
    assert stage is not None
    click_stage(page, 0.42 * stage["width"], 0.42 * stage["height"])
    first = wait_for_event(page, "click")
    assert first["click"] == at(page)
    assert mark_colours(page, stage) == [True, True, True]
    click_stage(page, 0.8 * stage["width"], 0.3 * stage["height"])  # in the coronal plane
    second = wait_for_event(page, "click", first["seq"])
    assert second["click"][1] == first["click"][1], "the row stays: it is the coronal slice"
    assert second["click"][0] != first["click"][0]
    assert mark_colours(page, stage) == [True, True, True]
    page.keyboard.press("PageDown")
    page.wait_for_timeout(200)
    assert mark_colours(page, stage) == [True, False, True], "the coronal plane, in use, has left the point"
    page.keyboard.press("g")
    page.wait_for_timeout(200)
    assert at(page) == second["click"]


def mark_colours(page: Page, stage: Any) -> list[bool]:
    """Whether the yellow of a point is in the large, the upper and the lower plane."""
    page.wait_for_timeout(300)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        rgb = np.asarray(picture.convert("RGB")).astype(int)
    yellow = (rgb[..., 0] > 230) & (abs(rgb[..., 1] - 210) < 25) & (rgb[..., 2] < 120)
    x0, y0, width, height = (int(stage[name]) for name in ("x", "y", "width", "height"))
    split, middle, bottom = x0 + int(0.62 * width), y0 + int(0.45 * height), y0 + int(0.86 * height)
    parts = (yellow[y0:bottom, x0:split], yellow[y0:middle, split:], yellow[middle:bottom, split:])
    return [bool(part.sum() > 12) for part in parts]


def test_windows_outlines_strip_and_slice_action(show: Callable[[str], Page]) -> None:
    page = show("scans")
    stage = page.get_by_test_id("viewer-stage")
    expect(page.get_by_test_id("viewer-linked")).to_have_attribute("aria-pressed", "false")
    assert at(page)[0] == 3, "the page asked for this slice"
    value = page.get_by_test_id("viewer-strip-value")
    expect(value).to_have_text("B-scan 4: 40 %, members 30 % to 50 %, refer")
    plot = page.get_by_test_id("viewer-strip-plot").bounding_box()
    assert plot is not None
    page.mouse.click(plot["x"] + plot["width"] * 1.5 / 8, plot["y"] + 20)
    expect(stage).to_have_attribute("data-at", re.compile("^1,"))
    expect(value).to_have_text("B-scan 2: no score, no answer")
    page.get_by_test_id("viewer-slice-action").click()
    assert wait_for_event(page, "slice")["slice"] == 1
    slide(page.get_by_test_id("viewer-slice"), 5)
    shown = page.screenshot()
    page.get_by_test_id("viewer-outline-toggle").click()
    page.wait_for_timeout(300)
    assert page.screenshot() != shown
    bright = page.get_by_test_id("viewer-window-bright")
    bright.click()
    expect(bright).to_have_attribute("aria-pressed", "true")
