"""What an annotator sees: the pre-annotations of a task, in the label editor, in a real browser."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.label_studio_server import LabelStudio
from tests.e2e.projects import SHAPES, GeneratedProject

if TYPE_CHECKING:
    from playwright.sync_api import Page

_EDITOR_NAMES = {f"{shape}labels": f"{shape}region" for shape in SHAPES}
# Regions of the annotation or prediction that the editor shows now.
_SHOWN_REGIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.regions.map(region => region.type) : [];
}"""


def test_editor_shows_every_region(
    editor_page: Page, label_studio: LabelStudio, trained: tuple[GeneratedProject, dict], tmp_path: Path
) -> None:
    predicted, _ = trained
    regions_of = {task_id: label_studio.predictions(task_id)[0]["result"] for task_id in predicted.unlabelled}
    task_id, expected = max(regions_of.items(), key=lambda item: len(item[1]))
    assert expected
    shown: list[str] = []
    # On the very first visit to a project's Data Manager the editor of 1.23.2 shows no predictions at all,
    # although the task's answer carries them; any later visit shows them.
    for _ in range(3):
        editor_page.goto("about:blank")
        editor_page.goto(f"{label_studio.url}/projects/{predicted.project_id}/data?task={task_id}")
        editor_page.wait_for_selector(".konvajs-content canvas", timeout=120_000)
        until = time.monotonic() + 20
        while len(shown) < len(expected) and time.monotonic() < until:
            editor_page.wait_for_timeout(500)
            shown = editor_page.evaluate(_SHOWN_REGIONS)
        if shown:
            break
    editor_page.wait_for_timeout(1500)  # brush masks are drawn a moment after the region exists
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    editor_page.screenshot(path=folder / "editor-predictions.png")
    assert sorted(shown) == sorted(_EDITOR_NAMES[region["type"]] for region in expected)
    assert editor_page.locator("text=Error").count() == 0
