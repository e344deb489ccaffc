"""Make the README's pictures: photographs, a version that learned from labels, a real Label Studio.

    python -m demo.screenshots --data DATA [--start MODEL] [--out docs/images]

DATA is a folder with blood smears of the BCCD data set: `images/`, `tasks.json` with boxes as Label Studio
exports them, and `splits.json`. Thirty labelled images are imported. An annotator clicks on a cell of an
unlabelled one. The panel trains, predicts and accepts. LABEL_STUDIO_BIN names the Label Studio.

MODEL is a file that *Save Trained Model* wrote after a training on the same images. With it the training goes
on from there and is short; without it there are 40 epochs.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from backend.core.regions.brush_rle import encode_brush_rle
from demo.recording import Recording
from harness.label_studio_server import LabelStudio
from harness.service_process import ServiceProcess
from harness.smart_editor import Point, SmartEditor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
LABELLED = 30
# Smears of the validation part with all three kinds of cells, not too crowded to see something.
UNLABELLED = (114, 55, 81, 190, 118, 73)
TRAINING = {"epochs": 40, "image_size": 320, "pretrained": False}
GOING_ON = {"epochs": 5, "image_size": 320, "pretrained": False, "start_from": "current"}
WIDTH_PX, HEIGHT_PX = 1400, 860
PATIENCE_MS = 1_800_000
LABEL_CONFIG = """
<View>
  <Image name="image" value="$image" zoom="true"/>
  <KeyPointLabels name="click" toName="image" smart="true">
    <Label value="White cell" background="#7048e8"/><Label value="Red cell" background="#e03131"/>
  </KeyPointLabels>
  <BrushLabels name="painted" toName="image" smart="true">
    <Label value="White cell" background="#7048e8"/>
  </BrushLabels>
  <EllipseLabels name="round" toName="image" smart="true">
    <Label value="Red cell" background="#e03131"/>
  </EllipseLabels>
  <RectangleLabels name="box" toName="image" smart="true">
    <Label value="Platelet" background="#1971c2"/>
  </RectangleLabels>
</View>
"""
# Regions of the annotation or prediction that the editor shows now.
_SHOWN_REGIONS = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.regions.length : 0;
}"""

# The panel's account of the training: an epoch that it has reached, or its end.
_HAS_REACHED = """epoch => {
  const said = document.querySelector('#training').innerText;
  const found = /epoch (\\d+) of/.exec(said);
  return said.includes('It learned from') || (found !== null && Number(found[1]) >= epoch);
}"""
_HAS_ENDED = "() => document.querySelector('#training').innerText.includes('It learned from')"


def region_of(box: Json) -> Json:
    """Return a box of the data set as the region that the labeling config wants for its label.

    Red cells become the ellipse within the box, white ones the same ellipse as painted.
    """
    value = box["value"]
    (label,) = value["rectanglelabels"]
    size = {name: box[name] for name in ("original_width", "original_height", "image_rotation")}
    if label == "Platelets":
        corner = {name: value[name] for name in ("x", "y", "width", "height")}
        return _region("box", "rectangle", "Platelet", {**corner, "rotation": 0}, size)
    ellipse = {
        "x": value["x"] + value["width"] / 2,
        "y": value["y"] + value["height"] / 2,
        "radiusX": value["width"] / 2,
        "radiusY": value["height"] / 2,
        "rotation": 0,
    }
    if label == "RBC":
        return _region("round", "ellipse", "Red cell", ellipse, size)
    painted = {"format": "rle", "rle": encode_brush_rle(_filled(ellipse, size))}
    return _region("painted", "brush", "White cell", painted, size)


def _region(control: str, kind: str, label: str, value: Json, size: Json) -> Json:
    return {
        "from_name": control,
        "to_name": "image",
        "type": f"{kind}labels",
        **size,
        "value": {**value, f"{kind}labels": [label]},
    }


