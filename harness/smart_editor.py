"""An annotator with Auto-Annotation on: gestures in Label Studio's own editor, and what it shows of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.label_studio_server import LabelStudio, as_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

Point = tuple[float, float]
"""x and y in percent of the image."""

WAIT_S = 60.0
# What the editor holds: the kinds of the suggestions not yet accepted, and the regions of the annotation.
_SUGGESTIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? [...shown.suggestions.values()].map(one => one.type) : [];
}"""
_REGIONS = """() => JSON.parse(JSON.stringify(Htx.annotationStore.selected.serializeAnnotation()))"""
_PICTURE = """() => {
  const image = Htx.annotationStore.selected.names.get('image');
  return [image.alignmentOffset.x + image.zoomingPositionX, image.alignmentOffset.y + image.zoomingPositionY,
          image.stageWidth * image.stageScale, image.stageHeight * image.stageScale];
}"""


class SmartEditor:
    """One task open in the label editor. Waits for what it does to be seen, never for a fixed time."""

    def __init__(self, page: Page, label_studio: LabelStudio, project_id: int) -> None:
        page.set_default_timeout(60_000)
        self.page = page
        self.label_studio = label_studio
        self.project_id = project_id
        self.task_id = 0
        self.answers: list[dict[str, Any]] = []
        page.on("response", self._note)

    def open(self, task_id: int) -> None:
        """Open a task and switch Auto-Annotation on, as it is off in a new browser."""
        self.task_id = task_id
        address = f"{self.label_studio.url}/projects/{self.project_id}/data?task={task_id}"
        self.page.goto(address, timeout=120_000)
        self.page.wait_for_selector(".konvajs-content canvas", timeout=120_000)
        toggle = self.page.get_by_test_id("bottombar-auto-annotation-toggle")
        toggle.wait_for(state="attached")
        if not toggle.is_checked():
            toggle.click()
        self.page.get_by_test_id("bottombar-auto-accept-toggle").wait_for(state="attached")
        self._wait(lambda: self.page.evaluate(_PICTURE)[2] > 0, "the picture")
        self.answers.clear()

    def choose(self, tool: str, group: int, label: str) -> None:
        """Choose a label of the group-th control tag, and a smart tool by its name in the toolbar."""
        chosen = self.page.locator(".lsf-labels").nth(group).locator(".lsf-label", has_text=label)
        if "selected" not in (chosen.get_attribute("class") or ""):
            chosen.click()
        self.page.locator(".lsf-tool_smart").first.hover()
        self.page.locator(f".lsf-tool_smart[aria-label='{tool}']").click()

    def click(self, point: Point, *, negative: bool = False) -> None:
        """Click on the picture; Alt makes it negative."""
        if negative:
            self.page.keyboard.down("Alt")
        self.page.mouse.click(*self.on_page(point))
        if negative:
            self.page.keyboard.up("Alt")

    def drag(self, start: Point, *points: Point) -> None:
        """Draw with the button held."""
        self.page.mouse.move(*self.on_page(start))
        self.page.mouse.down()
        for point in points:
            self.page.mouse.move(*self.on_page(point), steps=6)
        self.page.mouse.up()

    def move_and_click(self, *points: Point) -> None:
        """Set the corners of the 3-point rectangle."""
        for point in points:
            self.page.mouse.move(*self.on_page(point), steps=5)
            self.page.mouse.click(*self.on_page(point))
            self.page.wait_for_timeout(300)  # two clicks in one breath are a double click

    def answered(self, count: int) -> list[dict[str, Any]]:
        """Return the regions of the answer to the count-th gesture on this task, once it is shown."""
        self._wait(lambda: len(self.answers) >= count, f"answer {count} to be given")
        regions = list(self.answers[count - 1].get("data", self.answers[count - 1])["result"])
        self._wait(lambda: len(self.suggestions()) == len(regions), "the answer to be shown")
        return regions

    def suggestions(self) -> list[str]:
        """Return the kinds of the suggestions that are shown, in the editor's words."""
        return list(self.page.evaluate(_SUGGESTIONS))

    def regions(self) -> list[dict[str, Any]]:
        """Return the annotation's results."""
        return list(self.page.evaluate(_REGIONS))

    def move(self, start: Point, end: Point) -> None:
        """Select the region at `start` with the mouse and drag it."""
        self.page.locator("button[aria-label='move-tool']").click()
        self.page.mouse.click(*self.on_page(start))
        self.drag(start, end)

    def submit(self) -> list[dict[str, Any]]:
        """Press Submit; return what Label Studio has stored."""
        self.page.get_by_test_id("bottombar-submit-button").click()
        stored: list[dict[str, Any]] = []

        def is_stored() -> bool:
            stored[:] = self.label_studio.annotations(self.task_id)
            return bool(stored)

        self._wait(is_stored, "the annotation to be stored")
        return list(stored[0]["result"])

    def accept(self) -> list[dict[str, Any]]:
        """Press the check mark in the bottom bar; return the annotation's results."""
        self.page.get_by_test_id("bottombar-accept-suggestions-button").click()
        self._wait(lambda: not self.suggestions(), "the suggestions to be accepted")
        return self.regions()

    def reject(self) -> list[dict[str, Any]]:
        """Press the cross in the bottom bar; return the annotation's results."""
        self.page.get_by_test_id("bottombar-reject-suggestions-button").click()
        self._wait(lambda: not self.suggestions(), "the suggestions to go")
        return self.regions()

    def shot(self, name: str, folder: Path) -> None:
        """Write a screenshot, to SCREENSHOTS where that is set."""
        target = Path(os.environ.get("SCREENSHOTS", folder))
        target.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=target / f"{name}.png")

    def _note(self, response: Any) -> None:
        if "/interactive-annotating" in response.url:
            self.answers.append(response.json())

    def on_page(self, point: Point) -> Point:
        """Return where a point of the picture lies on the page, in pixels."""
        box = self.page.locator(".konvajs-content").first.bounding_box()
        assert box is not None
        left, top, width, height = self.page.evaluate(_PICTURE)
        return box["x"] + left + width * point[0] / 100, box["y"] + top + height * point[1] / 100

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > until:
                raise AssertionError(f"waited {WAIT_S:g} s for {what}; answers: {as_json(self.answers)}")
            self.page.wait_for_timeout(100)
