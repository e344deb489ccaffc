"""Predictions of the kinds that not every project has, in Label Studio's own editor: taken up and edited.

A turned rectangle, a bitmask, a closed vector and a key point are opened, changed with the mouse and
submitted. What Label Studio stores is what was predicted, but for the change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from backend.core.geometry.instances import BoolArray, Detections, ImageSize, MaskPatch
from backend.core.geometry.points import POINTS, FoundPoints
from backend.core.geometry.turned_boxes import NOT_TURNED, turned_bounds
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import detections_to_results, make_prediction
from backend.core.labelstudio.task_pages import task_pages
from backend.core.regions.mask_png import decode_mask_url
from harness.label_editor import LabelEditor
from harness.label_studio_server import LabelStudio

if TYPE_CHECKING:
    from playwright.sync_api import Page

XML = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Car"/></RectangleLabels>
  <BitmaskLabels name="pixels" toName="image"><Label value="Leaf"/></BitmaskLabels>
  <VectorLabels name="outline" toName="image" closable="true"><Label value="Field"/></VectorLabels>
  <KeyPointLabels name="point" toName="image"><Label value="Nose"/></KeyPointLabels>
</View>"""
SIZE = ImageSize(320, 240)
CAR_PX = np.array([[80, 60, 90, 40, 25]], np.float32)
FIELD_PX = np.array([[40, 140], [130, 150], [120, 220], [50, 210]])
LEAF_MIDDLE_PX, LEAF_RADIUS_PX = (230, 70), 40
NOSE_PX = (240.0, 180.0)


def drawn(**outlines: Any) -> MaskPatch:
    """Return an area of the image: `circle=(middle, radius)` or `polygon=corners`."""
    mask = np.zeros((SIZE.height, SIZE.width), np.uint8)
    if "circle" in outlines:
        cv2.circle(mask, *outlines["circle"], 1, -1)
    else:
        cv2.fillPoly(mask, [outlines["polygon"].astype(np.int32)], 1)
    patch = MaskPatch.from_full(mask > 0)
    assert patch is not None
    return patch


