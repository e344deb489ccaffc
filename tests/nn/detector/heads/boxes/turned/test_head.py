from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.core.geometry.turned_boxes import NOT_TURNED, turned_bounds
from backend.nn.detector.heads.average_precision import turned_average_precision
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.boxes.losses import Learners
from backend.nn.detector.heads.boxes.turned.head import TURNED_BOXES
from backend.nn.detector.heads.boxes.turned.losses import turn_loss, turned_targets
from backend.nn.detector.heads.turning import TURNED_SHARE_MIN, turned_shares

SIZE = ImageSize(100, 80)
ON = {"enable_detection": True}


def target(*degrees, labels=None, width=30.0):
    """Return rectangles that are turned by so many degrees; None: drawn upright."""
    rows = np.array([[50, 40, width, 10, turn or 0] for turn in degrees], np.float32).reshape(-1, 5)
    boxes = turned_bounds(rows)
    for row, turn in zip(rows, degrees, strict=True):
        if turn is None:
            row[:] = NOT_TURNED
    indices = np.array(labels or [0] * len(degrees), np.int64)
    return TrainingTarget(SIZE, boxes, indices, (None,) * len(degrees), turned_boxes_px=rows)


def test_a_label_is_drawn_turned_from_one_rectangle_in_ten():
    some, fewer = [target(20, *[None] * 9)], [target(20, *[None] * 10)]
    assert turned_shares(some, 2) == (0.1, 0.0) and TURNED_SHARE_MIN == 0.1
    assert TURNED_BOXES.is_wanted(ON, some) and not BOXES.is_wanted(ON, some)
    assert BOXES.is_wanted(ON, fewer) and not TURNED_BOXES.is_wanted(ON, fewer)
    assert not TURNED_BOXES.is_wanted({"enable_detection": False}, some)


def test_the_card_keeps_the_shares():
    reading = TURNED_BOXES.reading([target(20, None, labels=[0, 1])], 2)
    card = TURNED_BOXES.card_entries(reading)
    assert card["turned_shares"] == [1.0, 0.0]
    assert TURNED_BOXES.reading_of(card, 2) == reading
    with pytest.raises(ValueError, match="3 labels, and 2 shares"):
        TURNED_BOXES.reading_of(card, 3)


def loss_of(shown, code):
    targets = turned_targets(BOXES.targets([shown], 1, np.random.default_rng(0)), [shown])
    cells, ones = torch.tensor([0]), torch.ones(1)
    return float(turn_loss(code, targets, [Learners(cells, cells, ones, ones[None])]))


def test_the_right_code_costs_nothing_and_a_cut_object_teaches_none():
    shown = target(25)
    right = turned_targets(BOXES.targets([shown], 1, np.random.default_rng(0)), [shown]).codes[0][None]
    assert loss_of(shown, right) == 0
    assert loss_of(shown, -right) > 1
    cut = replace(shown, boxes_xyxy_px=shown.boxes_xyxy_px * np.float32((1, 1, 0.8, 1)))
    assert loss_of(cut, -right) == 0


def found_at(degrees, score=0.9):
    rows = np.array([[50, 40, 30, 10, degrees]], np.float32)
    scores, labels = np.array([score], np.float32), np.zeros(1, np.int64)
    return Detections(SIZE, turned_bounds(rows), scores, labels, (None,), turned_boxes_px=rows)


@pytest.mark.parametrize(
    ("found", "value"),
    [
        pytest.param(found_at(25), 1.0, id="right"),
        pytest.param(found_at(-25), 0.0, id="mirrored, with the same box around it"),
        pytest.param(replace(found_at(25), turned_boxes_px=None), 0.0, id="the box around it"),
    ],
)
def test_precision_of_turned_boxes_knows_the_angle(found, value):
    assert turned_average_precision([found], [target(25)], 1) == {"turned_map50": value}


def test_precision_of_turned_boxes_counts_misses_and_labels_that_occur():
    both = [found_at(25), found_at(-60)]
    assert turned_average_precision(both, [target(25), target(25)], 3)["turned_map50"] == pytest.approx(
        51 / 101
    )
    assert turned_average_precision([found_at(25)], [target()], 1) == {"turned_map50": 0.0}
