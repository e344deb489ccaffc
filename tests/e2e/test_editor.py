"""What an annotator sees: the pre-annotations of a task, in the label editor, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.label_studio_server import LabelStudio, as_json
from tests.e2e.projects import QUICK_TRAINING, SHAPES, GeneratedProject, make_project
from tests.service_process import ServiceProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Regions of the annotation or prediction that the editor shows now.
_SHOWN_REGIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.regions.map(region => region.type) : [];
}"""


@pytest.fixture(scope="module")
def predicted(label_studio: LabelStudio, service: ServiceProcess) -> GeneratedProject:
    """A project of all shapes, trained and predicted."""
    project = make_project(label_studio, shapes=SHAPES, title="editor", unlabelled=3, seed=2)
    ml_id = label_studio.connect(project.project_id, service.url, extra_params=QUICK_TRAINING)
    label_studio.start_training(ml_id)
    status = service.wait_for_job(service.training_of(project.project_id))
    assert status["job_status"] == "finished", as_json(status)
    label_studio.retrieve_predictions(project.project_id, project.unlabelled)
    return project


def test_editor_shows_every_region(
    editor_page: Page, label_studio: LabelStudio, predicted: GeneratedProject, tmp_path: Path
) -> None:
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
