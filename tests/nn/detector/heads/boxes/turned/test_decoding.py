import numpy as np

from backend.core.geometry.turned_boxes import turned_bounds
from backend.nn.detector.heads.boxes.decoding import Candidates, suppress_per_label
from backend.nn.detector.heads.boxes.turned.coding import turned_to_codes
from backend.nn.detector.heads.boxes.turned.decoding import suppress_turned_per_label, with_turned_boxes

ROW = np.array([[30 + 12 * k, 60, 60, 10, 60] for k in range(3)], np.float32)
"""Three cars parked side by side, turned by 60 degrees."""


def candidates(rows, labels):
    count = len(rows)
    scores = np.linspace(0.9, 0.5, count, dtype=np.float32)
    return Candidates(turned_bounds(rows), scores, np.array(labels), np.arange(count), rows)


def test_neighbours_in_a_diagonal_row_stay():
    found = candidates(ROW, [0, 0, 0])
    assert suppress_per_label(found, 0.4).tolist() == [0, 2]  # their upright boxes are half the same
    assert suppress_turned_per_label(found, 0.4).tolist() == [0, 1, 2]


def test_a_second_look_at_one_object_goes_whatever_row_it_has():
    again = np.concatenate([ROW[:1], [[30, 60, 10, 60, -30], [31, 60, 58, 10, 62]]]).astype(np.float32)
    assert suppress_turned_per_label(candidates(again, [0, 0, 0]), 0.4).tolist() == [0]
    assert suppress_turned_per_label(candidates(again, [0, 1, 0]), 0.4).tolist() == [0, 1]


def test_without_candidates_nothing_is_kept():
    assert not len(suppress_turned_per_label(candidates(np.zeros((0, 5), np.float32), []), 0.4))


def test_only_labels_that_are_drawn_turned_turn():
    found = candidates(ROW[:2], [0, 1])
    turned = with_turned_boxes(found, turned_to_codes(ROW), shares=(0.5, 0.05)).turned_boxes_px
    np.testing.assert_allclose(turned[0, 2:], (10, 60, -30), atol=0.1)
    assert turned[1, 4] == 0
    np.testing.assert_allclose(turned_bounds(turned)[1], found.boxes_xyxy_px[1], atol=1e-3)
