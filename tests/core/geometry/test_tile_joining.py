"""A picture of 108 px is cut into tiles of 60 px that overlap by 12: 0 to 60 and 48 to 108."""

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.geometry.points import POINTS, FoundPoints, found_points
from backend.core.geometry.tile_joining import joined
from backend.core.geometry.tiling import Tiling

SIZE = ImageSize(108, 60)
TILING = Tiling(side_px=60, overlap=0.2)
WITH_WHOLE = Tiling(side_px=60, overlap=0.2, has_whole_view=True)
TILE = ImageSize(60, 60)


def disc_of(box):
    x1, y1, x2, y2 = box
    return MaskPatch(int(x1), int(y1), np.ones((int(y2 - y1), int(x2 - x1)), np.bool_))


def found(*boxes, labels=None, scores=None, size=TILE, with_masks=False, **more):
    count = len(boxes)
    return Detections(
        size,
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(scores or [0.9] * count, dtype=np.float32),
        np.array(labels or [0] * count, dtype=np.int64),
        tuple(disc_of(box) if with_masks else None for box in boxes),
        image_score=0.5,
        **more,
    )


def join(*views, tiling=TILING, max_regions=100):
    return joined(SIZE, tiling, views, nms_threshold=0.4, max_regions=max_regions)


def test_an_uncut_picture_keeps_what_was_found():
    one = found((1, 1, 5, 5))
    assert joined(TILE, TILING, [one], nms_threshold=0.4, max_regions=100) is one


def test_things_lie_where_their_tile_lies():
    whole = join(found((5, 5, 15, 15)), found((30, 5, 40, 15), labels=[1], scores=[0.95]))
    assert whole.size == SIZE
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[78, 5, 88, 15], [5, 5, 15, 15]])
    assert whole.label_indices.tolist() == [1, 0]


def test_a_thing_in_the_overlap_that_both_tiles_see_whole_is_there_once():
    whole = join(found((50, 20, 58, 28), scores=[0.6]), found((2, 20, 10, 28), scores=[0.8]))
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[50, 20, 58, 28]])
    assert whole.scores.tolist() == pytest.approx([0.8])


def test_a_thing_that_one_tile_cuts_is_taken_from_the_tile_that_has_it_whole():
    # From 52 to 62: the left tile ends at 60, and is surer of its part.
    whole = join(
        found((52, 20, 60, 30), scores=[0.99], with_masks=True),
        found((4, 20, 14, 30), scores=[0.5], with_masks=True),
    )
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[52, 20, 62, 30]])
    assert whole.masks[0].area_px == 100


def test_a_thing_that_both_tiles_cut_is_put_together():
    # From 20 to 90: 40 px in the left tile, 42 in the right one, 12 in both.
    whole = join(
        found((20, 20, 60, 30), scores=[0.7], with_masks=True),
        found((0, 20, 42, 30), scores=[0.8], with_masks=True),
    )
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[20, 20, 90, 30]])
    assert whole.scores.tolist() == pytest.approx([0.8])
    (mask,) = whole.masks
    assert (mask.left_px, mask.top_px, mask.bits.shape) == (20, 20, (10, 70))
    assert mask.bits.all()


def test_a_thing_near_the_borders_of_both_tiles_is_as_large_as_the_surer_one_saw_it():
    whole = join(
        found((48.5, 20, 59.5, 30), scores=[0.6], with_masks=False),
        found((0.4, 20, 11.6, 30.2), scores=[0.8], with_masks=False),
    )
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[48.4, 20, 59.6, 30.2]], rtol=1e-6)


def test_parts_of_different_labels_or_places_stay_apart():
    assert len(join(found((20, 20, 60, 30)), found((0, 20, 42, 30), labels=[1]))) == 2
    assert len(join(found((20, 5, 60, 15)), found((0, 40, 42, 50)))) == 2


def test_neighbours_in_a_crowd_on_the_border_stay_apart():
    left = found((44, 20, 52, 28), (52, 20, 60, 28))
    right = found((0, 20, 4, 28), (4, 20, 12, 28), (12, 20, 20, 28), scores=[0.3, 0.9, 0.9])
    whole = join(left, right)
    assert sorted(whole.boxes_xyxy_px[:, 0].tolist()) == [44, 52, 60]


def test_a_large_thing_comes_from_the_whole_picture_and_its_parts_are_no_things():
    large = found((5, 5, 103, 55), size=SIZE, scores=[0.6], with_masks=True)
    whole = join(
        found((5, 5, 60, 55), (20, 20, 26, 26), labels=[0, 1], with_masks=True),
        found((0, 5, 55, 55), with_masks=True),
        large,
        tiling=WITH_WHOLE,
    )
    assert sorted(map(tuple, whole.boxes_xyxy_px.tolist())) == [(5, 5, 103, 55), (20, 20, 26, 26)]


