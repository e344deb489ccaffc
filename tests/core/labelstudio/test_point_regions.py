"""Key points from annotations to what they teach, and from what was found to predictions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.points import POINTS, FoundPoints, points_of
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import detections_to_results
from backend.core.labelstudio.task_pages import task_pages

SIZE = ImageSize(200, 100)
POINT_TAG = (
    '<KeyPointLabels name="kp" toName="image"><Label value="left ear"/><Label value="right ear"/>'
    "</KeyPointLabels>"
)
BOX_TAG = '<RectangleLabels name="box" toName="image"><Label value="mouse"/></RectangleLabels>'


def config(*tags):
    return parse_label_config(f'<View><Image name="image" value="$image"/>{"".join(tags)}</View>')


def point(x, y, label="left ear", **more):
    value = {"x": x, "y": y, "width": 1, "keypointlabels": [label]}
    base = {"from_name": "kp", "to_name": "image", "type": "keypointlabels", "value": value}
    return {**base, "original_width": 200, "original_height": 100, "id": f"{x}-{y}", **more}


def box(region_id):
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["mouse"]}
    base = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value}
    return {**base, "original_width": 200, "original_height": 100, "id": region_id}


def taught(results, parsed):
    task = {"id": 1, "data": {"image": "a"}, "annotations": [{"id": 1, "result": results}]}
    annotated = annotated_task(task, parsed)
    page = build_target(annotated.pages[0].regions, parsed.labels, SIZE)
    return page.target, annotated.unusable + page.unusable


def test_a_point_teaches_its_place_and_the_side_that_it_has_in_a_mirror():
    target, unusable = taught([point(25, 50), point(75, 10, "right ear")], config(POINT_TAG))
    assert [tuple(p) for p in points_of(target)] == [(50, 50, 0, 1, -1), (150, 10, 1, 0, -1)]
    assert len(target) == 0 and not unusable


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (point(101, 50), "outside_image"),
        (point(50, -3), "outside_image"),
        (point("x", 50), "bad_geometry"),
        (point(50, 50, "gone"), "unknown_label"),
        (point(50, 50, is_positive=True), "prompt"),
    ],
    ids=["right of it", "above it", "no number", "unknown label", "a click"],
)
def test_a_point_that_cannot_be_used_costs_itself_and_is_counted(result, reason):
    target, unusable = taught([point(25, 50), result], config(POINT_TAG))
    assert len(points_of(target)) == 1 and unusable == Counter({reason: 1})


def test_points_on_the_edge_of_the_image_are_on_it():
    target, unusable = taught([point(0, 0), point(100, 100.0001)], config(POINT_TAG))
    assert [(p.x_px, p.y_px) for p in points_of(target)] == [(0, 0), (200, 100)] and not unusable


def test_points_of_a_smart_tool_whose_label_is_drawn_are_prompts():
    smart = POINT_TAG.replace("<KeyPointLabels", '<KeyPointLabels smart="true"').replace("left ear", "mouse")
    target, unusable = taught([box("r"), point(25, 50, "mouse")], config(smart, BOX_TAG))
    assert len(target) == 1 and not points_of(target) and unusable == Counter(keypoint=1)


def test_points_with_one_parent_or_a_relation_belong_to_one_object():
    results = [
        box("r"),
        point(20, 20, parentID="r"),
        point(30, 20, "right ear", parentID="r"),
        point(70, 20),
        point(80, 20, "right ear"),
        {"type": "relation", "from_id": "70-20", "to_id": "80-20", "direction": "right"},
        point(90, 90),
    ]
    target, _ = taught(results, config(POINT_TAG, BOX_TAG))
    a, b, c, d, alone = (p.object_index for p in points_of(target))
    assert a == b != c == d and alone == -1 and a != -1


def written(found, parsed, thresholds, boxes=()):
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    scores, labels = np.full(len(rows), 0.9, np.float32), np.zeros(len(rows), np.int64)
    detections = Detections(SIZE, rows, scores, labels, (None,) * len(rows), extras={POINTS: found})
    page = task_pages({"id": 1, "data": {"image": "a"}}, parsed)[0]
    rng = np.random.default_rng(0)
    return detections_to_results(
        detections, ["mouse", "left ear", "right ear"], parsed, page, thresholds, rng
    )


def test_found_points_are_written_from_the_threshold_of_their_tag_up():
    found = FoundPoints(
        np.array([[50, 25], [100, 50], [150, 75]], np.float32),
        np.array([0.9, 0.5, 0.2], np.float32),
        np.array([1, 2, 1], np.int64),
        np.full(3, -1),
    )
    first, second = written(found, config(POINT_TAG), {"kp": 0.3})
    assert first["type"] == "keypointlabels" and first["from_name"] == "kp" and first["score"] == 0.9
    assert first["value"] == {"x": 25.0, "y": 25.0, "width": 0.5, "keypointlabels": ["left ear"]}
    assert second["value"]["keypointlabels"] == ["right ear"] and "parentID" not in second


def test_a_found_point_names_the_region_of_its_object_as_its_parent():
    found = FoundPoints(
        np.array([[50, 25]], np.float32), np.array([0.9], np.float32), np.array([1]), np.array([1])
    )
    boxes = [[100, 50, 180, 90], [20, 10, 80, 60]]
    results = written(found, config(POINT_TAG, BOX_TAG), {"kp": 0.3, "box": 0.3}, boxes)
    (own,) = (r["id"] for r in results if r["type"] == "rectanglelabels" and r["value"]["x"] == 10)
    assert [r["parentID"] for r in results if r["type"] == "keypointlabels"] == [own]
