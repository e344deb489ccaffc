"""The panel for everybody: no serious finding of axe in any view, all actions by keyboard, small screens."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.panel_fakes import all_shapes, publish_version

PARTS = ("images", "parameters", "model", "inference", "versions")


@pytest.fixture
def filled(services, label_studio):
    """A project with annotations, predictions and two versions."""
    publish_version(services, "v1", metrics={"box_map50": 0.5})
    publish_version(services, "v2")
    label_studio.create_annotation(1, all_shapes())
    label_studio.import_predictions(
        7, [{"task": 1, "result": all_shapes(), "score": 0.6, "model_version": "v2"}]
    )


def serious_findings(page):
    findings = Axe().run(page).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:160]}"
        for finding in findings
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding_in_any_view(open_page, address, filled, width, scheme):
    page = open_page(f"{address}/panel", viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.wait_for_selector(".tile[aria-selected=true]")
    expect(page.locator("#model-status")).to_have_text("Trained ✓", timeout=15_000)
    page.locator("#regions-box summary").click()
    found = {"main": serious_findings(page)}
    page.get_by_role("button", name="ML Training Settings").click()
    for part in PARTS:
        page.locator(f"#tab-{part}").click()
        expect(page.locator(f"#part-{part}")).to_be_visible()
        page.wait_for_timeout(300)
        found[part] = serious_findings(page)
    page.keyboard.press("Escape")
    page.locator("#open-check").click()
    expect(page.locator("#check .check-item").first).to_be_visible(timeout=15_000)
    found["check"] = serious_findings(page)
    assert {view: items for view, items in found.items() if items} == {}


@pytest.mark.parametrize("width", [360, 768, 1440, 2560])
def test_no_width_needs_sideways_scrolling(open_page, address, filled, width):
    page = open_page(f"{address}/panel", viewport={"width": width, "height": 800})
    page.wait_for_selector(".tile[aria-selected=true]")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_everything_comes_from_the_service_itself(open_page, address, filled):
    page = open_page("about:blank")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"{address}/panel")
    page.wait_for_selector(".tile[aria-selected=true]")
    page.get_by_role("button", name="ML Training Settings").click()
    expect(page.locator(".image-line").first).to_be_visible()
    assert [url for url in fetched if not url.startswith((f"{address}/", "blob:", "data:"))] == []


def test_light_and_dark_are_switched_and_remembered(open_page, address, filled):
    page = open_page(f"{address}/panel", color_scheme="light")
    page.wait_for_selector(".tile[aria-selected=true]")

    def background():
        return page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor")

    light = background()
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = background()
    assert dark != light
    page.reload()
    assert background() == dark


def test_every_control_has_a_name_and_says_what_it_does(open_page, address, filled):
    page = open_page(f"{address}/panel")
    page.wait_for_selector(".tile[aria-selected=true]")
    silent = page.evaluate(
        """() => [...document.querySelectorAll(":is(main, header) :is(button, input, select)")]
            .filter((control) => !control.closest(".job") && !control.getAttribute("aria-description"))
            .map((control) => control.id || control.outerHTML)"""
    )
    assert silent == []
    page.locator("#predict-all").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#tooltip")).to_be_visible()
    expect(page.locator("#tooltip")).to_contain_text("in the background")


def test_a_run_by_keyboard_alone(open_page, address, services, label_studio, filled):
    page = open_page(f"{address}/panel")
    page.wait_for_selector(".tile[aria-selected=true]")
    expect(page.locator("#model-status")).to_have_text("Trained ✓", timeout=15_000)

    def tab_to(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached by the Tab key")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    order = ["#project-switch", "#open-check", "#theme", "#train", "#open-settings", "#predict-current"]
    for selector in order:
        tab_to(selector)
    tab_to("#strip")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#task-name")).to_have_text("slide_00002.png")
    page.locator("#project-switch").focus()
    tab_to("#predict-current")
    page.keyboard.press("Enter")
    expect(page.locator("#accept-note")).to_have_text("2 regions to accept.", timeout=15_000)
    tab_to("#threshold")
    page.keyboard.press("End")
    expect(page.locator("#accept-note")).to_have_text("0 regions to accept.")
    page.keyboard.press("Home")
    page.locator("#predict-current").focus()
    tab_to("#accept")
    page.keyboard.press("Enter")
    expect(page.locator(".toast", has_text="2 regions accepted")).to_be_visible(timeout=15_000)
    assert len(label_studio.annotations(2)) == 1
    page.locator("#train").focus()
    tab_to("#open-settings")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Training Images")).to_be_visible()
    tab_to("#tab-images")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Epochs")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#settings")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "open-settings"