def test_what_the_whole_picture_shows_small_is_left_to_the_tiles():
    whole = join(found((5, 5, 15, 15)), found(), found((5, 5, 14, 14), size=SIZE), tiling=WITH_WHOLE)
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[5, 5, 15, 15]])


def test_the_best_of_all_tiles_are_kept():
    left = found((5, 5, 15, 15), (25, 5, 35, 15), scores=[0.9, 0.2])
    whole = join(left, found((30, 5, 40, 15), scores=[0.5]), max_regions=2)
    assert whole.scores.tolist() == pytest.approx([0.9, 0.5])


def test_painted_areas_that_touch_in_the_overlap_become_one():
    area = {"has_boxes": False, "with_masks": True}
    whole = join(found((0, 20, 60, 40), **area), found((0, 30, 30, 50), **area))
    np.testing.assert_allclose(whole.boxes_xyxy_px, [[0, 20, 78, 50]])
    assert whole.masks[0].area_px == 60 * 20 + 30 * 20 - 12 * 10
    assert not whole.has_boxes


def test_turned_boxes_move_and_are_put_together():
    turned = np.array([[25, 25, 20, 8, 30]], np.float32)
    whole = join(found((15, 15, 35, 35), turned_boxes_px=turned), found(turned_boxes_px=turned[:0]))
    np.testing.assert_allclose(whole.turned_boxes_px, turned)
    whole = join(found(turned_boxes_px=turned[:0]), found((15, 15, 35, 35), turned_boxes_px=turned))
    np.testing.assert_allclose(whole.turned_boxes_px, [[73, 25, 20, 8, 30]])
    cut = np.array([[40, 25, 40, 10, 0]], np.float32)
    other = np.array([[21, 25, 42, 10, 0]], np.float32)
    whole = join(found((20, 20, 60, 30), turned_boxes_px=cut), found((0, 20, 42, 30), turned_boxes_px=other))
    np.testing.assert_allclose(whole.turned_boxes_px, [[55, 25, 70, 10, 0]])


def points(*places, rows=None, scores=None):
    count = len(places)
    return FoundPoints(
        np.array(places, np.float32).reshape(-1, 2),
        np.array(scores or [0.9] * count, np.float32),
        np.zeros(count, np.int64),
        np.array(rows or [-1] * count, np.int64),
    )


def test_points_are_there_once_and_keep_their_objects():
    left = found((5, 5, 15, 15), scores=[0.5], extras={POINTS: points((10, 10), (52, 30), rows=[0, -1])})
    right = found((30, 5, 40, 15), extras={POINTS: points((4, 30), (35, 10), rows=[-1, 0])})
    whole = join(left, right)
    kept = found_points(whole)
    assert sorted(map(tuple, kept.points_xy_px.tolist())) == [(10, 10), (52, 30), (83, 10)]
    row_of = {tuple(p): int(row) for p, row in zip(kept.points_xy_px.tolist(), kept.object_rows, strict=True)}
    assert whole.boxes_xyxy_px[row_of[10, 10], 0] == 5
    assert whole.boxes_xyxy_px[row_of[83, 10], 0] == 78
    assert row_of[52, 30] == -1


def test_what_is_said_of_the_picture_comes_from_the_whole_picture():
    part = found(extras={"choices": "part"})
    whole = found(size=SIZE, extras={"choices": "whole"})
    assert join(part, part, whole, tiling=WITH_WHOLE).extras == {"choices": "whole"}
    assert join(part, part).extras == {}


def test_a_thing_in_the_corner_of_four_tiles_is_one():
    size, tiling = ImageSize(108, 108), TILING
    views = tiling.views_of(size)
    thing = (46, 46, 66, 66)  # larger than the overlap: no tile has it whole
    parts = []
    for x1, y1, x2, y2 in views:
        box = np.clip(thing, (x1, y1, x1, y1), (x2, y2, x2, y2)) - (x1, y1, x1, y1)
        parts.append(found(tuple(box.tolist()), with_masks=True))
    whole = joined(size, tiling, parts, nms_threshold=0.4, max_regions=100)
    np.testing.assert_allclose(whole.boxes_xyxy_px, [thing])
    assert whole.masks[0].area_px == 400


def test_what_was_found_about_things_stays_with_them():
    left = found((5, 5, 15, 15), (20, 20, 60, 30), scores=[0.5, 0.7], attributes=({"k": 1}, {"k": 2}))
    right = found((0, 20, 42, 30), scores=[0.8], attributes=({"k": 3},))
    assert join(left, right).attributes == ({"k": 3}, {"k": 1})
    assert join(found((5, 5, 15, 15)), found()).attributes is None
