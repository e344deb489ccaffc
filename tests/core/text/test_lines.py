import json
import math

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.text.lines import NO_OBJECT, LineHabit, TextLine, join_lines, outline_of, owners_of, rows_of

SIZE = ImageSize(200, 100)


def line(x1, y1, x2, y2, score=0.7):
    return TextLine(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32), score)


def found(*boxes, label=0):
    return Detections(
        size=SIZE,
        boxes_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        label_indices=np.full(len(boxes), label, np.int64),
        masks=(None,) * len(boxes),
    )


def test_a_line_belongs_to_the_object_that_holds_most_of_it():
    boxes = np.array([[0, 0, 100, 40], [8, 8, 62, 24]], np.float32)
    lines = np.array([[10, 10, 60, 22], [90, 10, 160, 22], [150, 60, 190, 80]], np.float32)
    assert owners_of(lines, boxes).tolist() == [1, NO_OBJECT, NO_OBJECT]


def test_lines_are_objects_only_where_objects_are_lines():
    lines = [line(10, 10, 60, 22), line(10, 50, 90, 62)]
    alone = join_lines(found([8, 8, 64, 24]), lines, None)
    assert alone.detections.boxes_xyxy_px.tolist() == [[8, 8, 64, 24]]
    joined = join_lines(found([8, 8, 64, 24], [100, 80, 150, 95]), lines, 0)
    assert joined.detections.boxes_xyxy_px.tolist() == [
        [100, 80, 150, 95],  # the network alone has found it
        [10, 10, 60, 22],
        [10, 50, 90, 62],
    ]
    assert joined.detections.scores.tolist() == pytest.approx([0.9, 0.7, 0.7])
    assert joined.detections.masks[2].area_px == 80 * 12
    assert joined.free_count == 2


def test_lines_are_drawn_as_the_team_draws_them_and_read_as_they_were_found():
    joined = join_lines(found(), [line(10, 10, 60, 20)], 0, (-0.5, -0.2, 0.5, 0.1))
    assert joined.detections.boxes_xyxy_px[0] == pytest.approx([5, 8, 65, 21])
    assert joined.rows[0][0][0].tolist() == [[10, 10], [60, 10], [60, 20], [10, 20]]


def test_a_turned_line_grows_along_its_own_sides():
    turned = TextLine(np.array([[50, 10], [50, 60], [40, 60], [40, 10]], np.float32), 0.8)  # runs down
    drawn = turned.drawn_with((0.0, 0.0, 1.0, 0.0))
    assert drawn.corners_px.tolist() == [[50, 10], [50, 70], [40, 70], [40, 10]]


def test_an_object_of_another_label_keeps_its_place():
    joined = join_lines(found([8, 8, 64, 24], label=1), [line(10, 10, 60, 22)], 0)
    assert joined.detections.boxes_xyxy_px.tolist() == [[8, 8, 64, 24]]


def test_a_block_of_text_is_read_row_by_row_from_left_to_right():
    block = join_lines(
        found([0, 0, 200, 100]), [line(100, 41, 180, 53), line(10, 10, 90, 22), line(10, 40, 90, 52)], None
    )
    starts = [[quad[0].tolist() for quad in row] for row in block.rows[0]]
    assert starts == [[[10, 10]], [[10, 40], [100, 41]]]


def test_an_object_without_a_line_is_read_as_a_whole():
    joined = join_lines(found([20, 20, 60, 40]), [], 0)
    [[[quad]]] = joined.rows
    assert quad.tolist() == [[20, 20], [60, 20], [60, 40], [20, 40]]


def test_nothing_found_and_nothing_read_is_nothing():
    joined = join_lines(found(), [], 0)
    assert len(joined.detections) == 0
    assert joined.rows == ()
    assert rows_of([]) == ()


@pytest.mark.parametrize("degrees", [-30, 20, 45])
def test_a_turned_mask_is_read_along_its_longer_side(degrees):
    angle = math.radians(degrees)
    along, down = (
        np.array([math.cos(angle), math.sin(angle)]) * 80,
        np.array([-math.sin(angle), math.cos(angle)]) * 12,
    )
    corners = (
        np.array([100.0, 50.0]) - along / 2 - down / 2 + np.stack([0 * along, along, along + down, down])
    )
    mask = polygon_to_patch(corners, SIZE)
    x1, y1 = corners.min(axis=0)
    x2, y2 = corners.max(axis=0)
    quad = outline_of(np.array([x1, y1, x2, y2], np.float32), mask)
    assert quad == pytest.approx(corners, abs=2.5)


def test_a_habit_is_read_as_it_was_written():
    habit = LineHabit("Text", (0.1, 0.2, -0.1, -0.2))
    assert LineHabit.from_json(json.loads(json.dumps(habit.as_json()))) == habit
