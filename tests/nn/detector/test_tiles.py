import weakref

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.tiling import Tiling
from backend.nn.detector.tiles import predict_in_views

TILING = Tiling(side_px=100)
IMAGES = [np.full((300, 300, 3), number, np.uint8) for number in range(4)]
VIEWS = len(TILING.views_of(ImageSize(300, 300)))


def found_in(view):
    """Return a finding that says by its score which picture the view is of."""
    height, width = view.shape[:2]
    box, score = np.array([[40, 40, 60, 60]], np.float32), np.array([view.max() / 10], np.float32)
    return Detections(ImageSize(width, height), box, score, np.zeros(1, np.int64), (None,))


def predicted(found_in_each):
    return predict_in_views(found_in_each, TILING, IMAGES, nms_threshold=0.4, max_regions=100)


def test_every_picture_gets_what_its_own_views_show_in_whatever_order_they_come():
    answers = predicted(lambda views: [(k, found_in(views[k])) for k in reversed(range(len(views)))])
    assert [len(answer) for answer in answers] == [VIEWS] * 4
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(answer.scores, number / 10)


def test_what_the_views_of_a_picture_show_is_in_memory_until_they_are_joined_and_no_longer():
    alive, most = set(), 0

    def found_in_each(views):
        nonlocal most
        for position, view in enumerate(views):
            found = found_in(view)
            alive.add(position)
            most = max(most, len(alive))
            weakref.finalize(found, alive.remove, position)
            yield position, found

    predicted(found_in_each)
    assert VIEWS <= most <= VIEWS + 2
