from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.tile_joining import joined
from backend.core.geometry.tiling import Tiling
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES, BoxReading
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import Predictor
from backend.training.judging.calibration import expected_score_map

LIMITS = {"confidence_threshold": 0.001, "nms_threshold": 0.5, "max_regions": 5}
SIZE = ImageSize(90, 60)
IMAGE = np.random.default_rng(0).integers(0, 255, (SIZE.height, SIZE.width, 3), dtype=np.uint8)


def predictor(
    heads: tuple[AnyHead, ...] = (BOXES, MASKS), semantic_bias: float = 1.0, **more: Any
) -> Predictor:
    """Return an untrained network that takes every place for both labels, or for none."""
    torch.manual_seed(0)
    network = InstanceNetwork(Architecture("test_resnet", 96, 2, heads)).eval().requires_grad_(False)
    if MASKS in heads:
        torch.nn.init.constant_(network.segmentation_head.semantic_logits.bias, semantic_bias)
    return Predictor(network, ("a", "b"), {"boxes": BoxReading(expected_score_map())}, **more)


def test_images_of_all_proportions_in_one_call_get_what_each_gets_alone():
    there = predictor()
    rng = np.random.default_rng(1)
    sizes = [(60, 90), (90, 60), (60, 90), (64, 64), (60, 90), (40, 120), (90, 60)]
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    together = there.predict(images, **LIMITS)
    assert len(together) == len(images)
    for image, found in zip(images, together, strict=True):
        (alone,) = there.predict([image], **LIMITS)
        assert (found.size.height, found.size.width) == image.shape[:2]
        assert np.allclose(found.boxes_xyxy_px, alone.boxes_xyxy_px, atol=0.01)
        assert found.image_score == pytest.approx(alone.image_score, abs=1e-4)
    assert there.predict([], **LIMITS) == []


def test_a_look_finds_what_a_prediction_finds():
    there = predictor()
    (predicted,) = there.predict([IMAGE], **LIMITS)
    seen, maps = there.detect_with_maps(IMAGE, **LIMITS)
    assert len(predicted) > 0 and seen.image_score == predicted.image_score
    assert np.array_equal(seen.boxes_xyxy_px, predicted.boxes_xyxy_px)
    for mask, wanted in zip(seen.masks, predicted.masks, strict=True):
        assert np.array_equal(mask.full(SIZE), wanted.full(SIZE))
    assert maps.semantic.shape == (2, maps.net_size.height // 4, maps.net_size.width // 4)
    assert maps.nbytes == maps.fine.nbytes + maps.coarse.nbytes + maps.semantic.nbytes


def test_the_mask_in_a_detected_box_is_the_detections_mask():
    there = predictor()
    seen, maps = there.detect_with_maps(IMAGE, **LIMITS)
    for box, label, mask in zip(seen.boxes_xyxy_px, seen.label_indices, seen.masks, strict=True):
        got = there.mask_in_box(maps, SIZE, box, int(label)).full(SIZE)
        wanted = mask.full(SIZE)
        # Not to the pixel: the maps are kept in half precision, and boxes are clipped to the image.
        assert (got & wanted).sum() > 0.9 * (got | wanted).sum()


def test_the_likeliest_label_is_taken_where_none_is_given():
    there = predictor()
    _, maps = there.detect_with_maps(IMAGE, **LIMITS)
    maps.semantic[0], maps.semantic[1] = -3.0, 3.0
    box = np.array([20, 10, 60, 50], np.float32)
    unlabelled, labelled = (there.mask_in_box(maps, SIZE, box, label) for label in (None, 1))
    assert np.array_equal(unlabelled.full(SIZE), labelled.full(SIZE))


def test_where_the_label_is_nowhere_there_is_no_mask():
    there = predictor(semantic_bias=-9.0)
    _, maps = there.detect_with_maps(IMAGE, **LIMITS)
    assert there.mask_in_box(maps, SIZE, np.array([20, 10, 60, 50], np.float32), 0) is None


@pytest.mark.parametrize(
    "box", [[-60, 10, -20, 50], [20, -60, 60, -20], [200, 10, 300, 50]], ids=["left", "above", "right"]
)
def test_beside_the_image_there_is_no_mask(box):
    there = predictor()
    _, maps = there.detect_with_maps(IMAGE, **LIMITS)
    maps.semantic[:] = 3.0
    assert there.mask_in_box(maps, SIZE, np.array(box, np.float32), 0) is None


def test_a_detector_of_boxes_keeps_no_maps():
    assert predictor((BOXES,)).detect_with_maps(IMAGE, **LIMITS)[1] is None


TILING = Tiling(side_px=90, overlap=0.2, has_whole_view=True)


def test_a_large_image_is_what_its_views_show_put_together():
    image = np.random.default_rng(2).integers(0, 255, (100, 160, 3), dtype=np.uint8)
    whole, cut = predictor(), predictor(tiling=TILING)
    (found,) = cut.predict([image], **LIMITS)
    views = [image[y1:y2, x1:x2] for x1, y1, x2, y2 in TILING.views_of(ImageSize(160, 100))]
    parts = whole.predict(views, **LIMITS)
    wanted = joined(ImageSize(160, 100), TILING, parts, nms_threshold=0.5, max_regions=5)
    assert len(views) == 5 and len(found) == 5
    assert np.allclose(found.boxes_xyxy_px, wanted.boxes_xyxy_px, atol=0.01)
    for mask, box in zip(found.masks, found.boxes_xyxy_px, strict=True):
        assert mask.full(found.size).any() and (box <= (160, 100, 160, 100)).all()


def test_an_image_that_is_not_cut_is_predicted_as_without_tiles():
    (with_tiles,), (without) = (
        there.predict([IMAGE], **LIMITS) for there in (predictor(tiling=TILING), predictor())
    )
    assert np.array_equal(with_tiles.boxes_xyxy_px, without[0].boxes_xyxy_px)
    assert np.array_equal(with_tiles.scores, without[0].scores)


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (1, 1), (2, 91)])
def test_images_of_any_shape_are_predicted(size):
    image = np.full((*size, 3), 90, dtype=np.uint8)
    tiling = Tiling(side_px=max(90, max(size) / 5))
    (found,) = predictor(tiling=tiling).predict([image], **LIMITS)
    assert (found.size.height, found.size.width) == size


def test_an_image_has_as_many_regions_as_the_labels_call_for():
    limits = {"confidence_threshold": 0.001, "nms_threshold": 1.0, "with_masks": False}
    there = predictor((BOXES,))
    assert len(there.predict([IMAGE], **limits)[0]) == 100
    assert len(predictor((BOXES,), most_regions=150).predict([IMAGE], **limits)[0]) == 150
