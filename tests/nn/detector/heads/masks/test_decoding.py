import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.heads.masks.decoding import object_mask, select_candidates, without_specks
from backend.nn.detector.heads.score_map import ScoreMap


def select(logits, boxes, floor=0.3, nms=0.4):
    return select_candidates(
        np.float32(logits), np.float32(boxes), ScoreMap(), score_floor=floor, nms_threshold=nms
    )


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


def test_mask_lies_where_the_logits_are_in_a_larger_image():
    letterbox = Letterbox.fit(ImageSize(200, 100), ImageSize(64, 32))
    semantic = np.full((8, 16), -5, dtype=np.float32)
    semantic[2:6, 4:10] = 5  # net x 16..40, y 8..24: orig x 50..125, y 25..75
    window = np.float32([10, 4, 46, 28])
    patch = object_mask(semantic, np.zeros((28, 28), np.float32), window, letterbox)
    ys, xs = np.nonzero(patch.full(letterbox.size))
    assert abs(xs.min() - 50) <= 3
    assert abs(xs.max() - 124) <= 3
    assert abs(ys.min() - 25) <= 3
    assert abs(ys.max() - 74) <= 3


def test_object_logits_cut_a_neighbour_away():
    letterbox = Letterbox.fit(ImageSize(64, 32), ImageSize(64, 32))
    semantic = np.full((8, 16), 3, dtype=np.float32)
    residual = np.zeros((28, 28), np.float32)
    residual[:, 14:] = -9
    patch = object_mask(semantic, residual, np.float32([0, 0, 64, 32]), letterbox)
    assert abs(patch.bits.shape[1] - 32) <= 2


def test_a_window_outside_the_image_has_no_mask():
    letterbox = Letterbox.fit(ImageSize(64, 20), ImageSize(64, 32))
    semantic = np.zeros((8, 16), np.float32)
    assert (
        object_mask(semantic, np.zeros((28, 28), np.float32), np.float32([0, 24, 10, 30]), letterbox) is None
    )


def test_specks_go_and_parts_stay():
    mask = np.zeros((20, 20), bool)
    mask[0:10, 0:10], mask[12:18, 12:18], mask[19, 0] = True, True, True
    cleaned = without_specks(mask)
    assert cleaned[15, 15]
    assert not cleaned[19, 0]
