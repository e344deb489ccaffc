"""The switch of the order that Label Studio hands tasks out in, by mouse and keyboard, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from backend.errors import LabelStudioError
from tests.browser.conftest import serve
from tests.panel_fakes import KEY
from tests.ranked import RankedProject

SEQUENTIAL, UNCERTAINTY = "Sequential sampling", "Uncertainty sampling"


@pytest.fixture
def ranked(tmp_path):
    return RankedProject(tmp_path)


@pytest.fixture
def page(open_page, ranked):
    with serve(ranked.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        expect(switch_of(page)).to_be_enabled()
        yield page


def switch_of(page):
    return page.get_by_role("checkbox", name="Label Studio hands out the most useful pictures first")


def last_job(ranked):
    return list(ranked.services.queue.jobs)[-1]


def test_switched_on_and_off_by_keyboard_label_studio_follows(page, ranked):
    switch, note = switch_of(page), page.locator("#label-next-note")
    expect(switch).not_to_be_checked()
    expect(note).to_contain_text("a tab “Label next”")
    switch.focus()
    page.keyboard.press("Space")
    expect(note).to_have_text("The order is worked out: waiting for a worker.")
    expect(switch).to_be_focused()
    assert ranked.label_studio.sampling == UNCERTAINTY
    assert [view["title"] for view in ranked.label_studio.views.values()] == ["Label next"]
    ranked.rank(last_job(ranked))
    expect(note).to_contain_text("a tab “Label next”", timeout=15_000)
    page.reload()
    expect(switch).to_be_checked()
    switch.click()
    expect(note).to_contain_text("waiting for a worker")
    assert (ranked.label_studio.sampling, ranked.label_studio.views) == (SEQUENTIAL, {})


def test_the_strip_follows_the_order_once_it_is_worked_out(page, ranked):
    page.get_by_label("Sort").select_option("usefulness")
    switch_of(page).check()
    expect(page.locator("#label-next-note")).to_contain_text("waiting for a worker")
    ranked.rank(last_job(ranked))
    first = ranked.order()[0]
    expect(page.locator("#tile-0")).to_have_attribute(
        "title", f"{first}.png (task {first}): {ranked.why(first)}"
    )


def test_a_refusal_is_said_and_the_switch_stays_as_it_was(page, ranked, monkeypatch):
    def refuse(*_):
        raise LabelStudioError("http://ls does not answer")

    monkeypatch.setattr(ranked.label_studio, "create_view", refuse)
    switch_of(page).click()
    expect(page.locator(".toast[data-kind=bad]")).to_contain_text("http://ls does not answer")
    expect(switch_of(page)).not_to_be_checked()
    expect(switch_of(page)).to_be_enabled()
    assert ranked.label_studio.sampling == SEQUENTIAL


def test_the_score_that_a_script_chose_stays(page, ranked):
    ranked.desk.switch.turn(KEY, is_on=True, score="quality")
    page.reload()
    expect(switch_of(page)).to_be_checked()
    switch_of(page).click()
    expect(switch_of(page)).not_to_be_checked()
    expect(page.locator("#label-next-note")).to_contain_text("waiting for a worker")
    assert ranked.listed()["score"] == "quality"
