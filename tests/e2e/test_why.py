"""The Why tab in a real browser: argument, known cases, grades, comparison, changes of the image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SLOW_MS = 300_000
SAMPLE = '[class*="st-key-sample-skin_lesion-"] button'
MELANOMA = 1


@pytest.fixture(scope="module")
def app_url(start_app: Callable[..., str]) -> str:
    return start_app("asgi.py")


@pytest.fixture(scope="module")
def case(app_url: str, browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    """A simulated melanoma with all of its maps; errors in the console fail the module."""
    context = browser.new_context(**browser_context_args)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    page.goto(app_url)
    page.locator(SAMPLE).nth(MELANOMA).click()
    page.locator(".st-key-answer h3").wait_for()
    page.get_by_test_id("viewer-method-lime").wait_for()
    page.locator(".st-key-job").wait_for(state="detached")
    yield page
    context.close()
    assert problems == []


def settled(page: Page) -> Page:
    """Wait until the page is drawn: while it is redrawn, old and new elements stand side by side."""
    page.wait_for_timeout(300)
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.wait_for_timeout(300)
    return page


def test_argument_with_outline_and_known_cases(case: Page) -> None:
    argument = case.locator(".st-key-argument")
    expect(argument).to_contain_text("Line of argument for")
    expect(argument.locator('[class*="st-key-finding-"]').first).to_be_visible()
    expect(argument).to_contain_text(re.compile(r"\d+ %"))
    case.get_by_test_id("viewer-outline-toggle").wait_for()
    similar = case.locator(".st-key-similar")
    expect(similar.locator("img").first).to_be_visible()
    expect(similar).to_contain_text("simulated stand-ins")


def test_every_shown_map_is_graded_with_reasons_one_click_away(case: Page) -> None:
    rows = case.locator('.st-key-grades [class*="st-key-grade-"]')
    assert rows.count() == 2, "clinicians get one gradient map and LIME"
    for number in range(rows.count()):
        expect(rows.nth(number)).to_contain_text(re.compile(r"^(A|B|C|fails)"))
    rows.first.get_by_role("button", name="Reasons").click()
    popover = case.get_by_test_id("stPopoverBody")
    expect(popover).to_contain_text("Figures:")
    expect(popover.locator("li").first).to_be_visible()
    case.keyboard.press("Escape")
    chips = case.get_by_test_id("viewer-methods")
    expect(chips.locator(".wc-grade").first).to_be_visible()


def test_two_maps_side_by_side_look_at_the_same_place(case: Page) -> None:
    case.get_by_text("Compare", exact=True).click()
    stages = case.get_by_test_id("viewer-stage")
    expect(stages).to_have_count(2)
    expect(case.locator('[data-testid="viewer-frame"][aria-busy="false"]')).to_have_count(2)
    chosen = case.locator('[data-testid^="viewer-method-"][aria-pressed="true"]')
    expect(chosen).to_have_count(2)
    assert chosen.nth(0).inner_text() != chosen.nth(1).inner_text()
    case.get_by_test_id("viewer-zoom-in").first.click()
    expect(stages.nth(1)).to_have_attribute("data-zoom", "125")
    case.get_by_test_id("viewer-zoom-in").nth(1).click()
    expect(stages.nth(0)).to_have_attribute("data-zoom", "156")
    case.get_by_test_id("viewer-reset").first.click()
    expect(stages.nth(1)).to_have_attribute("data-zoom", "100")
    case.get_by_text("Compare", exact=True).click()
    expect(stages).to_have_count(1)


def test_where_the_members_differ_is_a_map(case: Page) -> None:
    chip = case.locator('[data-testid$="-differs"]')
    expect(chip).to_have_count(1)
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")


def test_researchers_see_all_methods_and_can_add_one(case: Page) -> None:
    case.locator(".st-key-reader").get_by_text("Researcher").click()
    for method in ("gradcam", "ig", "occlusion", "lime"):
        case.get_by_test_id(f"viewer-method-{method}").wait_for()
    expect(case.locator(".st-key-grades")).to_contain_text("Seed 0")
    case.locator(".st-key-more-methods input").click()
    case.keyboard.type("Input x gradient")
    case.keyboard.press("Enter")
    case.keyboard.press("Escape")
    case.locator(".st-key-make-maps button").click()
    case.get_by_test_id("viewer-method-input_x_gradient").wait_for()
    case.locator(".st-key-job").wait_for(state="detached")
    case.locator(".st-key-reader").get_by_text("Clinician").click()
    expect(case.get_by_test_id("viewer-method-occlusion")).to_have_count(0)


def test_a_boxed_part_is_taken_away_and_the_model_asked_again(case: Page) -> None:
    button = settled(case).locator(".st-key-what-if-region").get_by_role("button")
    expect(button).to_be_disabled()
    case.get_by_test_id("viewer-tool-box").click()
    box = case.get_by_test_id("viewer-stage").bounding_box()
    assert box is not None
    case.mouse.move(box["x"] + 0.40 * box["width"], box["y"] + 0.45 * box["height"])
    case.mouse.down()
    case.mouse.move(box["x"] + 0.50 * box["width"], box["y"] + 0.55 * box["height"], steps=5)
    case.mouse.up()
    settled(case)
    expect(button).to_be_enabled()
    button.click()
    case.locator(".st-key-change-0 img").nth(1).wait_for()
    change = settled(case).locator(".st-key-change-0")
    expect(change).to_contain_text("marked region")
    expect(change).to_contain_text(re.compile(r"\d %.* before, .*\d %.* after"))
    expect(change).to_contain_text("A sham of equal size elsewhere")
    expect(change.locator("img")).to_have_count(2)


@pytest.mark.parametrize(("kind", "said"), [("artefact", ""), ("fragility", "of the range"), ("counterfactual", "")])
def test_the_model_is_tried_on_demand(case: Page, kind: str, said: str) -> None:
    before = case.locator('.st-key-what-if [class*="st-key-change-"]').count()
    button = settled(case).locator(f".st-key-what-if-{kind}").get_by_role("button")
    expect(button).to_be_enabled()
    button.click()
    case.locator(".st-key-what-if-job").first.wait_for()
    case.locator(".st-key-what-if-job").wait_for(state="detached")
    settled(case)
    after = case.locator('.st-key-what-if [class*="st-key-change-"]').count()
    nothing = case.locator(".st-key-what-if").get_by_text("Nothing of the kind was found").count()
    assert after > before or nothing == 1
    expect(case.locator(".st-key-what-if")).to_contain_text(said)
