"""How what is learned of points is read, as the labels tell."""

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.points import POINTS, LabelledPoint
from backend.nn.detector.heads.points.head import POINTS_HEAD

LEFT, RIGHT, SNOUT = 0, 1, 2


def taught(*points):
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return TrainingTarget(ImageSize(40, 40), boxes, labels, (), extras={POINTS: list(points)})


def test_a_left_ear_is_known_to_be_a_right_one_in_a_mirror_by_one_of_them_alone():
    shown = taught(LabelledPoint(3, 4, LEFT, RIGHT), LabelledPoint(9, 9, SNOUT, SNOUT))
    reading = POINTS_HEAD.reading([shown], 3)
    assert reading.mirrored_labels == (RIGHT, LEFT, SNOUT)
    card = POINTS_HEAD.card_entries(reading)
    assert POINTS_HEAD.reading_of(card, 3) == reading


def test_cards_of_earlier_releases_name_no_mirrored_labels_and_damaged_ones_are_refused():
    card = POINTS_HEAD.card_entries(POINTS_HEAD.reading([], 3))
    del card["mirrored_point_labels"]
    assert POINTS_HEAD.reading_of(card, 3).mirrored_labels == ()
    with pytest.raises(ValueError, match="mirrored_point_labels"):
        POINTS_HEAD.reading_of({**card, "mirrored_point_labels": [0, 0, 1]}, 3)
