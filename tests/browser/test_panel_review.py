"""The second look and accepting by precision, by mouse and keyboard, in a real browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.accepted import AcceptanceProject
from tests.browser.conftest import serve
from tests.looked_at import LookedProject, sound_result
from tests.panel_fakes import KEY


@pytest.fixture
def looked(tmp_path):
    project = LookedProject(tmp_path)
    project.look_as_before()
    return project


@pytest.fixture
def look_page(open_page, looked):
    with serve(looked.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Second look", exact=True).click()
        page.wait_for_selector(".finding")
        yield page


def finding(page, looked, task_id):
    return page.locator(f"[data-finding='{looked.finding_of(task_id)['finding_id']}']")


def test_a_finding_is_drawn_twice_taken_and_taken_back(look_page, looked):
    line = finding(look_page, looked, 2)
    expect(line).to_contain_text("An object has another label")
    expect(line.get_by_role("img")).to_have_count(2)
    painted = line.locator("canvas").first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(v => v)"
    )
    assert painted
    before = looked.result_of(2)
    line.get_by_role("button", name="Take the proposal").click()
    expect(line).to_contain_text("Taken")
    assert looked.result_of(2) == sound_result(2)
    expect(line.get_by_role("button", name="Undo")).to_be_focused()
    look_page.keyboard.press("Enter")
    expect(line.get_by_role("button", name="Take the proposal")).to_be_visible()
    assert looked.result_of(2) == before
    assert "task=2" in line.get_by_role("link", name="Open in Label Studio").get_attribute("href")


def test_what_changed_meanwhile_is_said_and_left_alone(look_page, looked):
    looked.label_studio.update_annotation(looked.annotation_of[2], [])
    line = finding(look_page, looked, 2)
    line.get_by_role("button", name="Take the proposal").click()
    expect(line.get_by_role("alert")).to_contain_text("changed since the second look")


def test_a_dismissed_finding_goes_to_the_others(look_page, looked):
    line = finding(look_page, looked, 3)
    finding_id = line.get_attribute("data-finding")
    line.get_by_role("button", name="Dismiss").click()
    expect(line).to_contain_text("Dismissed")
    look_page.get_by_label("State").select_option("dismissed")
    expect(look_page.locator(".finding")).to_have_count(1)
    assert look_page.locator(".finding").get_attribute("data-finding") == finding_id


def test_showing_more_passes_over_nothing_that_was_not_dismissed(open_page, looked):
    look = looked.desk.kept.look(KEY)
    many = tuple(replace(look.findings[0], finding_id=f"f{number:02}") for number in range(30))
    looked.desk.kept.keep(KEY, replace(look, findings=many))
    with serve(looked.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Second look", exact=True).click()
        lines = page.locator(".finding")
        expect(lines).to_have_count(12)
        for number in range(3):
            lines.nth(number).get_by_role("button", name="Dismiss").click()
            expect(lines.nth(number)).to_contain_text("Dismissed")
        more = page.get_by_role("button", name="Show more")
        more.click()
        expect(lines).to_have_count(24)
        more.click()
        expect(lines).to_have_count(30)
        expect(more).to_be_hidden()
        names = lines.evaluate_all("items => items.map((item) => item.dataset.finding)")
        assert names == [one.finding_id for one in many]


def test_the_keyboard_stays_on_the_button_while_numbers_change_around_it(open_page, tmp_path):
    project = AcceptanceProject(tmp_path)
    with serve(project.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Accept by precision").click()
        page.get_by_role("button", name="Count", exact=True).focus()
        page.keyboard.press("Enter")
        stop = page.locator("#acceptance").get_by_role("button", name="Stop")
        expect(stop).to_be_focused()
        for _ in range(2):
            with page.expect_response("**/acceptance?*"):
                pass
        expect(stop).to_be_focused()
        page.keyboard.press("Enter")
        expect(stop).to_be_hidden()


COUNT_CHANGES = """element => {
  window.changes = [];
  new MutationObserver((found) => window.changes.push(...found.map(() => element.textContent)))
    .observe(element, { childList: true, characterData: true, subtree: true });
}"""


@pytest.mark.parametrize("is_moving", [False, True], ids=["waiting", "numbers that change"])
def test_what_is_read_aloud_changes_with_its_words_only(open_page, tmp_path, is_moving):
    project = AcceptanceProject(tmp_path)
    queue = project.services.queue
    with serve(project.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Accept by precision").click()
        page.get_by_role("button", name="Count", exact=True).click()
        dialog = page.locator("#acceptance")
        expect(dialog.get_by_role("status").filter(has_text="In progress")).to_have_count(1)
        stop = dialog.get_by_role("button", name="Stop")
        stop.evaluate("element => { window.stopButton = element; }")
        live = dialog.locator("[aria-live], p[role=status]")
        expect(live).to_have_count(1)
        live.evaluate(COUNT_CHANGES)
        (job_id,) = queue.jobs
        for number in range(3):
            if is_moving:
                queue.update(job_id, progress={"done": number, "total": 3})
            with page.expect_response("**/acceptance?*"):
                pass
        assert page.evaluate("window.changes") == []
        assert page.evaluate("window.stopButton.isConnected") is not is_moving
        project.run(job_id)
        expect(live).to_contain_text("can be accepted whole", timeout=15_000)


def test_a_second_look_says_each_step_once(open_page, tmp_path):
    project = LookedProject(tmp_path)
    queue = project.services.queue
    with serve(project.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Second look", exact=True).click()
        page.get_by_role("button", name="Look at unseen images").click()
        said = page.locator("#second-look p.visually-hidden[role=status]")
        expect(said).to_have_text("Waiting for a worker")
        said.evaluate(COUNT_CHANGES)
        (job_id,) = queue.jobs
        queue.start(job_id)
        for number in range(3):
            queue.update(job_id, progress={"step": "images", "fraction": number / 3})
            with page.expect_response("**/second-look?*"):
                pass
        expect(said).to_have_text("Looking: images")
        assert page.evaluate("window.changes") == ["Looking: images"]


def test_a_look_shows_its_progress_and_then_its_findings(open_page, tmp_path):
    project = LookedProject(tmp_path)
    with serve(project.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Second look", exact=True).click()
        expect(page.locator("#second-look")).to_contain_text("Nobody has looked yet")
        page.get_by_role("button", name="Look at unseen images").click()
        expect(page.locator("#second-look .job")).to_contain_text("Waiting for a worker")
        (job_id,) = project.services.queue.jobs
        project.run(job_id)
        expect(page.locator(".finding").first).to_be_visible(timeout=15_000)
        expect(page.locator("#second-look")).to_contain_text("in 30 images compared by version v1")


def test_accept_by_precision_counts_accepts_and_undoes(open_page, tmp_path):
    project = AcceptanceProject(tmp_path)
    with serve(project.services) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="Accept by precision").click()
        page.get_by_role("button", name="Count", exact=True).click()
        expect(page.locator("#acceptance .job")).to_be_visible()
        project.run(next(iter(project.services.queue.jobs)))
        slider = page.locator("#acceptance-precision")
        expect(page.locator("#acceptance-summary")).to_be_visible(timeout=15_000)
        slider.focus()
        slider.press("End")
        expect(page.locator("#acceptance output")).to_have_text("99 %")
        slider.fill("0.97")
        with page.expect_response("**/acceptance/accept"):
            page.get_by_role("button", name="Accept 11 pictures").click()
        project.run(list(project.services.queue.jobs)[-1])
        undo = page.get_by_role("button", name="Undo all")
        expect(undo).to_be_enabled(timeout=15_000)
        assert len(project.accepted_tasks()) == 11
        with page.expect_response("**/undo"):
            undo.click()
        project.run(list(project.services.queue.jobs)[-1])
        expect(page.locator(".batches")).to_contain_text("undone", timeout=15_000)
        assert project.accepted_tasks() == set()
        assert project.desk.shown(KEY, 0.97)["batches"][0]["kept"] == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["Second look", "Accept by precision"])
def test_axe_has_no_serious_finding_in_the_dialogs(open_page, tmp_path, name, scheme):
    project = AcceptanceProject(tmp_path)
    looked = LookedProject(tmp_path / "looked")
    looked.look_as_before()
    if name == "Second look":
        services = looked.services
    else:
        project.count()
        services = project.services
    with serve(services) as address:
        page = open_page(f"{address}/panel", color_scheme=scheme)
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_selector(".finding" if name == "Second look" else "#acceptance table")
        page.wait_for_timeout(600)
        results = Axe().run(page)
        serious = [v["id"] for v in results.response["violations"] if v["impact"] in ("serious", "critical")]
        assert serious == []
