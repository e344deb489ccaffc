import numpy as np
import pytest

from backend.nn.detector.heads.boxes.decoding import best_candidates, suppress_per_label
from backend.nn.detector.heads.score_map import ScoreMap


def select(logits, boxes, floor=0.3, nms=0.4):
    candidates = best_candidates(np.float32(logits), np.float32(boxes), ScoreMap(), score_floor=floor)
    return candidates.take(suppress_per_label(candidates, nms))


def test_suppresses_within_a_label_only():
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10]]
    found = select([[3, -9], [2, -9], [-9, 1]], boxes)
    assert found.label_indices.tolist() == [0, 1]
    assert np.all(np.diff(found.scores) <= 0)


@pytest.mark.parametrize(
    ("nms", "kept"), [(0.0, [0, 4]), (0.6, [0, 3, 4]), (0.7, [0, 2, 4]), (1.0, [0, 1, 2, 3, 4])]
)
def test_the_threshold_is_the_largest_overlap_that_stays(nms, kept):
    # They cover 1, 2/3, 1/2 of what they and the first cover together; the last one only touches it.
    boxes = np.float32(
        [[0, 0, 10, 10], [0, 0, 10, 10], [0, 2, 10, 12], [0, 10 / 3, 10, 40 / 3], [10, 0, 20, 10]]
    )
    found = select([[5], [4], [3], [2], [1]], boxes, nms=nms)
    np.testing.assert_array_equal(found.boxes_xyxy_px, boxes[kept])


def test_a_cell_may_name_two_labels():
    assert select([[3, 2]], [[0, 0, 10, 10]]).label_indices.tolist() == [0, 1]


def test_nothing_above_the_floor_gives_nothing():
    found = select([[-5, -5]], [[0, 0, 10, 10]])
    assert len(found) == 0
    assert found.boxes_xyxy_px.shape == (0, 4)


def test_boxes_without_area_are_left_out():
    assert len(select([[3], [3]], [[5, 5, 5, 9], [0, 0, 4, 4]])) == 1
