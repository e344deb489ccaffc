import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.heads.areas.decoding import area_mask, find_areas, least_area_shares
from tests.area_scenes import area_sample

WIDE = Letterbox.fit(ImageSize(200, 100), ImageSize(64, 32))  # a map of 16 x 8 cells, 12.5 px each


def logits(*rects):
    """Return a map of one label that is sure of some cells (left, top, right, bottom) and of no others."""
    out = np.full((1, 8, 16), -6.0, np.float32)
    for x1, y1, x2, y2 in rects:
        out[0, y1:y2, x1:x2] = 6.0
    return out


def masks(semantic, letterbox=WIDE, least=0.0):
    areas = find_areas(semantic, letterbox, (least,) * len(semantic), 0.0)
    return [area_mask(area, semantic[area.label_index], letterbox, 0.0) for area in areas]


def test_an_area_lies_where_its_cells_are_in_the_image():
    (mask,) = masks(logits((4, 2, 10, 6)))
    ys, xs = np.nonzero(mask.full(WIDE.size))
    assert [xs.min(), xs.max(), ys.min(), ys.max()] == pytest.approx([50, 124, 25, 74], abs=2)


def test_parts_that_do_not_touch_are_areas_of_their_own():
    semantic = logits((0, 0, 4, 8), (5, 0, 9, 8))  # one cell between them
    left, right = sorted(masks(semantic), key=lambda mask: mask.left_px)
    assert not (left.full(WIDE.size) & right.full(WIDE.size)).any()
    assert left.area_px == pytest.approx(right.area_px, rel=0.1)


def test_parts_that_meet_at_a_corner_are_one_area():
    assert len(masks(logits((0, 0, 4, 4), (4, 4, 8, 8)))) == 1


def test_an_area_smaller_than_those_drawn_is_noise():
    semantic = logits((0, 0, 8, 8), (10, 0, 13, 3))
    assert len(masks(semantic)) == 2
    assert len(masks(semantic, least=0.1)) == 1
    assert masks(logits((3, 3, 5, 4))) == []  # two cells, whatever was drawn


def test_labels_may_overlap_and_the_surest_area_comes_first():
    semantic = np.concatenate([logits((0, 0, 8, 8)) / 6, logits((4, 0, 12, 8))])
    areas = find_areas(semantic, WIDE, (0.0, 0.0), 0.0)
    assert [area.label_index for area in areas] == [1, 0]
    assert areas[0].logit == pytest.approx(6.0, abs=0.01)


def test_what_the_padding_shows_is_no_area():
    letterbox = Letterbox.fit(ImageSize(64, 16), ImageSize(64, 32))
    assert masks(logits((0, 5, 16, 8)), letterbox) == []


def test_nothing_is_found_in_nothing():
    assert masks(logits()) == []


def test_how_small_an_area_may_be_follows_from_those_drawn():
    targets = [area_sample(k).target for k in range(6)]
    sky, road = least_area_shares(targets, 2)
    assert 0.02 < sky < 0.2  # towers leave a third of the sky on one side
    assert 0.1 < road < 0.2
    nothing = TrainingTarget(ImageSize(9, 9), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ())
    assert least_area_shares([nothing], 1) == (0.0,)
