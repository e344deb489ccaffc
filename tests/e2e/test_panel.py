"""The panel against a real Label Studio and a real training: each action by its button, and what came of it.

Every test goes on where the one before it ended.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from demo.pictures import draw_pictures
from harness.label_studio_server import LabelStudio
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, SHAPES, GeneratedProject, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRAINING_MS = 600_000
PREDICTING_MS = 180_000
# The training has the machine; a page may take its time then.
PATIENCE_MS = 90_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def project(label_studio: LabelStudio, service: ServiceProcess) -> GeneratedProject:
    """A project with all shapes, connected, nothing trained."""
    project = make_project(label_studio, shapes=SHAPES, title="Panel", annotated=20, unlabelled=4, seed=5)
    label_studio.connect(project.project_id, service.url)
    return project


@pytest.fixture
def panel(browser: Browser, service: ServiceProcess, project: GeneratedProject) -> Iterator[Page]:
    """The panel, open on the project; a script error fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{service.url}/")
    assert page.url.startswith(f"{service.url}/panel")
    page.select_option("#project-switch", label=f"Panel ({project.project_id})")
    expect(page.locator("#strip-count")).to_have_text(re.compile(r"^\d+ tasks$"))
    yield page
    context.close()
    assert errors == []


def shot(page: Page, tmp_path: Path, name: str) -> None:
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def open_task(page: Page, task_id: int) -> None:
    expect(page.locator("#strip-count")).to_have_text(re.compile(r"^\d+ tasks$"))
    page.locator("#strip").focus()
    page.keyboard.press("End")
    tile = page.locator(f'.tile[aria-label^="Task {task_id},"]')
    tile.click()
    expect(tile).to_have_attribute("aria-selected", "true")
    expect(page.locator("#image")).to_have_attribute("src", re.compile(rf"/tasks/{task_id}/images/"))
    expect(page.locator("#image")).to_be_visible()


def save_settings(page: Page) -> None:
    """Choose a quick training by the fields of the dialog."""
    page.get_by_role("button", name="ML Training Settings").click()
    page.get_by_role("tab", name="Training Parameters").click()
    page.get_by_label("Epochs").fill(str(QUICK_TRAINING["epochs"]))
    page.get_by_label("Image size").select_option(str(QUICK_TRAINING["image_size"]))
    page.get_by_role("tab", name="Model Options").click()
    page.get_by_label("Pretrained backbone").uncheck()
    page.locator("#save-settings").click()
    expect(page.locator(".toast", has_text="Saved")).to_be_visible()
    page.keyboard.press("Escape")


def test_train_with_progress(panel: Page, project: GeneratedProject, tmp_path: Path) -> None:
    expect(panel.locator("#annotated-images")).to_have_text(str(project.annotated))
    expect(panel.locator("#model-status")).to_have_text("Not trained")
    save_settings(panel)
    panel.get_by_role("button", name="Train Model").click()
    epochs = QUICK_TRAINING["epochs"]
    expect(panel.locator("#training")).to_contain_text(
        re.compile(rf"epoch \d+ of {epochs}"), timeout=TRAINING_MS
    )
    expect(panel.locator("#training .chart")).to_be_visible(timeout=TRAINING_MS)
    shot(panel, tmp_path, "panel-training")
    expect(panel.locator("#model-status")).to_have_text("Trained ✓", timeout=TRAINING_MS)
    expect(panel.locator("#training")).to_contain_text(
        f"It learned from {project.annotated} images", timeout=30_000
    )


def test_predict_accept_seen_in_label_studio_undo_and_clear(
    panel: Page, label_studio: LabelStudio, project: GeneratedProject, tmp_path: Path
) -> None:
    task_id = project.unlabelled[0]
    open_task(panel, task_id)
    panel.get_by_role("button", name="Predict Current").click()
    expect(panel.locator("#accept-note")).to_contain_text("to accept", timeout=PREDICTING_MS)
    panel.locator("#threshold").fill("0.1")
    note = panel.locator("#accept-note").inner_text()
    shown = int(note.split()[0])
    assert shown > 0
    shot(panel, tmp_path, "panel-predicted")
    assert label_studio.predictions(task_id) == []
    panel.get_by_role("button", name="Accept Predictions").click()
    expect(panel.locator(".toast", has_text="accepted as an annotation")).to_be_visible(timeout=30_000)
    [annotation] = label_studio.annotations(task_id)
    assert len({region["id"] for region in annotation["result"]}) == shown
    assert {region["origin"] for region in annotation["result"]} == {"prediction"}
    panel.locator("#undo").click()
    expect(panel.locator(".toast", has_text="taken back")).to_be_visible(timeout=30_000)
    assert label_studio.annotations(task_id) == []
    panel.get_by_role("button", name="Clear Predictions").click()
    expect(panel.locator(".toast", has_text="cleared")).to_be_visible(timeout=30_000)
    expect(panel.locator("#accept-note")).to_be_hidden()


