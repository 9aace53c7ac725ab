"""The Audit view in a real browser: verdict, plot, case and back; a run started, stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from whycad.audit.run.record import RunRecord, write_record
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.testing.sample_audit import drawn_lesion, write_sample_audit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SLOW_MS = 300_000  # libraries and the chart code are loaded on a busy machine
TASK = "tiny"
PHANTOM = '''
"""Seeded blobs."""

import numpy as np

from whycad.phantom import PhantomCase
from whycad.testing.plugins import make_study


def sample_cases():
    """Make six samples, half of them said to have a ruler."""
    return [
        PhantomCase(
            make_study(seed=n), np.zeros((48, 60), bool), "abc"[n % 3], f"Blob {n}", "A blob.", ("ruler",) * (n % 2)
        )
        for n in range(6)
    ]
'''


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny task, a pack of drawn lesions, and a finished audit of it."""
    root = tmp_path_factory.mktemp("audits")
    write_plugin(root / "plugins", TinyPlugin(files={"phantom.py": PHANTOM}, code='phantom = "phantom:sample_cases"'))
    (root / "data").mkdir()
    pack = root / "data" / "lesions.npz"
    n = 150
    np.savez(
        pack,
        images=np.stack([np.asarray(drawn_lesion(i)) for i in range(n)]),
        image_id=np.array([f"case-{i:04d}" for i in range(n)]),
        label=np.array(["abc"[i % 3] for i in range(n)]),
    )
    write_sample_audit(root / "audits" / "sample")
    write_record(RunRecord(dataset=pack, task=TASK), root / "audits" / "sample")
    return root


@pytest.fixture(scope="module")
def app_url(start_app: Callable[..., str], folders: Path) -> str:
    names = {"WHYCAD_AUDITS": "audits", "WHYCAD_PLUGINS": "plugins", "WHYCAD_AUDIT_DATA": "data"}
    return start_app("asgi.py", env={name: str(folders / folder) for name, folder in names.items()})


@pytest.fixture
def audit(app_url: str, browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    """The Audit view; errors in the console fail the test."""
    context = browser.new_context(**browser_context_args)
    page = context.new_page()
    problems: list[str] = []
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    page.goto(app_url)
    page.get_by_test_id("stFileUploader").wait_for()
    settled(page).get_by_role("link", name="Audit").click()  # links are drawn anew while the first page loads
    try:
        page.locator(".st-key-audit-bar").wait_for()
    except TimeoutError:
        pytest.fail(f"no Audit view at {page.url}; the page says:\n{page.inner_text('body')[:1500]}")
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield settled(page)
    context.close()
    # A page that is not the first one is looked for at an address of its own first when it is loaded again.
    assert [problem for problem in problems if "404" not in problem] == []


def settled(page: Page) -> Page:
    """Wait until the page is drawn: while it is redrawn, old and new elements stand side by side."""
    page.wait_for_timeout(250)
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.wait_for_timeout(250)
    return page


def test_from_the_verdict_to_a_plot_to_a_case_and_back(audit: Page) -> None:
    expect(audit.locator(".st-key-count-critical")).to_contain_text("3")
    expect(audit.locator(".st-key-line-0 img")).to_have_attribute(
        "alt", "change in probability −0.19 (−0.24 to −0.14), no effect is 0"
    )
    assert json.loads(saved(audit, "JSON"))["schema_version"] == 1
    assert b"<script" not in saved(audit, "Report")
    settled(audit).get_by_role("button", name="Sensitivity for melanoma under 40 years").click()
    behind = audit.locator(".st-key-cases-behind")
    expect(behind).to_contain_text("Cases behind “age_years”")
    _click_a_mark(audit, "40 to 59 years")
    expect(behind).to_contain_text("Cases behind “40 to 59 years”")
    behind.get_by_role("button", name="case-0011").click()
    audit.get_by_test_id("viewer-canvas").wait_for()
    expect(audit.locator(".st-key-case-head")).to_contain_text("Case case-0011")
    settled(audit).locator(".st-key-back-to-audit").get_by_role("button").click()
    expect(audit.locator("h3").first).to_have_text("Subgroups")
    expect(audit.locator(".st-key-cases-behind")).to_contain_text("Cases behind “40 to 59 years”")
    assert "check=subgroup" in audit.url
    settled(audit).locator(".st-key-to-verdict").get_by_role("button").click()
    audit.locator(".st-key-verdict").wait_for()


def _click_a_mark(page: Page, name: str) -> None:
    chart = settled(page).locator(".st-key-card-audit-chart-subgroup-gaps")
    expect(chart.locator(".ytick text").filter(has_text=name)).to_be_visible()
    chart.locator(".scatterlayer .points path.point").nth(1).hover(force=True)
    box = chart.locator(".scatterlayer .points path.point").nth(1).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as waiting:
        page.locator(".st-key-audit-files").get_by_role("button", name=name).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_run_is_started_stopped_and_gone_on_with(audit: Page, folders: Path) -> None:
    audit.locator(".st-key-new-audit").get_by_role("button").click()
    audit.locator(".st-key-start-task").get_by_role("combobox").click()
    audit.get_by_role("option", name="Tiny test task").click()
    checks = settled(audit).locator(".st-key-start-checks-True")
    checks.get_by_label("Clear all").click()
    checks.get_by_role("combobox").fill("missing metadata")
    audit.get_by_role("option", name="missing metadata").click()
    audit.keyboard.press("Escape")
    settled(audit).locator(".st-key-start-run").get_by_role("button").click()
    state = audit.locator(".st-key-run-state")
    audit.locator(".st-key-stop-run").get_by_role("button").click()
    expect(state).to_contain_text("This run was stopped")
    audit.reload()  # what runs is known by its files, not by the session
    expect(audit.locator(".st-key-run-state")).to_contain_text("This run was stopped")
    settled(audit).locator(".st-key-resume-run").get_by_role("button").click()
    expect(audit.locator(".st-key-verdict")).to_contain_text("1 column is complete enough (ruler)")
    expect(audit.locator("h2")).to_contain_text("Tiny test task 0.1.0 on tiny-simulated-samples")
    pdf = next(iter(folder / "report.pdf" for folder in (folders / "audits").iterdir() if TASK in folder.name))
    if pdf.is_file():  # where the machine has what makes one
        assert saved(settled(audit), "PDF").startswith(b"%PDF")
    else:
        expect(audit.locator(".st-key-audit-files").get_by_role("button", name="PDF")).to_be_disabled()