def predicted() -> list[dict[str, Any]]:
    """Return the results that the backend makes of one object of each kind, and a point."""
    config = parse_label_config(XML)
    leaf, field = drawn(circle=(LEAF_MIDDLE_PX, LEAF_RADIUS_PX)), drawn(polygon=FIELD_PX)
    boxes = [turned_bounds(CAR_PX)[0], *(_box(patch) for patch in (leaf, field))]
    nose = FoundPoints(
        np.array([NOSE_PX], np.float32),
        np.array([0.6], np.float32),
        np.array([config.labels.index("Nose")]),
        np.array([-1]),
    )
    found = Detections(
        SIZE,
        np.array(boxes, np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([config.labels.index(label) for label in ("Car", "Leaf", "Field")]),
        (None, leaf, field),
        extras={POINTS: nose},
        turned_boxes_px=np.stack([CAR_PX[0], NOT_TURNED, NOT_TURNED]),
    )
    (page,) = task_pages({"data": {"image": "x"}}, config)
    thresholds = dict.fromkeys(config.control_names, 0.3)
    rng = np.random.default_rng(0)
    return detections_to_results(found, config.labels, config, page, thresholds, rng)


def _box(patch: MaskPatch) -> list[int]:
    rows, columns = patch.bits.shape
    return [patch.left_px, patch.top_px, patch.left_px + columns, patch.top_px + rows]


def mask_of(result: dict[str, Any]) -> BoolArray:
    """Return the pixels of a bitmask's result."""
    return np.asarray(decode_mask_url(result["value"]["imageDataURL"], SIZE) > 127)


def pct(x_px: float, y_px: float) -> tuple[float, float]:
    return 100 * x_px / SIZE.width, 100 * y_px / SIZE.height


@pytest.fixture
def opened(editor_page: Page, label_studio: LabelStudio) -> LabelEditor:
    """The editor with a task that has been predicted, open as an annotation that begins so."""
    project = label_studio.create_project(XML, title="kinds of regions")["id"]
    picture = np.full((SIZE.height, SIZE.width, 3), 90, np.uint8)
    _, png = cv2.imencode(".png", picture)
    reference = label_studio.upload(project, png.tobytes(), "picture.png")
    results = predicted()
    prediction = make_prediction(results, 0.8, "v1")
    (task,) = label_studio.import_tasks(
        project, [{"data": {"image": reference}, "predictions": [prediction]}]
    )
    editor = LabelEditor(editor_page, label_studio, project)
    editor.open_predicted(task, len(results))
    return editor


def by_type(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({result["type"] for result in results}) == len(results)
    return {result["type"]: result for result in results}


def test_predictions_of_every_kind_are_edited_and_stored_with_nothing_but_the_edit_changed(
    opened: LabelEditor, tmp_path: Path
) -> None:
    before = by_type(predicted())
    opened.move(pct(80, 60), pct(90, 66))
    opened.move(pct(*NOSE_PX), pct(260, 190))
    corner = before["vectorlabels"]["value"]["vertices"][0]
    opened.select(pct(85, 180))
    opened.drag((corner["x"], corner["y"]), (corner["x"] - 4, corner["y"] - 5))
    opened.select(pct(*LEAF_MIDDLE_PX))
    opened.take("bitmask-tool")
    beside = (LEAF_MIDDLE_PX[0] + LEAF_RADIUS_PX, LEAF_MIDDLE_PX[1])
    opened.drag(pct(*beside), pct(beside[0] + 20, beside[1]))
    opened.shot("editor-kinds-edited", tmp_path)
    after = by_type(opened.submit())
    assert not opened.complaints
    assert set(after) == set(before)
    for name, result in after.items():
        same = ("from_name", "to_name", "original_width", "original_height", "image_rotation")
        assert {key: result[key] for key in same} == {key: before[name][key] for key in same}
        assert result["value"][name] == before[name]["value"][name]
    car, car_before = after["rectanglelabels"]["value"], before["rectanglelabels"]["value"]
    assert car_before["rotation"] == pytest.approx(25, abs=0.01)
    assert {key: car[key] for key in ("width", "height", "rotation")} == pytest.approx(
        {key: car_before[key] for key in ("width", "height", "rotation")}, abs=0.01
    )
    assert car["x"] - car_before["x"] == pytest.approx(100 * 10 / SIZE.width, abs=0.5)
    assert car["y"] - car_before["y"] == pytest.approx(100 * 6 / SIZE.height, abs=0.5)
    nose = after["keypointlabels"]["value"]
    assert (nose["x"], nose["y"]) == pytest.approx(pct(260, 190), abs=0.5)
    assert nose["width"] == before["keypointlabels"]["value"]["width"]
    places, expected = places_of(after["vectorlabels"]), places_of(before["vectorlabels"])
    expected[corner["id"]] = (corner["x"] - 4, corner["y"] - 5)
    assert set(places) == set(expected)
    assert all(places[name] == pytest.approx(expected[name], abs=0.5) for name in expected)
    assert after["vectorlabels"]["value"]["closed"] is True
    leaf, leaf_before = mask_of(after["bitmasklabels"]), mask_of(before["bitmasklabels"])
    assert (leaf_before & ~leaf).sum() == 0
    added = np.argwhere(leaf & ~leaf_before)
    assert len(added) > 100
    assert (np.abs(added - [LEAF_MIDDLE_PX[1], beside[0] + 10]) <= [20, 35]).all()


def test_predictions_that_nobody_edits_are_stored_as_they_were_predicted(opened: LabelEditor) -> None:
    before, after = by_type(predicted()), by_type(opened.submit())
    assert not opened.complaints
    assert set(after) == set(before)
    assert (mask_of(after["bitmasklabels"]) == mask_of(before["bitmasklabels"])).all()
    for name in ("rectanglelabels", "keypointlabels"):
        assert numbers(after[name]) == pytest.approx(numbers(before[name]), abs=1e-3)
    kept, sent = (results["vectorlabels"]["value"]["vertices"] for results in (after, before))
    assert [(v["id"], v["prevPointId"]) for v in kept] == [(v["id"], v["prevPointId"]) for v in sent]
    for one, other in zip(kept, sent, strict=True):
        assert (one["x"], one["y"]) == pytest.approx((other["x"], other["y"]), abs=1e-3)


def places_of(result: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {vertex["id"]: (vertex["x"], vertex["y"]) for vertex in result["value"]["vertices"]}


def numbers(result: dict[str, Any]) -> dict[str, float]:
    return {key: number for key, number in result["value"].items() if isinstance(number, int | float)}
