"""Turned rectangles from the smart tools, in Label Studio's own editor: shown turned, and stored so.

The project's rectangles are drawn turned, and a version has learned from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from demo.pictures import iou
from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from harness.smart_editor import Point, SmartEditor
from tests.e2e.projects import QUICK_TRAINING, region_to_mask, wait_for_smart_tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

WIDTH, HEIGHT = 480, 360
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <KeyPointLabels name="point" toName="image" smart="true"><Label value="Stick"/></KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true"><Label value="Stick"/></RectangleLabels>
</View>"""
POINTS, BOXES = 0, 1
"""Which group of labels on the screen belongs to the smart tool."""
LABELLED = 6
# That a version has learned from turned rectangles is what counts, not how well.
TRAINING = {**QUICK_TRAINING, "epochs": 1}
# How the editor draws the regions of the annotation: degrees clockwise.
_ROTATIONS = "() => Htx.annotationStore.selected.regions.map(region => region.rotation)"


@dataclass(frozen=True)
class Stick:
    """A bright bar: middle, length and width in pixels, and how far it is turned clockwise."""

    middle_px: Point
    size_px: Point
    degrees: float

    def corners_px(self, margin: float = 0.0) -> np.ndarray:
        """Return the corners [4, 2] of the bar, clockwise from its top left; margin: a share of its sides."""
        half = np.array(self.size_px) / 2 * (1 + margin)
        turn = np.deg2rad(self.degrees)
        across = np.array([np.cos(turn), np.sin(turn)]) * half[0]
        down = np.array([-np.sin(turn), np.cos(turn)]) * half[1]
        middle = np.array(self.middle_px)
        return np.array(
            [middle - across - down, middle + across - down, middle + across + down, middle - across + down]
        )

    def as_result(self) -> dict[str, Any]:
        """Return it as an annotator draws it, turned about its top left corner."""
        left, top = self.corners_px()[0]
        value = {
            "x": 100 * left / WIDTH,
            "y": 100 * top / HEIGHT,
            "width": 100 * self.size_px[0] / WIDTH,
            "height": 100 * self.size_px[1] / HEIGHT,
            "rotation": self.degrees,
            "rectanglelabels": ["Stick"],
        }
        size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
        return {"from_name": "box", "to_name": "image", "type": "rectanglelabels", **size, "value": value}


@dataclass(frozen=True)
class Sticks:
    """A project whose version has learned turned rectangles; fresh: its tasks without labels, and a stick."""

    project_id: int
    ml_id: int
    fresh: tuple[tuple[int, Stick], ...]


def draw(rng: np.random.Generator) -> tuple[bytes, list[Stick]]:
    """Return a JPEG with two sticks, one in each half, and the sticks."""
    picture = rng.normal(110, 6, (HEIGHT, WIDTH, 3))
    sticks = []
    for x in (WIDTH / 4, 3 * WIDTH / 4):
        middle = (float(x + rng.uniform(-15, 15)), float(HEIGHT / 2 + rng.uniform(-60, 60)))
        size = (float(rng.uniform(130, 170)), float(rng.uniform(32, 44)))
        stick = Stick(middle, size, float(rng.uniform(25, 65)))
        cv2.fillConvexPoly(picture, np.round(stick.corners_px()).astype(np.int32), (225, 190, 90))
        sticks.append(stick)
    ok, jpeg = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8)[:, :, ::-1])
    assert ok
    return jpeg.tobytes(), sticks


@pytest.fixture(scope="module")
def sticks(label_studio: LabelStudio, service: ServiceProcess) -> Sticks:
    """A project with turned rectangles, trained by the button."""
    # Hidden predictions, as a click on a region selects it.
    project = label_studio.create_project(CONFIG, title="turned answers", show_collab_predictions=False)
    project_id = int(project["id"])
    rng = np.random.default_rng(3)
    pictures = [draw(rng) for _ in range(LABELLED + 2)]
    tasks: list[dict[str, Any]] = []
    for number, (jpeg, drawn) in enumerate(pictures):
        reference = label_studio.upload(project_id, jpeg, f"sticks-{number}.jpg")
        labelled = {"annotations": [{"result": [stick.as_result() for stick in drawn]}]}
        tasks.append({"data": {"image": reference}, **(labelled if number < LABELLED else {})})
    ids = label_studio.import_tasks(project_id, tasks)
    ml_id = label_studio.connect(project_id, service.url, is_interactive=True, extra_params=TRAINING)
    label_studio.start_training(ml_id)
    job = service.wait_for_job(service.training_of(project_id))
    assert job["job_status"] == "finished", as_json(job)
    fresh = [(task_id, drawn[0]) for task_id, (_, drawn) in zip(ids, pictures, strict=True)][LABELLED:]
    return Sticks(project_id, ml_id, tuple(fresh))


def click(editor: SmartEditor, stick: Stick) -> None:
    editor.choose("key-point-tool", POINTS, "Stick")
    editor.click(pct(stick.middle_px))


def draw_around(editor: SmartEditor, stick: Stick) -> None:
    editor.choose("rectangle-3-point-tool", BOXES, "Stick")
    top_left, top_right, bottom_right, _ = stick.corners_px(margin=0.1)
    editor.move_and_click(pct(top_left), pct(top_right), pct(bottom_right))


@pytest.mark.parametrize(("number", "gesture"), [(0, click), (1, draw_around)])
def test_a_turned_rectangle_is_shown_turned_and_stored_so(
    label_studio: LabelStudio,
    editor_page: Page,
    sticks: Sticks,
    tmp_path: Path,
    number: int,
    gesture: Callable[[SmartEditor, Stick], None],
) -> None:
    task_id, stick = sticks.fresh[number]
    wait_for_smart_tools(label_studio, sticks.ml_id, task_id, pct(stick.middle_px), "Stick")
    editor = SmartEditor(editor_page, label_studio, sticks.project_id)
    editor.open(task_id)
    gesture(editor, stick)
    [answer] = editor.answered(1)
    editor.shot(f"smart-turned-{gesture.__name__}", tmp_path)
    assert answer["type"] == "rectanglelabels"
    rotation = answer["value"]["rotation"]
    assert between(rotation, stick.degrees) < 10
    assert iou(region_to_mask(answer), stick_mask(stick)) > 0.6
    [accepted] = editor.accept()
    editor.shot(f"smart-turned-{gesture.__name__}-accepted", tmp_path)
    assert editor_page.evaluate(_ROTATIONS) == pytest.approx([rotation], abs=0.1)
    [stored] = editor.submit()
    for one in (accepted, stored):
        numbers = {name: value for name, value in one["value"].items() if isinstance(value, int | float)}
        assert numbers == pytest.approx({name: answer["value"][name] for name in numbers}, abs=0.1)
        assert between(one["value"]["rotation"], stick.degrees) < 10
    assert not editor.complaints


def pct(point_px: Any) -> Point:
    return float(100 * point_px[0] / WIDTH), float(100 * point_px[1] / HEIGHT)


def between(one: float, other: float) -> float:
    """Return the degrees between two rectangles' sides, of which any may be called the first."""
    return abs((one - other + 45) % 90 - 45)


def stick_mask(stick: Stick) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillConvexPoly(mask, np.round(stick.corners_px()).astype(np.int32), 1)
    return mask.astype(bool)
