import numpy as np

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.matching import areas_of, match_at_half_iou, scored_hits
from tests.learning_found import detections, target

SIZE = ImageSize(20, 10)


def patch(left, width):
    return MaskPatch(left, 0, np.ones((10, width), np.bool_))


def painted(*masks, labels=None):
    boxes = [[m.left_px, 0, m.left_px + m.bits.shape[1], 10] if m else [0, 0, 20, 10] for m in masks]
    indices = np.zeros(len(masks), np.int64) if labels is None else np.array(labels)
    return TrainingTarget(SIZE, np.array(boxes, np.float32).reshape(-1, 4), indices, masks)


def areas(*masks):
    truth = painted(*masks)
    scores = np.linspace(0.9, 0.5, len(masks)).astype(np.float32)
    return Detections(SIZE, truth.boxes_xyxy_px, scores, truth.label_indices, masks, has_boxes=False)


def test_boxes_are_matched_best_first_and_once():
    found = detections([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], [0.9, 0.8, 0.1])
    hits, objects = match_at_half_iou(found, target([[0, 0, 10, 10], [80, 80, 90, 90]]))
    assert hits.tolist() == [True, False, False]
    assert objects == 2


def test_areas_are_matched_by_their_masks_whatever_their_boxes():
    drawn = painted(patch(0, 8), patch(12, 8))
    hits, _ = match_at_half_iou(areas(patch(0, 7), patch(10, 2)), drawn)
    assert hits.tolist() == [True, False]


def test_strokes_of_one_label_that_touch_are_one_area_and_others_are_not():
    touching, apart = painted(patch(0, 5), patch(5, 5)), painted(patch(0, 5), patch(12, 5))
    assert [len(areas_of(one)) for one in (touching, apart)] == [1, 2]
    assert len(areas_of(painted(patch(0, 5), patch(5, 5), labels=[0, 1]))) == 2


def test_rectangles_are_no_areas():
    assert len(areas_of(painted(None, patch(0, 5)))) == 1


def test_no_image_has_no_hits():
    scores, labels, hits, objects = scored_hits([], [])
    assert (len(scores), len(labels), len(hits), objects) == (0, 0, 0, 0)
