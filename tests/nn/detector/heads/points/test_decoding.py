from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.heads.points.decoding import PointMaps, choose_points, find_points

ROOM = Letterbox.fit(ImageSize(128, 96), ImageSize(64, 64))  # half the size; rows from 48 on are padding


def maps(*peaks):
    """Maps of two labels with peaks (label, row, column, logit), and the way (0.25, -0.25) everywhere."""
    logits = np.full((2, 16, 16), -6.0, np.float32)
    for label, row, column, logit in peaks:
        logits[label, row, column] = logit
    return PointMaps(logits, np.full_like(logits, 0.25), np.full_like(logits, -0.25))


def test_a_peak_is_a_point_in_the_pixels_of_the_image():
    places, logits, labels = find_points(maps((1, 5, 3, 2.0)), ROOM, -1.0)
    assert places.tolist() == [[3.75 * 4 * 2, 5.25 * 4 * 2]]
    assert (logits.tolist(), labels.tolist()) == ([2.0], [1])


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        ([(0, 5, 3, 2.0), (0, 5, 4, 1.0)], [2.0]),
        ([(0, 5, 3, 2.0), (0, 5, 9, 1.0)], [2.0, 1.0]),
        ([(0, 5, 3, 2.0), (1, 5, 3, 3.0)], [3.0, 2.0]),
        ([(0, 5, 3, -2.0)], []),
        ([(0, 13, 3, 2.0)], []),
    ],
    ids=["beside a better one", "apart", "of two labels", "below the floor", "in the padding"],
)
def test_which_peaks_are_points(peaks, expected):
    assert find_points(maps(*peaks), ROOM, -1.0)[1].tolist() == expected


def choose(places, labels, boxes=(), per_image=(0, 0), per_object=(0, 0)):
    scores = np.linspace(0.9, 0.5, len(labels)).astype(np.float32)
    return choose_points(
        np.array(places, np.float32),
        scores,
        np.array(labels, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        per_image,
        per_object,
    )


def test_a_label_that_is_never_twice_in_an_image_is_found_once():
    found = choose([[1, 1], [9, 9], [5, 5], [7, 7]], [0, 0, 1, 1], per_image=(1, 0))
    assert found.label_indices.tolist() == [0, 1, 1]
    assert found.points_xy_px[0].tolist() == [1, 1]


def test_an_object_has_a_label_once_and_its_points_know_it():
    boxes = [[0, 0, 20, 20], [40, 0, 60, 20]]
    found = choose([[5, 5], [15, 15], [50, 10], [90, 90]], [0, 0, 0, 0], boxes, per_object=(1, 0))
    assert found.points_xy_px.tolist() == [[5, 5], [50, 10], [90, 90]]
    assert found.object_rows.tolist() == [0, 1, -1]


def test_points_of_touching_objects_are_shared_out():
    """The second point lies in both boxes; the first box has one already."""
    boxes = [[0, 0, 20, 20], [16, 0, 36, 20]]
    found = choose([[10, 10], [18, 10]], [0, 0], boxes, per_object=(1, 0))
    assert found.object_rows.tolist() == [0, 1]
