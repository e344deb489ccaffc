"""What the panel's *Progress* shows: the learning curve, the ledger and the way to the report."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from backend.core.labelstudio.own_writes import SECOND_LOOK, noted
from tests.browser.test_panel_access import serious_findings
from tests.panel_fakes import KEY, all_shapes, publish_version
from tests.web.panel.test_reports import EVALUATION

DAYS = ("2026-01-05", "2026-01-06", "2026-01-08")


@pytest.fixture
def progressed(services, label_studio):
    """Three versions, the newest with a report, and annotations of three days that began with predictions."""
    for number, images in enumerate((20, 40, 80)):
        publish_version(
            services,
            f"v{number}",
            training_images=images,
            metrics={"box_map50": 0.5 + number / 10},
            evaluation=EVALUATION.as_json(),
            created_at=1000.0 + number,
        )
    for task_id, day in enumerate(DAYS, start=1):
        label_studio.import_predictions(
            7, [{"task": task_id, "result": all_shapes(), "score": 0.6, "model_version": "v2"}]
        )
        result = [{**one, "origin": "prediction"} for one in all_shapes()][task_id:]
        label_studio.create_annotation(
            task_id,
            result,
            parent_prediction=label_studio.predictions(task_id)[-1]["id"],
            updated_at=f"{day}T12:00:00Z",
        )
    services.backend.ledger.count(KEY)


@pytest.fixture
def open_progress(open_page, address, progressed):
    def open_progress(**options):
        page = open_page(f"{address}/panel", **options)
        expect(page.locator("#learning-curve svg")).to_be_visible(timeout=15_000)
        expect(page.locator("#acts tbody tr").first).to_be_visible()
        return page

    return open_progress


def test_the_ledger_shows_hours_acts_and_a_bar_for_each_day(open_progress):
    page = open_progress()
    saved = page.locator("#hours-saved").inner_text()
    chart = page.locator("#ledger").get_by_role("img")
    expect(chart).to_have_attribute("aria-label", f"Saved by day: {saved} in 4 days")
    assert chart.locator("rect").count() == 4
    acts = page.locator("#acts thead th").all_inner_texts()
    assert [one.lower() for one in acts] == ["label", "kept", "moved", "relabelled", "deleted", "added"]
    deleted = acts.index(next(one for one in acts if one.lower() == "deleted"))
    cells = page.locator(f"#acts tbody tr :nth-child({deleted + 1})").all_inner_texts()
    assert sum(int(one) for one in cells) == 1 + 2 + 3


def test_what_was_accepted_and_what_was_repaired_stand_apart(open_progress, services, label_studio):
    label_studio.create_annotation(4, noted(all_shapes(), "accepted-1f"))
    label_studio.create_annotation(5, [*all_shapes()[1:], *noted(all_shapes()[:1], SECOND_LOOK)])
    services.backend.ledger.count(KEY)
    page = open_progress()
    expect(page.locator("#accepted-regions")).to_contain_text("4 regions accepted by precision")
    expect(page.locator("#repaired-regions")).to_contain_text("1 region added by the second look")
    widths = [page.locator(one).bounding_box()["width"] for one in ("#acts", "#progress-card")]
    assert widths[0] <= widths[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding_in_progress_and_nothing_is_cut_off(open_progress, scheme):
    page = open_progress(color_scheme=scheme)
    assert serious_findings(page) == []
    wider = page.locator("#progress-card").evaluate(
        """card => [card, ...card.querySelectorAll('*')]
            .filter(one => one.scrollWidth > one.clientWidth + 1 && !one.matches('.clip, svg, svg *'))
            .filter(one => one.clientWidth > 0).map(one => one.outerHTML.slice(0, 120))"""
    )
    assert wider == []


def test_the_report_opens_by_keyboard_alone_and_has_no_serious_finding(open_progress):
    page = open_progress(color_scheme="dark")
    page.get_by_role("button", name="ML Training Settings").focus()
    page.keyboard.press("Enter")
    page.locator("#tab-images").focus()
    for _ in range(8):
        if page.locator("#tab-versions").get_attribute("aria-selected") == "true":
            break
        page.keyboard.press("ArrowRight")
    report = page.get_by_role("link", name="Report").first
    for _ in range(40):
        if report.evaluate("link => link === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(report).to_be_focused()
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    shown = opened.value
    shown.errors = []  # what `open_page` looks at when the test ends
    expect(shown.get_by_role("heading", level=1)).to_contain_text("v2")
    assert serious_findings(shown) == []