def _filled(ellipse: Json, size: Json) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the mask [H, W] of an ellipse."""
    width, height = size["original_width"], size["original_height"]
    mask = np.zeros((height, width), np.uint8)
    middle = (round(ellipse["x"] * width / 100), round(ellipse["y"] * height / 100))
    radii = (round(ellipse["radiusX"] * width / 100), round(ellipse["radiusY"] * height / 100))
    cv2.ellipse(mask, middle, radii, 0, 0, 360, 1, -1)
    return mask.astype(bool)


class Project:
    """The project in Label Studio: labelled smears, and some that nobody labelled."""

    def __init__(self, label_studio: LabelStudio, data: Path) -> None:
        self.label_studio = label_studio
        tasks = {task["id"]: task for task in json.loads((data / "tasks.json").read_text())}
        labelled = json.loads((data / "splits.json").read_text())["train100"][:LABELLED]
        self.project_id = int(label_studio.create_project(LABEL_CONFIG, title="Blood smears")["id"])
        imported = [self._task(data, tasks[number], with_labels=True) for number in labelled]
        imported += [self._task(data, tasks[number], with_labels=False) for number in UNLABELLED]
        self.unlabelled = label_studio.import_tasks(self.project_id, imported)[LABELLED:]
        self.boxes = [tasks[number]["annotations"][0]["result"] for number in UNLABELLED]

    def _task(self, data: Path, task: Json, *, with_labels: bool) -> Json:
        path = data / task["data"]["image"]
        made: Json = {
            "data": {"image": self.label_studio.upload(self.project_id, path.read_bytes(), path.name)}
        }
        if with_labels:
            made["annotations"] = [{"result": [region_of(box) for box in task["annotations"][0]["result"]]}]
        return made

    def middle_of_white_cell(self, index: int) -> Point:
        """Return where an annotator would click, in percent."""
        value = next(box["value"] for box in self.boxes[index] if box["value"]["rectanglelabels"] == ["WBC"])
        return value["x"] + value["width"] / 2, value["y"] + value["height"] / 2


def click(page: Page, project: Project, recording: Recording) -> None:
    """Click on a white cell of the first unlabelled smear, accept what comes, submit."""
    editor = SmartEditor(page, project.label_studio, project.project_id)
    for _ in range(2):  # the first visit to a project may show an editor that is not ready
        editor.open(project.unlabelled[0])
    point = project.middle_of_white_cell(0)
    editor.choose("key-point-tool", 0, "White cell")
    recording.take(page, "1  Click: one click on a cell", seconds=1.2, cursor=editor.on_page(point))
    editor.click(point)
    editor.answered(1)
    page.wait_for_timeout(1500)  # a mask is drawn a moment after the region exists
    recording.take(page, "1  Click: ... and its outline is there", seconds=1.8, cursor=editor.on_page(point))
    editor.accept()
    page.wait_for_timeout(1000)
    recording.take(page, "1  Click: accepted, one more label", seconds=1.2)
    editor.submit()


def train(page: Page, service: ServiceProcess, project: Project, recording: Recording) -> None:
    """Press Train Model in the panel and watch."""
    page.goto(f"{service.url}/panel")
    page.select_option("#project-switch", label=f"Blood smears ({project.project_id})")
    page.wait_for_selector(".tile[aria-selected=true]", timeout=PATIENCE_MS)
    page.wait_for_timeout(2000)
    button = page.get_by_role("button", name="Train Model")
    recording.take(page, "2  Train", seconds=1.2, cursor=_middle(button))
    button.click()
    for epoch in range(1, 6):
        page.wait_for_function(_HAS_REACHED, arg=epoch, timeout=PATIENCE_MS)
        recording.take(page, "2  Train: a few minutes", seconds=0.6)
    page.wait_for_function(_HAS_ENDED, timeout=PATIENCE_MS)
    page.wait_for_timeout(3000)
    recording.take(page, "2  Train: the version serves", seconds=1.4)


def predict_and_accept(page: Page, project: Project, recording: Recording, out: Path) -> None:
    """Predict one smear in the panel, and accept it; keeps the panel's picture."""
    task_id = project.unlabelled[1]
    page.locator("#strip").focus()
    page.keyboard.press("End")
    page.locator(f'.tile[aria-label^="Task {task_id},"]').click()
    page.wait_for_timeout(1500)
    button = page.get_by_role("button", name="Predict Current")
    recording.take(page, "3  Predict: a smear that nobody labelled", seconds=1.2, cursor=_middle(button))
    button.click()
    page.wait_for_function(
        "() => document.querySelector('#accept-note').innerText.includes('to accept')", timeout=PATIENCE_MS
    )
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)
    recording.take(page, "3  Predict: every cell with its score", seconds=2.2)
    page.screenshot(path=out / "panel.png")
    accept = page.get_by_role("button", name=re.compile("^Accept"))
    recording.take(page, "4  Accept", seconds=1.2, cursor=_middle(accept.first))
    accept.first.click()
    page.wait_for_timeout(3000)
    recording.take(page, "4  Accept: stored as an annotation in Label Studio", seconds=2.5)


def show_predictions(page: Page, project: Project, out: Path) -> None:
    """Retrieve predictions and keep the picture of a task in Label Studio's editor."""
    project.label_studio.retrieve_predictions(project.project_id, project.unlabelled[2:])
    task_id = project.unlabelled[2]
    expected = len(project.label_studio.predictions(task_id)[0]["result"])
    for _ in range(4):
        page.goto("about:blank")
        page.goto(f"{project.label_studio.url}/projects/{project.project_id}/data?task={task_id}")
        page.wait_for_selector(".konvajs-content canvas", timeout=120_000)
        page.wait_for_timeout(4000)
        if page.evaluate(_SHOWN_REGIONS) >= expected:
            break
    page.wait_for_timeout(1500)
    page.screenshot(path=out / "editor-predictions.png")


def _middle(locator: Any) -> Point:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        LabelStudio(Path(folder) / "label-studio") as label_studio,
        ServiceProcess(
            Path(folder) / "data",
            LABEL_STUDIO_URL=label_studio.url,
            LABEL_STUDIO_API_KEY=label_studio.access_token,
        ) as service,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        project = Project(label_studio, options.data)
        params = GOING_ON if options.start else TRAINING
        label_studio.connect(project.project_id, service.url, extra_params=params, is_interactive=True)
        _film(browser, label_studio, service, project, options.out, options.start)
        browser.close()
    return 0


def _load_model(service: ServiceProcess, path: Path) -> None:
    """Do what *Load Existing Model* does."""
    (project,) = service.get("/api/projects").json()["projects"]
    address = f"{service.url}/api/projects/{project['key']}/versions"
    headers = {"Content-Type": "application/octet-stream"}
    service.session.post(address, data=path.read_bytes(), headers=headers, timeout=100).raise_for_status()


def _film(
    browser: Browser,
    label_studio: LabelStudio,
    service: ServiceProcess,
    project: Project,
    out: Path,
    start: Path | None,
) -> None:
    context = browser.new_context(viewport={"width": WIDTH_PX, "height": HEIGHT_PX}, color_scheme="light")
    context.set_default_timeout(120_000)
    for cookie in label_studio.browser_cookies():
        context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": cookie["url"]}])
    recording = Recording()
    page = context.new_page()
    click(page, project, recording)
    if start is not None:  # not before: a click on a predicted region selects that
        _load_model(service, start)
    train(page, service, project, recording)
    predict_and_accept(page, project, recording, out)
    recording.save(out / "click-train-predict-accept.webp")
    show_predictions(page, project, out)
    context.close()


if __name__ == "__main__":
    sys.exit(main())
