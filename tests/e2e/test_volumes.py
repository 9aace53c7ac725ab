"""A CT series and an OCT volume as a reader meets them: opened, scrolled, clicked, explained, saved.

The tasks are the real ones where they are trained, else stand-ins with random networks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from plugins.retinal_oct.phantom import frame_options
from plugins.retinal_oct.phantom_scan import Dome, ScanOptions, render_scan
from whycad.datasets.pack import read_pack
from whycad.registry import discover
from whycad.testing.series import make_ct_series, make_oct_volume
from whycad.testing.stand_ins import write_lung_stand_in, write_oct_stand_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SLOW_MS = 120_000
REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("WHYCAD_DATA", REPO.parent / "shared" / "data"))
CT_PACK = DATA / "lung" / "ct_lidc0001_48slices.npz"
OCT_PACK = DATA / "oct" / "kermany_cnv_normal.npz"
CANARY = "CANARY^NAME"


@dataclass(frozen=True)
class Chest:
    """A CT volume with one nodule."""

    volume: np.ndarray
    spacing: tuple[float, float, float]
    nodule: tuple[int, int, int]


def real_chest() -> Chest:
    with np.load(CT_PACK) as pack:
        x, y = np.ravel(pack["nodule_crop_origin_xy"])[:2].astype(int) + 64
        z = int(np.argmin(np.abs(pack["z_mm"] - np.ravel(pack["nodule_z_mm"])[0])))
        return Chest(pack["volume"], tuple(float(v) for v in pack["spacing"]), (z, int(y), int(x)))


def made_chest() -> Chest:
    """Two lungs in soft tissue, a spine, vessels, and a nodule in the left lung."""
    z, y, x = np.indices((24, 128, 128), dtype=np.float32)
    body = ((y - 64) / 46) ** 2 + ((x - 64) / 58) ** 2 < 1
    lungs = (((y - 60) / 32) ** 2 + ((np.abs(x - 64) - 27) / 20) ** 2) < 1
    volume = np.where(lungs, -850, np.where(body, 40, -1000)) + np.random.default_rng(0).normal(0, 15, z.shape)
    volume[((y - 96) ** 2 + (x - 64) ** 2) < 70] = 400
    nodule = (14, 66, 94)
    volume[((z - 14) * 2.5) ** 2 + ((y - 66) * 1.4) ** 2 + ((x - 94) * 1.4) ** 2 < 81] = 30
    return Chest(np.rint(volume).astype(np.int16), (2.5, 1.4, 1.4), nodule)


def real_eye(n: int = 12) -> np.ndarray:
    """Normal B-scans with neovascularisation in the middle ones, of the part that nothing was trained on."""
    pack = read_pack(OCT_PACK)
    rows = [row for row in pack.rows("val") if not pack.arrays["near_fold_border"][row]]
    normal, cnv = ([row for row in rows if pack.label_name(int(row)) == name] for name in ("NORMAL", "CNV"))
    chosen = [*normal[: n // 2 - 2], *cnv[:4], *normal[n // 2 - 2 : n - 4]]
    return np.stack([pack.image(int(row)) for row in chosen])


def made_eye(n: int = 12) -> np.ndarray:
    """Simulated B-scans through a detachment."""
    options = ScanOptions(size=(256, 320), detachments=(Dome(2.9, 0.75, 0.17),))
    return np.stack([render_scan(i, frame_options(options, i, n))[0] for i in range(n)])


@pytest.fixture(scope="module")
def chest() -> Chest:
    return real_chest() if CT_PACK.is_file() else made_chest()


@pytest.fixture(scope="module")
def eye() -> np.ndarray:
    return real_eye() if OCT_PACK.is_file() else made_eye()


@pytest.fixture(scope="module")
def app_url(start_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    ready = {entry.id for entry in discover().entries if entry.status == "ready"}
    folder = tmp_path_factory.mktemp("plugins")
    if "lung_nodule" not in ready:
        write_lung_stand_in(folder)
    if "retinal_oct" not in ready:
        write_oct_stand_in(folder)
    return start_app("asgi.py", env={"WHYCAD_PLUGINS": str(folder), "WHYCAD_DATA": ""})


@pytest.fixture
def page(app_url: str, browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    context = browser.new_context(**browser_context_args)
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(app_url)
    page.get_by_test_id("stFileUploader").wait_for()
    yield page
    context.close()
    assert problems == []


def upload(page: Page, files: list[Path]) -> None:
    page.locator('[data-testid="stFileUploader"] input[type="file"]').set_input_files([str(file) for file in files])
    page.locator('[data-testid="viewer-frame"][aria-busy="false"]').wait_for()


def at(page: Page) -> list[int]:
    return [int(v) for v in (page.get_by_test_id("viewer-stage").get_attribute("data-at") or "").split(",")]


def hovered(page: Page, x: float, y: float) -> tuple[int, int] | None:
    """Row and column under a point of the screen, as the viewer reads them out."""
    page.mouse.move(x, y)
    said = re.search(r"row (\d+), column (\d+)", page.get_by_test_id("viewer-readout").inner_text())
    return (int(said[1]), int(said[2])) if said else None


def place_on_screen(page: Page, row: int, column: int) -> tuple[float, float]:
    """Where a voxel of the large plane lies: rows and columns are linear on the screen."""
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    middle = box["x"] + 0.45 * box["width"], box["y"] + 0.35 * box["height"]
    ends = [(middle[0] - 60, middle[1] - 60), (middle[0] + 60, middle[1] + 60)]
    (r0, c0), (r1, c1) = (found for end in ends if (found := hovered(page, *end)) is not None)
    x = ends[0][0] + (column - c0) * 120 / (c1 - c0)
    y = ends[0][1] + (row - r0) * 120 / (r1 - r0)
    return x, y


def saved(page: Page, key: str) -> bytes:
    with page.expect_download() as waiting:
        page.locator(f".st-key-{key} button").click()
    return Path(waiting.value.path()).read_bytes()


def test_ct_series_is_scrolled_clicked_explained_and_saved(page: Page, chest: Chest, tmp_path: Path) -> None:
    series = make_ct_series(chest.volume, chest.spacing, shuffle=3, PatientName=CANARY, PatientID="CANARY-ID")
    files = []
    for number, content in enumerate(series):
        files.append(tmp_path / f"{CANARY} {number}.dcm")
        files[-1].write_bytes(content)
    upload(page, files)
    page.get_by_text("Worklist (1)").wait_for()
    page.get_by_text("Click the nodule.").wait_for()
    assert page.locator(".st-key-answer, .st-key-job").count() == 0, "nothing is analysed before the click"

    _scroll_to(page, chest.nodule[0])
    x, y = place_on_screen(page, *chest.nodule[1:])
    page.mouse.click(x, y)
    expect(page.locator(".st-key-answer h3")).to_have_text(re.compile(r"^[<>\d. ]+ %$"))
    expect(page.locator('[class*="st-key-card-re"]').first).to_be_visible()
    assert np.abs(np.subtract(at(page), chest.nodule)).max() <= 2
    page.locator('[data-testid^="viewer-method-"]').first.wait_for()
    page.get_by_test_id("viewer-window-bone").click()
    expect(page.get_by_test_id("viewer-window-bone")).to_have_attribute("aria-pressed", "true")
    _level_and_prevalence_do_not_run_the_model(page)

    result = json.loads(saved(page, "download-json"))
    assert result["request"]["region"]["start"] == at(page)
    assert CANARY not in json.dumps(result)
    report = saved(page, "download-html").decode()
    assert "<script" not in report
    assert CANARY not in report
    assert "data:image/png;base64," in report
    assert CANARY not in page.content()

    page.get_by_test_id("viewer-stage").scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the scrolling ends
    row, column = chest.nodule[1:]
    page.mouse.click(*place_on_screen(page, row - chest.volume.shape[1] // 10, column))
    page.get_by_role("button", name="Analyse here").wait_for()
    page.get_by_role("button", name="Keep the analysed point").click()
    expect(page.get_by_role("button", name="Analyse here")).to_have_count(0)


def _scroll_to(page: Page, number: int) -> None:
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.35 * box["height"])
    for _ in range(80):
        left = at(page)[0] - number
        if not left:
            return
        page.mouse.wheel(0, 120 if left > 0 else -120)  # down goes to the feet, which come first
    pytest.fail("the wheel does not reach the slice")


def _level_and_prevalence_do_not_run_the_model(page: Page) -> None:
    expect(page.locator(".st-key-job")).to_have_count(0)
    page.get_by_role("tab", name="How sure").click()
    page.locator(".st-key-coverage button", has_text="80 %").click()
    expect(page.locator(".st-key-rows-card")).to_contain_text("80 % set")
    before = page.locator(".st-key-prevalence-effect strong").first.inner_text()
    page.locator(".st-key-reader-setting").get_by_role("slider").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".st-key-answer")).to_contain_text("at your prevalence")
    expect(page.locator(".st-key-prevalence-effect strong").first).not_to_have_text(before)
    assert page.locator(".st-key-job").count() == 0
    page.locator(".st-key-prior-reset button").click()
    expect(page.locator(".st-key-answer")).not_to_contain_text("at your prevalence")


def test_oct_volume_is_jumped_along_explained_and_saved(page: Page, eye: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "eye.dcm"
    file.write_bytes(make_oct_volume(eye, (0.25, 0.004, 0.012)))
    upload(page, [file])
    expect(page.locator(".st-key-answer h3")).to_have_text(re.compile(r"^[<>\d. ]+ %$"))
    expect(page.locator(".st-key-rows-card")).to_contain_text("Slices that refer")
    plot = page.get_by_test_id("viewer-strip-plot").bounding_box()
    assert plot is not None
    page.mouse.click(plot["x"] + plot["width"] * 2.5 / 12, plot["y"] + 0.5 * plot["height"])
    expect(page.get_by_test_id("viewer-stage")).to_have_attribute("data-at", re.compile("^2,"))
    expect(page.get_by_test_id("viewer-slice")).to_have_value("2")
    assert page.locator(".st-key-job").count() == 0, "looking does not run the model"
    page.get_by_test_id("viewer-slice-action").click()
    page.locator('[data-testid^="viewer-method-"]').first.wait_for()
    expect(page.locator(".st-key-job")).to_have_count(0)
    result = json.loads(saved(page, "download-json"))
    assert result["profile"]["shown"] == 2
    assert len(result["profile"]["decisions"]) == 12
    report = saved(page, "download-html").decode()
    assert "Slice 3 of 12" in report
    assert "<script" not in report
