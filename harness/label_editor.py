"""An annotator in Label Studio's own editor: a task opened, regions moved with the mouse, submitted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.label_studio_server import LabelStudio

if TYPE_CHECKING:
    from playwright.sync_api import Page

Point = tuple[float, float]
"""x and y in percent of the image."""

WAIT_S = 60.0
VISITS = 3
"""The very first visit to a project shows an editor without predictions; any later one shows them."""
_REGIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? JSON.parse(JSON.stringify(shown.serializeAnnotation())) : [];
}"""
_PICTURE = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  const image = shown && shown.names.get('image');
  return image ? [
    image.alignmentOffset.x + image.zoomingPositionX, image.alignmentOffset.y + image.zoomingPositionY,
    image.stageWidth * image.stageScale, image.stageHeight * image.stageScale] : [0, 0, 0, 0];
}"""
# What a browser says of everything that the test did not let it load.
_NOT_LOADED = ("Failed to load resource", "net::ERR_FAILED")


class LabelEditor:
    """One task open in the label editor, whose image is called `image`.

    Waits for what it does to be seen, never for a fixed time. complaints: errors of the page so far.
    """

    def __init__(self, page: Page, label_studio: LabelStudio, project_id: int) -> None:
        page.set_default_timeout(60_000)
        self.page = page
        self.label_studio = label_studio
        self.project_id = project_id
        self.task_id = 0
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note_message)

    def open(self, task_id: int) -> None:
        """Open a task; with a prediction it is open as an annotation that begins with its regions."""
        self.task_id = task_id
        address = f"{self.label_studio.url}/projects/{self.project_id}/data?task={task_id}"
        self.page.goto(address, timeout=120_000)
        self.page.wait_for_selector(".konvajs-content canvas", timeout=120_000)
        self.wait(lambda: self.page.evaluate(_PICTURE)[2] > 0, "the picture")

    def open_predicted(self, task_id: int, count: int) -> list[dict[str, Any]]:
        """Open a task whose prediction has so many results; return them as the editor would store them."""
        for _ in range(VISITS):
            self.page.goto("about:blank")
            self.open(task_id)
            until = time.monotonic() + WAIT_S / VISITS
            while len(shown := self.regions()) < count and time.monotonic() < until:
                self.page.wait_for_timeout(200)
            if len(shown) >= count:
                return shown
        raise AssertionError(f"of {count} predicted results the editor shows {len(shown)}")

    def click(self, point: Point) -> None:
        """Click on the picture."""
        self.page.mouse.click(*self.on_page(point))

    def drag(self, start: Point, *points: Point) -> None:
        """Draw with the button held."""
        self.page.mouse.move(*self.on_page(start))
        self.page.mouse.down()
        for point in points:
            self.page.mouse.move(*self.on_page(point), steps=6)
        self.page.mouse.up()

    def regions(self) -> list[dict[str, Any]]:
        """Return the annotation's results."""
        return list(self.page.evaluate(_REGIONS))

    def take(self, tool: str) -> None:
        """Choose a tool by its name in the toolbar."""
        self.page.locator(f"button[aria-label='{tool}']").first.click()

    def select(self, point: Point) -> None:
        """Select the region at a point with the mouse."""
        self.take("move-tool")
        self.click(point)

    def move(self, start: Point, end: Point) -> None:
        """Select the region at `start` with the mouse and drag it."""
        self.select(start)
        self.drag(start, end)

    def submit(self) -> list[dict[str, Any]]:
        """Press Submit; return what Label Studio has stored."""
        self.page.get_by_test_id("bottombar-submit-button").click()
        stored: list[dict[str, Any]] = []

        def is_stored() -> bool:
            stored[:] = self.label_studio.annotations(self.task_id)
            return bool(stored)

        self.wait(is_stored, "the annotation to be stored")
        return list(stored[0]["result"])

    def shot(self, name: str, folder: Path) -> None:
        """Write a screenshot, to SCREENSHOTS where that is set."""
        target = Path(os.environ.get("SCREENSHOTS", folder))
        target.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=target / f"{name}.png")

    def on_page(self, point: Point) -> Point:
        """Return where a point of the picture lies on the page, in pixels."""
        box = self.page.locator(".konvajs-content").first.bounding_box()
        assert box is not None
        left, top, width, height = self.page.evaluate(_PICTURE)
        return box["x"] + left + width * point[0] / 100, box["y"] + top + height * point[1] / 100

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so. Raises AssertionError after WAIT_S."""
        until = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > until:
                raise AssertionError(f"waited {WAIT_S:g} s for {what}{self.seen_so_far()}")
            self.page.wait_for_timeout(100)

    def seen_so_far(self) -> str:
        """Return what helps to understand why something did not come."""
        return f"; errors of the page: {self.complaints}"

    def _note_message(self, message: Any) -> None:
        if message.type == "error" and not any(said in message.text for said in _NOT_LOADED):
            self.complaints.append(message.text)
