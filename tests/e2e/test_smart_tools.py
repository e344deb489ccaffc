"""The smart tools as an annotator uses them: every tool of the editor, every control an answer comes in.

One labeling config has them all: the label decides in which control the answer is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from demo.pictures import Mask, draw_pictures, iou
from harness.label_studio_server import LabelStudio
from harness.service_process import ServiceProcess
from harness.smart_editor import Point, SmartEditor
from tests.e2e.projects import region_to_mask, wait_for_smart_tools

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONTROL_OF = {
    "Painted": "brush",
    "Outlined": "polygon",
    "Round": "ellipse",
    "Boxed": "rectangle",
}
POINTS, BOXES = 0, 1
"""Which group of labels on the screen belongs to the smart tool."""
LEAST_IOU = 0.25
"""Low, as the network knows nothing of these pictures and may take neighbours along: that the answer lies on
the object is what is tested here, not how well."""


def _label_config() -> str:
    every = "".join(f'<Label value="{label}"/>' for label in CONTROL_OF)
    tags = [
        '<Image name="image" value="$image"/>',
        f'<KeyPointLabels name="point" toName="image" smart="true">{every}</KeyPointLabels>',
        f'<RectangleLabels name="box" toName="image" smart="true">{every}</RectangleLabels>',
        '<BrushLabels name="brush" toName="image" smart="true"><Label value="Painted"/></BrushLabels>',
        '<PolygonLabels name="polygon" toName="image" smart="true"><Label value="Outlined"/></PolygonLabels>',
        '<EllipseLabels name="ellipse" toName="image" smart="true"><Label value="Round"/></EllipseLabels>',
    ]
    return f"<View>{''.join(tags)}</View>"


class Tasks:
    """Tasks of one project, one object each to point at; handed out one by one."""

    def __init__(self, label_studio: LabelStudio, service: ServiceProcess, count: int) -> None:
        self.label_studio = label_studio
        pictures = draw_pictures(count, 5)
        # Hidden predictions, because objects that earlier tests submitted bring their like on later tasks,
        # and a click on a region selects it.
        self.project_id = label_studio.create_project(
            _label_config(), title="smart tools", show_collab_predictions=False
        )["id"]
        references = [
            label_studio.upload(self.project_id, picture.as_jpeg(), f"picture-{index}.jpg")
            for index, picture in enumerate(pictures)
        ]
        ids = label_studio.import_tasks(
            self.project_id, [{"data": {"image": reference}} for reference in references]
        )
        self.ml_id = label_studio.connect(self.project_id, service.url, is_interactive=True)
        masks = [max((thing.mask for thing in picture.things), key=np.sum) for picture in pictures]
        self._left = iter(list(zip(ids, masks, strict=True)))

    def next(self) -> tuple[int, Mask]:
        """Return a fresh task and the mask [H, W] of its largest object, its image prepared."""
        task_id, mask = next(self._left)
        wait_for_smart_tools(self.label_studio, self.ml_id, task_id, middle_of(mask), "Painted")
        return task_id, mask


@pytest.fixture(scope="module")
def tasks(label_studio: LabelStudio, service: ServiceProcess) -> Tasks:
    """Tasks of a project before any training."""
    return Tasks(label_studio, service, 8)


@pytest.fixture
def editor(editor_page: Page, label_studio: LabelStudio, tasks: Tasks) -> Iterator[SmartEditor]:
    """The editor, with nothing open yet."""
    yield SmartEditor(editor_page, label_studio, tasks.project_id)


@pytest.mark.parametrize("label", CONTROL_OF)
def test_clicks_bring_refine_and_leave_one_region_in_the_control_that_is_needed(
    editor: SmartEditor, tasks: Tasks, tmp_path: Path, label: str
) -> None:
    task_id, mask = tasks.next()
    kind = CONTROL_OF[label]
    on, beside = another_point_on(mask), a_point_beside(mask)
    editor.open(task_id)
    for number, (point, is_negative) in enumerate(
        [(middle_of(mask), False), (on, False), (beside, True)], start=1
    ):
        editor.choose("key-point-tool", POINTS, label)
        (editor.click_beside if is_negative else editor.click)(point)
        [region] = editor.answered(number)
        assert region["type"] == f"{kind}labels"
        assert region["value"][f"{kind}labels"] == [label]
        assert editor.suggestions() == [f"{kind}region"]
        editor.shot(f"smart-click-{kind}-{number}", tmp_path)
    if kind == "brush":
        found = region_to_mask(region)
        assert found[at(on, mask)] and not found[at(beside, mask)]
    truth = filled_box(mask) if kind == "rectangle" else mask
    assert iou(region_to_mask(region), truth) > LEAST_IOU
    accepted = editor.accept()
    editor.shot(f"smart-click-{kind}-accepted", tmp_path)
    assert [(one["type"], "is_positive" in one) for one in accepted] == [(f"{kind}labels", False)]
    stored = editor.submit()
    assert [one["type"] for one in stored] == [f"{kind}labels"]
    assert stored[0]["value"][f"{kind}labels"] == [label]


def test_a_rejected_suggestion_leaves_nothing_behind_and_the_next_one_can_be_accepted(
    editor: SmartEditor, tasks: Tasks, tmp_path: Path
) -> None:
    task_id, mask = tasks.next()
    (left, top), (right, bottom) = box_of(mask)
    editor.open(task_id)
    for number in (1, 2):
        editor.choose("rectangle-tool", BOXES, "Painted")
        editor.drag((left, top), (right, bottom))
        [region] = editor.answered(number)
        assert region["type"] == "brushlabels"
        assert iou(region_to_mask(region), mask) > LEAST_IOU
        editor.shot(f"smart-rectangle-{number}", tmp_path)
        if number == 1:
            assert editor.reject() == []
    assert [one["type"] for one in editor.accept()] == ["brushlabels"]


def test_a_turned_rectangle_of_three_points_brings_the_object(
    editor: SmartEditor, tasks: Tasks, tmp_path: Path
) -> None:
    task_id, mask = tasks.next()
    (left, top), (right, bottom) = box_of(mask)
    editor.open(task_id)
    editor.choose("rectangle-3-point-tool", BOXES, "Outlined")
    lean = (right - left) / 12
    editor.move_and_click((left + lean, top), (right + lean, top), (right - lean, bottom))
    [region] = editor.answered(1)
    assert region["type"] == "polygonlabels"
    assert iou(region_to_mask(region), mask) > LEAST_IOU
    editor.shot("smart-three-points", tmp_path)
    assert [one["type"] for one in editor.accept()] == ["polygonlabels"]


def test_an_accepted_region_can_be_edited_like_a_drawn_one(
    editor: SmartEditor, tasks: Tasks, tmp_path: Path
) -> None:
    task_id, mask = tasks.next()
    editor.open(task_id)
    editor.choose("key-point-tool", POINTS, "Boxed")
    editor.click(middle_of(mask))
    editor.answered(1)
    [before] = editor.accept()
    value = before["value"]
    middle = (value["x"] + value["width"] / 2, value["y"] + value["height"] / 2)
    away = 5.0 if value["x"] + value["width"] < 94 else -5.0
    editor.move(middle, (middle[0] + away, middle[1]))
    [after] = editor.regions()
    editor.shot("smart-edited", tmp_path)
    assert after["value"]["x"] == pytest.approx(value["x"] + away, abs=1.5)
    assert after["value"]["width"] == pytest.approx(value["width"], abs=0.5)


def middle_of(mask: Mask) -> Point:
    """Return the pixel deepest inside a mask, in percent."""
    return _pct(np.unravel_index(int(np.argmax(_depth(mask))), mask.shape), mask)


def another_point_on(mask: Mask) -> Point:
    """Return a pixel well inside the mask, as far from its middle as there is one."""
    depth = _depth(mask)
    rows, columns = np.nonzero(depth >= min(6.0, depth.max() / 2))
    x, y = middle_of(mask)
    distances = np.hypot(columns - x * mask.shape[1] / 100, rows - y * mask.shape[0] / 100)
    furthest = int(np.argmax(distances))
    return _pct((rows[furthest], columns[furthest]), mask)


def a_point_beside(mask: Mask) -> Point:
    """Return a pixel a little outside the mask and not at the edge of the picture."""
    rows, columns = np.nonzero((_depth(~mask) >= 14) & (_depth(~mask) < 16))
    inside = (rows > 20) & (rows < mask.shape[0] - 20) & (columns > 20) & (columns < mask.shape[1] - 20)
    return _pct((rows[inside][0], columns[inside][0]), mask)


def at(point: Point, mask: Mask) -> tuple[int, int]:
    """Return row and column of a point in percent."""
    return int(point[1] / 100 * mask.shape[0]), int(point[0] / 100 * mask.shape[1])


def box_of(mask: Mask, margin: float = 0.04) -> tuple[Point, Point]:
    """Return two corners around a mask with a margin (share of its sides), in percent."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    x1, x2 = 100 * columns[0] / width, 100 * (columns[-1] + 1) / width
    y1, y2 = 100 * rows[0] / height, 100 * (rows[-1] + 1) / height
    along, down = margin * (x2 - x1), margin * (y2 - y1)
    return (float(x1 - along), float(y1 - down)), (float(x2 + along), float(y2 + down))


def filled_box(mask: Mask) -> Mask:
    """Return the mask of the box around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def _depth(mask: Mask) -> np.ndarray:
    return np.asarray(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5))[1:-1, 1:-1]


def _pct(row_column: tuple[int, int], mask: Mask) -> Point:
    row, column = row_column
    return float(100 * (column + 0.5) / mask.shape[1]), float(100 * (row + 0.5) / mask.shape[0])
