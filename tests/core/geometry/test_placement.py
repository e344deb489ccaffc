import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.placement import Placement, whole

SIZE = ImageSize(10, 5)


def place(*, flip_x=False, flip_y=False, left=3, top=-2):
    return Placement(SIZE, 20, 20, left, top, flip_x, flip_y, (0, 0, 16, 30))


@pytest.mark.parametrize(
    ("flips", "box"),
    [
        ({}, [5, 2, 9, 10]),
        ({"flip_x": True}, [17, 2, 21, 10]),
        ({"flip_y": True}, [5, 6, 9, 14]),
    ],
    ids=["scaled", "mirrored", "upside-down"],
)
def test_boxes_follow_the_image(flips, box):
    there = place(**flips)
    np.testing.assert_allclose(there.boxes_to_canvas(np.float32([[1, 1, 3, 3]])), [box])


def test_what_is_seen_ends_at_the_clip_and_at_the_image():
    assert place().visible == (3, 0, 16, 18)
    assert place().visible_px == 13 * 18
    assert place(left=40).visible_px == 0


def test_a_whole_canvas_is_filled():
    there = whole(SIZE, ImageSize(20, 5))
    assert there.visible == (0, 0, 20, 5)
    np.testing.assert_allclose(there.boxes_to_canvas(np.float32([[1, 1, 5, 5]])), [[2, 1, 10, 5]])
