"""What an annotator sees: the pre-annotations of a task, in the label editor, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.label_studio_server import LabelStudio
from tests.e2e.projects import GeneratedProject

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Regions of the annotation or prediction that the editor shows now.
_SHOWN_REGIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.regions.map(region => region.type) : [];
}"""


def test_editor_shows_every_region(
    editor_page: Page, label_studio: LabelStudio, trained: tuple[GeneratedProject, dict], tmp_path: Path
) -> None:
    predicted, _ = trained
    by_count = {
        len(label_studio.predictions(task_id)[0]["result"]): task_id for task_id in predicted.unlabelled
    }
    expected, task_id = max(by_count), by_count[max(by_count)]
    assert expected > 0
    editor_page.goto(f"{label_studio.url}/projects/{predicted.project_id}/data?task={task_id}")
    editor_page.wait_for_selector(".konvajs-content canvas", timeout=60_000)
    editor_page.wait_for_function(f"() => ({_SHOWN_REGIONS})().length >= {expected}", timeout=30_000)
    editor_page.wait_for_timeout(1500)  # brush masks are drawn a moment after the region exists
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    editor_page.screenshot(path=folder / "editor-predictions.png")
    shown = editor_page.evaluate(_SHOWN_REGIONS)
    assert {kind.removesuffix("region") for kind in shown} <= {
        "rect",
        "rectangle",
        "ellipse",
        "polygon",
        "brush",
    }
    assert editor_page.locator("text=Error").count() == 0
