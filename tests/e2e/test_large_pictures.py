"""Small things in pictures of 24 megapixels: learned in tiles, found where they are, seen in the panel."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from harness.label_editor import LabelEditor
from harness.label_studio_server import LabelStudio, as_json
from harness.panel_stage import wait_for_lines, zoom_in
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, wait_for_smart_tools

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from backend.core.geometry.instances import UInt8Array

WIDTH, HEIGHT = 6000, 4000
RASTER_PX = (3000, 500, 100)
"""Left, top and side of lines that are two pixels wide: no preview shows them apart."""
COLOURS = {"Coin": (205, 60, 50), "Chip": (50, 90, 200)}
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <KeyPointLabels name="point" toName="image" smart="true">
    <Label value="Coin"/><Label value="Chip"/>
  </KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true"><Label value="Coin"/></RectangleLabels>
  <PolygonLabels name="outline" toName="image" smart="true"><Label value="Chip"/></PolygonLabels>
</View>"""
TRAINING = {**QUICK_TRAINING, "epochs": 6, "confidence_threshold": 0.2}
LABELLED = 2


@dataclass(frozen=True)
class Thing:
    """A round coin or a square chip: its label, and its box in pixels of the picture."""

    label: str
    box_xyxy_px: tuple[int, int, int, int]

    def as_result(self) -> dict[str, Any]:
        """Return it as an annotator draws it: a rectangle, or an outline."""
        left, top, right, bottom = self.box_xyxy_px
        x, across = 100 * left / WIDTH, 100 * (right - left) / WIDTH
        y, down = 100 * top / HEIGHT, 100 * (bottom - top) / HEIGHT
        if self.label == "Coin":
            name, kind = "box", "rectanglelabels"
            value: dict[str, Any] = {"x": x, "y": y, "width": across, "height": down, "rotation": 0}
        else:
            name, kind = "outline", "polygonlabels"
            corners = [[x, y], [x + across, y], [x + across, y + down], [x, y + down]]
            value = {"points": corners, "closed": True}
        return {
            "from_name": name,
            "to_name": "image",
            "type": kind,
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "image_rotation": 0,
            "value": {**value, kind: [self.label]},
        }


@dataclass(frozen=True)
class LargeProject:
    """A project of three pictures of 24 megapixels; the first two are labelled, and taught `job`."""

    project_id: int
    ml_id: int
    task_ids: tuple[int, ...]
    things: tuple[tuple[Thing, ...], ...]
    job: dict[str, Any]