def test_accepting_after_somebody_annotated_is_refused(
    panel: Page, label_studio: LabelStudio, project: GeneratedProject
) -> None:
    task_id = project.unlabelled[1]
    open_task(panel, task_id)
    panel.get_by_role("button", name="Predict Current").click()
    expect(panel.locator("#accept-note")).to_contain_text("to accept", timeout=PREDICTING_MS)
    panel.locator("#threshold").fill("0.1")
    label_studio.annotate(task_id, [])
    panel.get_by_role("button", name="Accept Predictions").click()
    expect(panel.locator(".toast", has_text="got an annotation meanwhile")).to_be_visible(timeout=30_000)
    assert len(label_studio.annotations(task_id)) == 1
    expected = str(project.annotated + 1)
    # Nobody touched the page: Label Studio's event is what makes it look.
    expect(panel.locator("#annotated-images")).to_have_text(expected)


def test_predict_all_is_written_to_label_studio_and_cleared_there(
    panel: Page, label_studio: LabelStudio, project: GeneratedProject
) -> None:
    panel.get_by_role("button", name="Predict All").click()
    expect(panel.locator("#predicting")).to_contain_text("written to Label Studio", timeout=PREDICTING_MS)
    stored = {task_id: label_studio.predictions(task_id) for task_id in project.task_ids}
    assert all(len(predictions) == 1 for predictions in stored.values())
    panel.select_option("#filter", "predicted")
    expect(panel.locator("#strip-count")).to_have_text(f"{len(project.task_ids)} tasks")
    panel.select_option("#sort", "score")
    expect(panel.locator(".tile[aria-selected=true]")).to_contain_text(
        re.compile(r"AI \d\.\d\d"), timeout=30_000
    )
    panel.select_option("#filter", "all")
    task_id = project.unlabelled[2]
    panel.select_option("#sort", "id")
    open_task(panel, task_id)
    panel.get_by_role("button", name="Clear Predictions").click()
    expect(panel.locator(".toast", has_text="cleared")).to_be_visible(timeout=30_000)
    assert label_studio.predictions(task_id) == []


def test_photographs_on_their_side_stand_upright(
    panel: Page, label_studio: LabelStudio, project: GeneratedProject
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    [picture] = draw_pictures(1, 9)
    content = io.BytesIO()
    Image.open(io.BytesIO(picture.as_jpeg())).save(content, "JPEG", exif=exif, quality=92)
    reference = label_studio.upload(project.project_id, content.getvalue(), "on-its-side.jpg")
    [task_id] = label_studio.import_tasks(project.project_id, [{"data": {"image": reference}}])
    expect(panel.locator("#strip-count")).to_have_text(f"{len(project.task_ids) + 1} tasks")
    open_task(panel, task_id)
    width, height = panel.evaluate(
        "[document.getElementById('image').naturalWidth, document.getElementById('image').naturalHeight]"
    )
    stored_height, stored_width = np.asarray(Image.open(io.BytesIO(content.getvalue()))).shape[:2]
    assert (width, height) == (stored_height, stored_width)


def test_check_connection_is_green(panel: Page, tmp_path: Path) -> None:
    panel.get_by_role("button", name="Check connection").click()
    expect(panel.locator("#check .note")).to_be_visible(timeout=60_000)
    shot(panel, tmp_path, "panel-check")
    assert panel.locator("#check [data-state=failed]").all_inner_texts() == []
    for check in ("label_studio", "token", "connected", "webhook", "queue", "image-upload"):
        expect(panel.locator(f"[data-check={check}][data-state=ok]")).to_have_count(1)


def test_a_model_travels_to_another_data_directory(
    panel: Page,
    browser: Browser,
    label_studio: LabelStudio,
    project: GeneratedProject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Save / Load Model").click()
    with panel.expect_download() as download:
        panel.locator(".version").first.get_by_text("Save Trained Model").click()
    folder = tmp_path_factory.mktemp("other")
    file = folder / "saved.model"
    download.value.save_as(file)
    broken = folder / "broken.model"
    broken.write_bytes(file.read_bytes()[:-100])
    other = ServiceProcess(
        folder / "data", LABEL_STUDIO_URL=label_studio.url, LABEL_STUDIO_API_KEY=label_studio.access_token
    )
    with other:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{other.url}/panel")
        page.select_option("#project-switch", label=f"Panel ({project.project_id})")
        expect(page.locator("#model-status")).to_have_text("Not trained")
        page.get_by_role("button", name="ML Training Settings").click()
        page.get_by_role("tab", name="Save / Load Model").click()
        page.set_input_files("#model-file", broken)
        page.get_by_role("button", name="Load Existing Model").click()
        expect(page.locator("#part-versions .note")).to_be_visible(timeout=60_000)
        page.set_input_files("#model-file", file)
        page.get_by_role("button", name="Load Existing Model").click()
        expect(page.locator("#part-versions")).to_contain_text("serves now")
        page.keyboard.press("Escape")
        expect(page.locator("#model-status")).to_have_text("Trained ✓")
        open_task(page, project.unlabelled[3])
        page.get_by_role("button", name="Predict Current").click()
        expect(page.locator("#accept-note")).to_contain_text("accept", timeout=PREDICTING_MS)
        page.close()
    shutil.rmtree(folder, ignore_errors=True)
