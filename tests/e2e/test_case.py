"""The app as a reader meets it: a real server, a real browser, a real model worker."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Download, Page, expect

from dashboard.security import HEADERS
from whycad.phantom import PhantomCase
from whycad.registry import discover
from whycad.testing.dicom import make_photo_dicom

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SLOW_MS = 300_000  # a worker that loads libraries and weights on a busy machine
SAMPLE = '[class*="st-key-sample-skin_lesion-"] button'
CANARY = "CANARY^NAME"


@pytest.fixture(scope="module")
def app_url(start_app: Callable[..., str]) -> str:
    return start_app("asgi.py")


@pytest.fixture(scope="module")
def simulated() -> PhantomCase:
    cases = discover().get("skin_lesion").phantom()
    return next(case for case in cases if case.label == "mel")


@pytest.fixture(scope="module")
def dicom(simulated: PhantomCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.rint(simulated.study.pixels * 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("upload") / f"{CANARY}.dcm"
    path.write_bytes(make_photo_dicom(pixels, PatientName=CANARY, PatientID="CANARY-ID"))
    return path


@pytest.fixture
def visit(app_url: str, browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Callable[[], Page]]:
    """Return ``visit() -> page``, each in a browser session of its own; errors in the console fail the test."""
    contexts = []
    problems: list[str] = []

    def opened() -> Page:
        context = browser.new_context(**browser_context_args)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW_MS)
        expect.set_options(timeout=SLOW_MS)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(_outside(request.url)))
        page.goto(app_url)
        page.get_by_test_id("stFileUploader").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _outside(url: str) -> list[str]:
    parts = urlparse(url)
    local = parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"
    return [] if local else [f"a request to {parts.hostname}"]


def upload(page: Page, *files: Path) -> None:
    page.locator('[data-testid="stFileUploader"] input[type="file"]').set_input_files([str(file) for file in files])


def open_sample(page: Page, index: int) -> None:
    page.locator(SAMPLE).nth(index).click()


def saved(page: Page, key: str) -> bytes:
    with page.expect_download() as waiting:
        page.locator(f".st-key-{key} button").click()
    download: Download = waiting.value
    return Path(download.path()).read_bytes()


def test_dicom_to_decision_maps_and_files(visit: Callable[[], Page], dicom: Path, simulated: PhantomCase) -> None:
    page = visit()
    upload(page, dicom)
    expect(page.locator(".st-key-answer h3")).to_have_text(re.compile(r"^[<>\d. ]+ %$"))
    expect(page.locator('[class*="st-key-card-re"]').first).to_be_visible()
    page.locator(".st-key-reader").get_by_text("Researcher").click()
    for method in ("gradcam", "ig", "occlusion", "lime"):
        page.get_by_test_id(f"viewer-method-{method}").wait_for()
    expect(page.locator(".st-key-job")).to_have_count(0)

    _map_moves_without_a_rerun(page)
    _click_gives_the_source_pixel(page, simulated)
    result = json.loads(saved(page, "download-json"))
    assert result["format"].startswith("whycad-result")
    assert {a["method"] for a in result["attributions"]} == {"gradcam", "ig", "occlusion", "lime"}
    assert CANARY not in json.dumps(result)
    report = saved(page, "download-html").decode()
    assert "<script" not in report
    assert CANARY not in report
    assert report.count("data:image/png;base64,") == 6, "the image, its outline and four maps"
    _maps_lie_over_the_lesion(saved(page, "download-png"), simulated)
    _label_changes_without_the_model(page)
    assert CANARY not in page.content()


def _map_moves_without_a_rerun(page: Page) -> None:
    canvas = page.get_by_test_id("viewer-canvas")
    page.get_by_test_id("viewer-method-lime").click()
    expect(page.get_by_test_id("viewer-method-lime")).to_have_attribute("aria-pressed", "true")
    strong = canvas.screenshot()
    slider = page.get_by_test_id("viewer-opacity")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert canvas.screenshot() != strong
    stage = page.get_by_test_id("viewer-stage")
    before = float(stage.get_attribute("data-zoom") or 0)
    page.get_by_test_id("viewer-zoom-in").click()
    page.wait_for_timeout(300)
    assert float(stage.get_attribute("data-zoom") or 0) > before
    page.get_by_test_id("viewer-reset").click()
    assert page.locator(".st-key-job").count() == 0


def _click_gives_the_source_pixel(page: Page, simulated: PhantomCase) -> None:
    page.get_by_test_id("viewer-tool-point").click()
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.55 * box["height"])
    said = page.get_by_text(re.compile(r"Pixel at row \d+, column \d+")).inner_text()
    row, column, *rgb = (int(number) for number in re.findall(r"\d+", said))
    expected = np.rint(simulated.study.pixels[row, column] * 255).astype(int).tolist()
    assert rgb == expected
    readout = page.get_by_test_id("viewer-readout").inner_text()
    assert str(row) in readout
    assert str(column) in readout


def _maps_lie_over_the_lesion(sheet: bytes, simulated: PhantomCase) -> None:
    picture = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"), int)
    height = picture.shape[0]
    width = round(height * simulated.mask.shape[1] / simulated.mask.shape[0])
    tiles = [picture[:, start : start + width] for start in range(0, picture.shape[1], width + 8)]
    mask = np.asarray(Image.fromarray(simulated.mask).resize((width, height)), bool)
    assert len(tiles) == 5
    changed = np.abs(tiles[1] - tiles[0]).sum(axis=2)
    assert changed[mask].sum() / changed.sum() > mask.mean(), "Grad-CAM lies over the lesion more than beside it"


def _label_changes_without_the_model(page: Page) -> None:
    chosen = page.locator('[class*="st-key-target-"] input').first
    chosen.scroll_into_view_if_needed()
    page.wait_for_timeout(800)  # the list closes when the page scrolls, and the browser tells of a scroll late
    chosen.click()
    page.get_by_role("option").filter(has_text="Vascular lesion").click(timeout=20_000)
    page.get_by_role("button", name="Explain for Vascular lesion").wait_for()
    assert page.locator(".st-key-job").count() == 0


def test_text_named_dcm_is_a_plain_message_and_the_session_goes_on(visit: Callable[[], Page], tmp_path: Path) -> None:
    fake = tmp_path / "notes.dcm"
    fake.write_text("This is a letter, not an image.\n" * 50, encoding="utf-8")
    page = visit()
    upload(page, fake)
    alert = page.get_by_test_id("stSidebar").get_by_test_id("stAlert")
    expect(alert).to_contain_text("File 1")
    assert "Traceback" not in page.content()
    open_sample(page, 0)
    page.get_by_test_id("viewer-canvas").wait_for()


def test_two_sessions_see_only_their_own_case(visit: Callable[[], Page]) -> None:
    first, second = visit(), visit()
    open_sample(first, 1)
    open_sample(second, 4)
    for page in (first, second):
        page.get_by_test_id("viewer-canvas").wait_for()
    titles = [page.locator(".st-key-case-head strong").inner_text() for page in (first, second)]
    assert titles[0] != titles[1]
    for page, own, other in ((first, *titles), (second, *titles[::-1])):
        page.get_by_text("Worklist (1)").wait_for()
        worklist = page.locator('[class*="st-key-show-"]').all_inner_texts()
        assert any(own[:10] in name for name in worklist)
        assert not any(other[:10] in name for name in worklist)


def test_running_job_is_cancelled(visit: Callable[[], Page]) -> None:
    page = visit()
    open_sample(page, 2)
    page.locator(".st-key-cancel-job button").click()
    page.get_by_text("Cancelled. What was finished before is kept.").wait_for()
    expect(page.locator(".st-key-job")).to_have_count(0)


def test_every_view_has_notice_and_alternative_text(visit: Callable[[], Page]) -> None:
    page = visit()
    page.locator(SAMPLE).first.wait_for()
    for title in ("Case", "Tasks & model cards", "About & limits"):
        page.get_by_role("link", name=title).click()
        page.get_by_text("Research and education only, not for clinical use").first.wait_for()
        page.locator("h2").first.wait_for()
        for image in page.locator("img").all():
            assert (image.get_attribute("alt") or "").strip(), image.get_attribute("src")


def test_answers_carry_security_headers(app_url: str) -> None:
    with urllib.request.urlopen(app_url) as answer:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value


def test_foreign_host_is_refused(app_url: str) -> None:
    request = urllib.request.Request(f"{app_url}/_stcore/host-config", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    assert refused.value.code in (400, 403)
