"""An annotator with Auto-Annotation on: gestures in Label Studio's own editor, and what it shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.label_editor import LabelEditor, Point
from harness.label_studio_server import LabelStudio, as_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The kinds of the suggestions that the editor holds and are not yet accepted.
_SUGGESTIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? [...shown.suggestions.values()].map(one => one.type) : [];
}"""


class SmartEditor(LabelEditor):
    """The label editor with its smart tools."""

    def __init__(self, page: Page, label_studio: LabelStudio, project_id: int) -> None:
        super().__init__(page, label_studio, project_id)
        self.answers: list[dict[str, Any]] = []
        page.on("response", self._note_answer)

    def open(self, task_id: int) -> None:
        """Open a task and switch Auto-Annotation on, as it is off in a new browser."""
        super().open(task_id)
        toggle = self.page.get_by_test_id("bottombar-auto-annotation-toggle")
        toggle.wait_for(state="attached")
        if not toggle.is_checked():
            toggle.click()
        self.page.get_by_test_id("bottombar-auto-accept-toggle").wait_for(state="attached")
        self.answers.clear()

    def choose(self, tool: str, group: int, label: str) -> None:
        """Choose a label of the group-th control tag, and a smart tool by its name in the toolbar."""
        chosen = self.page.locator(".lsf-labels").nth(group).locator(".lsf-label", has_text=label)
        if "selected" not in (chosen.get_attribute("class") or ""):
            chosen.click()
        self.page.locator(".lsf-tool_smart").first.hover()
        self.page.locator(f".lsf-tool_smart[aria-label='{tool}']").click()

    def click_beside(self, point: Point) -> None:
        """Click on what the object is not, with Alt."""
        self.page.keyboard.down("Alt")
        self.click(point)
        self.page.keyboard.up("Alt")

    def move_and_click(self, *points: Point) -> None:
        """Set the corners of the 3-point rectangle."""
        for point in points:
            self.page.mouse.move(*self.on_page(point), steps=5)
            self.page.mouse.click(*self.on_page(point))
            self.page.wait_for_timeout(300)  # two clicks in one breath are a double click

    def answered(self, count: int) -> list[dict[str, Any]]:
        """Return the regions of the answer to the count-th gesture on this task, once it is shown."""
        self.wait(lambda: len(self.answers) >= count, f"answer {count} to be given")
        regions = list(self.answers[count - 1].get("data", self.answers[count - 1])["result"])
        self.wait(lambda: len(self.suggestions()) == len(regions), "the answer to be shown")
        return regions

    def suggestions(self) -> list[str]:
        """Return the kinds of the suggestions that are shown, in the editor's words."""
        return list(self.page.evaluate(_SUGGESTIONS))

    def accept(self) -> list[dict[str, Any]]:
        """Press the check mark in the bottom bar; return the annotation's results."""
        self.page.get_by_test_id("bottombar-accept-suggestions-button").click()
        self.wait(lambda: not self.suggestions(), "the suggestions to be accepted")
        return self.regions()

    def reject(self) -> list[dict[str, Any]]:
        """Press the cross in the bottom bar; return the annotation's results."""
        self.page.get_by_test_id("bottombar-reject-suggestions-button").click()
        self.wait(lambda: not self.suggestions(), "the suggestions to go")
        return self.regions()

    def seen_so_far(self) -> str:
        """Return what helps to understand why something did not come: the answers too."""
        return f"; answers: {as_json(self.answers)}{super().seen_so_far()}"

    def _note_answer(self, response: Any) -> None:
        if "/interactive-annotating" in response.url:
            self.answers.append(response.json())
