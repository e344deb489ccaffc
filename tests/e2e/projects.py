"""Projects made of generated pictures, and what a prediction on them is worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from demo.pictures import LABELS, Mask, Picture, draw_pictures, iou, region_of
from harness.label_studio_server import LabelStudio

# A small network at a small size: the loop is what is tested, not how well it learns.
QUICK_TRAINING = {
    "backbone": "mobilenetv3_small_100",
    "epochs": 10,
    "image_size": 224,
    "batch_size": 8,
    "learning_rate": 0.004,
    "pretrained": False,
}
SHAPES = ("rectangle", "ellipse", "polygon", "brush")
_TAGS = {
    "rectangle": "RectangleLabels",
    "ellipse": "EllipseLabels",
    "polygon": "PolygonLabels",
    "brush": "BrushLabels",
}


@dataclass(frozen=True)
class GeneratedProject:
    """A project: `pictures[i]` belongs to `task_ids[i]`; the first `annotated` have labels."""

    project_id: int
    task_ids: tuple[int, ...]
    pictures: tuple[Picture, ...]
    annotated: int

    @property
    def unlabelled(self) -> list[int]:
        """Ids of the tasks without labels."""
        return list(self.task_ids[self.annotated :])

    def picture(self, task_id: int) -> Picture:
        """Return the picture of a task."""
        return self.pictures[self.task_ids.index(task_id)]


def label_config(*shapes: str) -> str:
    """Return a labeling config with one control per shape, each with all labels."""
    labels = "".join(f'<Label value="{label}"/>' for label in LABELS)
    controls = "".join(
        f'<{_TAGS[shape]} name="{shape}" toName="image" smart="true">{labels}</{_TAGS[shape]}>'
        for shape in shapes
    )
    return f'<View><Image name="image" value="$image"/>{controls}</View>'


def make_project(
    label_studio: LabelStudio,
    *,
    shapes: Sequence[str],
    title: str,
    annotated: int = 24,
    unlabelled: int = 4,
    seed: int = 1,
    references: Sequence[str] | None = None,
    pictures: Sequence[Picture] | None = None,
) -> GeneratedProject:
    """Create a project whose pictures are uploaded, or found under the given references.

    Each object is labelled once, the shapes taking turns.
    """
    pictures = pictures or draw_pictures(annotated + unlabelled, seed)
    project_id = label_studio.create_project(label_config(*shapes), title=title)["id"]
    tasks: list[dict[str, Any]] = []
    for index, picture in enumerate(pictures):
        reference = (
            references[index]
            if references
            else label_studio.upload(project_id, picture.as_jpeg(), f"picture-{index}.jpg")
        )
        task: dict[str, Any] = {"data": {"image": reference}}
        if index < annotated:
            regions = [
                region_of(thing, shape, shape)
                for number, thing in enumerate(picture.things)
                for shape in [shapes[(index + number) % len(shapes)]]
            ]
            task["annotations"] = [{"result": regions}]
        tasks.append(task)
    ids = label_studio.import_tasks(project_id, tasks)
    return GeneratedProject(project_id, tuple(ids), tuple(pictures), annotated)


def wait_for_smart_tools(
    label_studio: LabelStudio, ml_id: int, task_id: int, place_pct: tuple[float, float], label: str
) -> list[dict[str, Any]]:
    """Click on a task until that is answered, as a busy machine may take longer than a prompt has; return it.

    The key points of the project's labeling config are called `point`.
    """
    x, y = place_pct
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    prompt = {"from_name": "point", "to_name": "image", "type": "keypointlabels", "value": value}
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = label_studio.interactive(ml_id, task_id, {"result": [prompt]})
        if results := answer.get("data", answer).get("result"):
            return list(results)
    raise AssertionError(f"no prompt on task {task_id} was answered within a minute")


def region_to_mask(region: dict[str, Any]) -> Mask:
    """Draw a rectangle, ellipse, polygon or brush region into a mask [H, W]."""
    width, height = region["original_width"], region["original_height"]
    value = region["value"]
    mask = np.zeros((height, width), np.uint8)
    if "rle" in value:
        from label_studio_sdk.converter.brush import decode_rle

        rgba = np.asarray(decode_rle(value["rle"]), np.uint8).reshape(height, width, 4)
        return np.asarray(rgba[:, :, 3] > 127)
    scale = np.array([width, height]) / 100
    if "points" in value:
        points = np.array(value["points"]) * scale
    elif "radiusX" in value:
        angle = np.linspace(0, 2 * np.pi, 90)
        radii = np.array([value["radiusX"], value["radiusY"]]) * scale
        around = np.stack([np.cos(angle), np.sin(angle)], 1) * radii
        points = around @ _turned(value.get("rotation", 0)) + np.array([value["x"], value["y"]]) * scale
    else:
        size = np.array([value["width"], value["height"]]) * scale
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        points = corners @ _turned(value.get("rotation", 0)) + np.array([value["x"], value["y"]]) * scale
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask.astype(bool)


def found_share(picture: Picture, regions: Sequence[dict[str, Any]], *, least_iou: float = 0.4) -> float:
    """Return the share of the picture's objects that some region covers with that IoU, box against box."""
    found = 0
    for thing in picture.things:
        for region in regions:
            mask = region_to_mask(region)
            truth = _boxed(thing.mask) if region["type"].startswith("rectangle") else thing.mask
            if iou(mask, truth) >= least_iou:
                found += 1
                break
    return found / len(picture.things)


def _boxed(mask: Mask) -> Mask:
    box = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def _turned(degrees: float) -> npt.NDArray[np.float64]:
    """Return the matrix that turns row vectors clockwise on the screen."""
    turn = np.deg2rad(degrees)
    return np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