def draw(seed: int) -> tuple[bytes, tuple[Thing, ...]]:
    """Return a JPEG with a dozen things of 60 to 100 px, none near another, and the things."""
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, 12, (HEIGHT // 40, WIDTH // 40, 3)) + 140
    picture = cv2.resize(grain.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    rgb: UInt8Array = np.clip(picture, 0, 255).astype(np.uint8)
    left, top, side = RASTER_PX
    rgb[top : top + side, left : left + side] = 0
    rgb[top : top + side, left : left + side][:, np.arange(side) % 4 < 2] = 255
    things = []
    for number, cell in enumerate(rng.permutation(24)[:12].tolist()):  # of 6 x 4, so that things stand apart
        half = int(rng.integers(30, 51))
        x, y = (1000 * at + int(rng.integers(150, 850)) for at in (cell % 6, cell // 6))
        label = ("Coin", "Chip")[number % 2]
        if label == "Coin":
            cv2.circle(rgb, (x, y), half, COLOURS[label], -1)
        else:
            cv2.rectangle(rgb, (x - half, y - half), (x + half, y + half), COLOURS[label], -1)
        things.append(Thing(label, (x - half, y - half, x + half + 1, y + half + 1)))
    ok, jpeg = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert ok
    return jpeg.tobytes(), tuple(things)


@pytest.fixture(scope="module")
def large(label_studio: LabelStudio, service: ServiceProcess) -> LargeProject:
    """Two labelled pictures that taught a version by the button, and one that nobody labelled; predicted."""
    project_id = int(label_studio.create_project(CONFIG, title="large pictures")["id"])
    pictures = [draw(seed) for seed in range(LABELLED + 1)]
    tasks: list[dict[str, Any]] = []
    for number, (jpeg, things) in enumerate(pictures):
        task: dict[str, Any] = {
            "data": {"image": label_studio.upload(project_id, jpeg, f"large-{number}.jpg")}
        }
        if number < LABELLED:
            task["annotations"] = [{"result": [thing.as_result() for thing in things]}]
        tasks.append(task)
    ids = label_studio.import_tasks(project_id, tasks)
    ml_id = label_studio.connect(project_id, service.url, is_interactive=True, extra_params=TRAINING)
    label_studio.start_training(ml_id)
    job = service.wait_for_job(service.training_of(project_id))
    assert job["job_status"] == "finished", as_json(job)
    label_studio.retrieve_predictions(project_id)
    service.wait_for(
        lambda: all(label_studio.predictions(task_id) for task_id in ids), "predictions", within_s=120
    )
    return LargeProject(project_id, ml_id, tuple(ids), tuple(things for _, things in pictures), job)


def box_pct(result: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return the box around a rectangle or a polygon, in percent of the picture."""
    value = result["value"]
    if "points" in value:
        corners = np.array(value["points"])
        return (*corners.min(0), *corners.max(0))
    return value["x"], value["y"], value["x"] + value["width"], value["y"] + value["height"]


def overlap(result: dict[str, Any], thing: Thing) -> float:
    """Return the IoU of the box of a result, read as percent of 6000 x 4000, and that of a thing."""
    left, top, right, bottom = np.array(box_pct(result)) * (WIDTH, HEIGHT, WIDTH, HEIGHT) / 100
    x1, y1, x2, y2 = thing.box_xyxy_px
    common = max(0.0, min(right, x2) - max(left, x1)) * max(0.0, min(bottom, y2) - max(top, y1))
    return float(common / ((right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - common))


def test_pictures_are_cut_and_things_are_found_where_they_are(
    large: LargeProject, label_studio: LabelStudio, editor_page: Page, tmp_path: Path
) -> None:
    assert "cut into" in large.job["tiles"]
    for task_id, things in zip(large.task_ids, large.things, strict=True):
        [prediction] = label_studio.predictions(task_id)
        results = prediction["result"]
        assert {(one["original_width"], one["original_height"]) for one in results} == {(WIDTH, HEIGHT)}
        found = [max((overlap(one, thing) for one in results), default=0.0) for thing in things]
        assert np.mean(np.array(found) > 0.5) >= 0.75, (found, as_json(results))
    fresh = large.task_ids[LABELLED]
    count = len(label_studio.predictions(fresh)[0]["result"])
    editor = LabelEditor(editor_page, label_studio, large.project_id)
    assert len(editor.open_predicted(fresh, count)) == count
    editor.shot("large-editor-predictions", tmp_path)
    assert not editor.complaints


def test_a_click_brings_the_thing_where_it_lies(large: LargeProject, label_studio: LabelStudio) -> None:
    thing = large.things[LABELLED][0]
    left, top, right, bottom = thing.box_xyxy_px
    middle_pct = (50 * (left + right) / WIDTH, 50 * (top + bottom) / HEIGHT)
    fresh = large.task_ids[LABELLED]
    [region] = wait_for_smart_tools(label_studio, large.ml_id, fresh, middle_pct, thing.label)
    assert region["type"] == "rectanglelabels"
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert overlap(region, thing) > 0.5, (region["value"], thing)


def test_the_panel_shows_the_pictures_own_pixels(
    large: LargeProject, service: ServiceProcess, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{service.url}/panel")
    page.select_option("#project-switch", label=f"large pictures ({large.project_id})")
    task_id = large.task_ids[0]
    page.locator(f'.tile[aria-label^="Task {task_id},"]').click()
    expect(page.locator("#image")).to_have_attribute("src", re.compile(rf"/tasks/{task_id}/images/"))
    expect(page.locator("#image")).to_be_visible(timeout=60_000)
    shot(page, "large-panel-fitted", tmp_path)
    left, top, side = RASTER_PX
    place = zoom_in(page, (left + side / 2, top + side / 2), (WIDTH, HEIGHT))
    wait_for_lines(page, place)
    shot(page, "large-panel-raster", tmp_path)
    page.locator("#zoom-fit").click()
    x1, y1, x2, y2 = large.things[0][0].box_xyxy_px
    zoom_in(page, ((x1 + x2) / 2, (y1 + y2) / 2), (WIDTH, HEIGHT))
    page.wait_for_load_state("networkidle")
    shot(page, "large-panel-thing", tmp_path)
    context.close()
    assert errors == []


def shot(page: Page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")
