"""Make ``docs/screenshots``: every view, light and dark, 1280 and 1920 pixels wide.

Run it with ``make screenshots``. It starts the app, opens a simulated case and waits for all maps.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from whycad.registry import discover

REPO = Path(__file__).resolve().parents[1]
OUT = REPO / "docs" / "screenshots"
SIZES = ((1280, 900), (1920, 1080))
SAMPLE = 1
SLOW_MS = 600_000
TABS = {"sure": "How sure", "checks": "Checks"}
FIRST_TASK = "skin_lesion"
AUDITED_TASK = "liver_fibrosis"
AUDIT_PAGES = {"performance": "Performance", "calibration": "Calibration", "robustness": "Robustness"}
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]

Theme = Literal["light", "dark"]


@contextmanager
def audited() -> Iterator[Path]:
    """Audit a task on its simulated samples; a folder with that run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "whycad", "audit", "--task", AUDITED_TASK, "--dataset", "simulated-samples"]
        environment = {**os.environ, "WHYCAD_LEDGER": f"{folder}/ledger.jsonl"}
        subprocess.run(  # noqa: S603  # our own command
            [*command, "--out", f"{folder}/audits/sample"], cwd=REPO, env=environment, check=True
        )
        yield Path(folder) / "audits"


@contextmanager
def app(audits: Path) -> Iterator[str]:
    """Start the app on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "asgi.py", f"--server.port={port}"]
    # Real cases are left out: pictures of patients do not go into the documentation.
    environment = {name: value for name, value in os.environ.items() if name != "WHYCAD_DATA"}
    environment["WHYCAD_AUDITS"] = str(audits)
    process = subprocess.Popen(  # noqa: S603  # our own command
        [*command, "--server.fileWatcherType=none"], cwd=REPO, env=environment
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(f"{url}/_stcore/health")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _await(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # a fixed local address
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def shoot(page: Page, name: str, theme: Theme) -> None:
    """Take one view at every size."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(1500)
        path = OUT / f"{name}-{theme}-{width}.png"
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        # Few colours would show as steps in the maps.
        small = picture if name.startswith("case") else picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
        small.save(path, optimize=True)
        print(path.relative_to(REPO), flush=True)  # noqa: T201  # progress of a command


def shoot_all(browser: Browser, url: str, theme: Theme) -> None:
    """Walk through the app in one theme."""
    page = browser.new_page(color_scheme=theme, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SLOW_MS)
    page.goto(url)
    samples = page.locator(f'[class*="st-key-sample-{FIRST_TASK}-"] button')
    samples.first.wait_for()
    shoot(page, "welcome", theme)
    samples.nth(SAMPLE).click()
    _await_case(page)
    shoot(page, "case", theme)
    _shoot_why(page, theme)
    for name, title in TABS.items():
        page.get_by_role("tab", name=title).click()
        page.get_by_role("tab", name=title).evaluate("tab => tab.scrollIntoView({block: 'center'})")
        shoot(page, f"case-{name}", theme)
    for task in other_tasks():
        _open_sample(page, task)
        shoot(page, f"case-{task}", theme)
    _shoot_audit(page, theme)
    for name, title in (("tasks", "Tasks & model cards"), ("about", "About & limits")):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.get_by_role("link", name=title).click()
        page.locator("h2", has_text=title).wait_for()
        shoot(page, name, theme)
    page.close()


def _shoot_why(page: Page, theme: Theme) -> None:
    """Show the Why tab, the researcher's view of it, a compared pair, and a part taken away."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator(".st-key-argument").evaluate("card => card.scrollIntoView({block: 'start'})")
    shoot(page, "case-why", theme)
    page.set_viewport_size({"width": 1280, "height": 900})
    _mark_and_take_away(page)
    page.locator(".st-key-what-if").evaluate("card => card.scrollIntoView({block: 'center'})")
    shoot(page, "case-what-if", theme)
    page.locator(".st-key-reader").get_by_text("Researcher").click()
    page.get_by_test_id("viewer-method-occlusion").wait_for()
    page.locator(".st-key-grades").evaluate("card => card.scrollIntoView({block: 'center'})")
    shoot(page, "case-researcher", theme)
    page.locator(".st-key-reader").get_by_text("Clinician").click()
    page.get_by_text("Compare", exact=True).click()
    page.locator('[data-testid="viewer-frame"][aria-busy="false"]').nth(1).wait_for()
    shoot(page, "case-compare", theme)
    page.get_by_text("Compare", exact=True).click()


def _shoot_audit(page: Page, theme: Theme) -> None:
    """Show the verdict of an audit, and the pages of some checks."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Audit").click()
    page.locator(".st-key-verdict").wait_for()
    shoot(page, "audit", theme)
    for name, area in AUDIT_PAGES.items():
        page.set_viewport_size({"width": 1280, "height": 900})
        more = page.locator(".st-key-verdict-all").get_by_role("button")
        if more.count():
            more.click()
        line = page.locator('.st-key-verdict [class*="st-key-line-"]').filter(has_text=area).first
        line.locator('[class*="st-key-open-"]').get_by_role("button").click()
        page.locator(".st-key-to-verdict").wait_for()
        shoot(page, f"audit-{name}", theme)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.locator(".st-key-to-verdict").get_by_role("button").click()
        page.locator(".st-key-verdict").wait_for()


def _mark_and_take_away(page: Page) -> None:
    page.get_by_test_id("viewer-tool-box").click()
    box = page.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None, "the viewer is on the page"
    page.mouse.move(box["x"] + 0.42 * box["width"], box["y"] + 0.42 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.54 * box["width"], box["y"] + 0.56 * box["height"], steps=5)
    page.mouse.up()
    page.locator(".st-key-what-if-region").get_by_role("button", disabled=False).click()
    page.locator(".st-key-change-0 img").nth(1).wait_for()
    page.get_by_test_id("viewer-tool-pan").click()


def other_tasks() -> list[str]:
    """Return the other tasks that are ready and have samples."""
    ready = (entry for entry in discover().entries if entry.status == "ready" and entry.manifest is not None)
    return [e.id for e in ready if e.id != FIRST_TASK and e.manifest is not None and e.manifest.code.phantom]


def _open_sample(page: Page, task: str) -> None:
    """Open a task's group of samples and one of them; its own region or the strip does the rest."""
    page.set_viewport_size({"width": 1280, "height": 900})
    tiles = page.locator(f'[class*="st-key-sample-{task}-"] button')
    if not tiles.count():
        page.locator(f".st-key-samples-{task} summary").click()
    before = page.locator(".st-key-case-head strong").inner_text()
    tiles.nth(SAMPLE).click()
    page.locator(".st-key-case-head strong").filter(has_not_text=before).wait_for()
    _await_case(page)


def _await_case(page: Page) -> None:
    """Wait for the answer and for every map that comes by itself."""
    page.locator('[class*="st-key-card-re"]').first.wait_for()
    page.locator('[data-testid="viewer-frame"][aria-busy="false"]').wait_for()
    page.locator(".st-key-job").wait_for(state="detached")


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__)
    parser.add_argument("--url", default="", help="of an app that runs already")
    parser.add_argument("--theme", choices=("light", "dark"), help="only this one")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("WHYCAD_CHROMIUM") or shutil.which("chromium")
    themes: tuple[Theme, ...] = (args.theme,) if args.theme else ("light", "dark")
    with audited() as audits, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for theme in themes:
            if args.url:
                shoot_all(browser, args.url, theme)
            else:
                with app(audits) as url:
                    shoot_all(browser, url, theme)
        browser.close()


if __name__ == "__main__":
    main()
