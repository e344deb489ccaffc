from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from backend.core.geometry.boxes import box_iou
from backend.nn.by_example.features import CHANNELS, STRIDE_PX, load_picture_encoder
from backend.nn.by_example.learning import Example, learn
from backend.nn.by_example.predictor import ExamplePredictor
from backend.nn.prompts.segmenter import load_segmenter
from tests.like_scenes import scene

LABELS = ("Coin", "Crate")


@cache
def encoder():
    return load_picture_encoder()


def example(seed, most=None, **what):
    picture, found = scene(seed, **what)
    found = found[:most]
    boxes = np.array([box for _, box in found], np.float32)
    return Example(picture, boxes, np.array([LABELS.index(label) for label, _ in found]))


@cache
def learned(outlines=False):
    segmenter = load_segmenter(None) if outlines else None
    return ExamplePredictor(
        learn([example(1)], encoder()), encoder(), LABELS, version="by-example-1", segmenter=segmenter
    )


def found_in(predictor, picture, threshold=0.3):
    return predictor.predict([picture], confidence_threshold=threshold, nms_threshold=0.4)[0]


def test_one_labelled_picture_finds_and_tells_apart_the_like_in_others():
    hits = wrong = count = 0
    for seed in (11, 12, 13):
        picture, truth = scene(seed, coins=4, crates=3)
        found = found_in(learned(), picture)
        boxes = np.array([box for _, box in truth], np.float32)
        labels = np.array([LABELS.index(label) for label, _ in truth])
        fits = (box_iou(found.boxes_xyxy_px, boxes) > 0.5) & (found.label_indices[:, None] == labels)
        hits += fits.any(axis=0).sum()
        wrong += (~fits.any(axis=1)).sum()
        count += len(truth)
    assert hits >= 0.9 * count
    assert wrong <= 0.2 * count


def test_a_picture_without_such_things_gets_next_to_nothing():
    picture, _ = scene(21, coins=0, crates=0)
    assert len(found_in(learned(), picture)) <= 1


def test_a_single_object_is_enough_and_its_like_beside_it_is_found_too():
    hits = count = 0
    for seed in (2, 3, 5, 6, 8):
        shown = example(seed, most=1, coins=5, crates=0)
        predictor = ExamplePredictor(learn([shown], encoder()), encoder(), LABELS)
        picture, truth = scene(seed, coins=5, crates=0)
        found = found_in(predictor, picture)
        iou = box_iou(np.array([box for _, box in truth], np.float32), found.boxes_xyxy_px)
        hits, count = hits + (iou.max(axis=1) > 0.5).sum(), count + len(truth)
        assert set(found.label_indices.tolist()) == {0}
    assert hits >= 0.75 * count


LYING_AND_STANDING = [[20, 20, 120, 30], [200, 50, 210, 150]]
"""Boxes that no window of their mean shape fits."""
A_SPECK = [[501, 501, 505, 505]]


@pytest.mark.parametrize(
    ("boxes", "size"),
    [(LYING_AND_STANDING, (300, 300)), (A_SPECK, (1000, 1200))],
    ids=["two-shapes", "speck"],
)
def test_examples_that_no_window_fits_are_refused_in_words(boxes, size):
    shown = Example(np.full((*size, 3), 90, np.uint8), np.array(boxes, np.float32), np.zeros(len(boxes), int))
    with pytest.raises(ValueError, match="label one that is larger, or of the usual shape"):
        learn([shown], encoder())


def test_a_label_that_no_window_fits_costs_the_others_nothing(caplog):
    coins = example(1, coins=4, crates=0)
    boxes = np.concatenate([coins.boxes_xyxy_px, LYING_AND_STANDING]).astype(np.float32)
    shown = Example(coins.picture, boxes, np.append(coins.label_indices, [1, 1]))
    found = found_in(ExamplePredictor(learn([shown], encoder()), encoder(), LABELS), coins.picture)
    iou = box_iou(coins.boxes_xyxy_px, found.boxes_xyxy_px)
    assert (iou.max(axis=1) > 0.5).mean() >= 0.75
    assert set(found.label_indices.tolist()) == {0}
    assert "label at index 1" in caplog.text


def test_what_is_found_is_outlined_where_outlines_are_wanted():
    picture, _ = scene(11)
    plain, outlined = found_in(learned(), picture, 0.5), found_in(learned(outlines=True), picture, 0.5)
    assert all(mask is None for mask in plain.masks)
    coins = [k for k, label in enumerate(outlined.label_indices.tolist()) if label == 0]
    assert coins
    for k in coins:
        left, top, right, bottom = outlined.boxes_xyxy_px[k]
        share = outlined.masks[k].area_px / ((right - left) * (bottom - top))
        assert 0.6 < share < 0.95  # a disc fills 0.79 of its box


def test_scores_keep_their_order_and_the_threshold_is_obeyed():
    picture, _ = scene(12)
    low, high = found_in(learned(), picture, 0.05), found_in(learned(), picture, 0.6)
    assert (np.diff(low.scores) <= 0).all()
    assert (high.scores >= 0.6).all() and len(high) <= len(low)


@pytest.mark.parametrize("size", [(33, 57), (240, 320), (820, 600)])
def test_features_cover_the_picture_whatever_its_size(size):
    height, width = size
    picture = np.full((height, width, 3), 90, np.uint8)
    features = encoder().encode(picture, 1.0)
    assert features.shape == (CHANNELS, -(-height // STRIDE_PX), -(-width // STRIDE_PX))
    assert np.isfinite(features.numpy()).all()


def test_tiles_leave_no_seam_to_speak_of():
    picture = np.tile(scene(3)[0], (4, 4, 1))[:900, :900]
    whole = encoder().encode(picture, 1.0)
    part = encoder().encode(np.ascontiguousarray(picture[:704, :704]), 1.0)
    inner = slice(0, 48)
    near = whole[:64, inner, inner] - part[:64, inner, inner]
    assert float(near.abs().mean()) < 0.02 * float(whole[:64].std())


def test_a_picture_far_larger_than_the_examples_is_looked_at_in_bounded_memory(caplog):
    seen = []

    class Watched:
        def encode(self, picture, scale):
            seen.append(picture.shape[0] * picture.shape[1] * scale**2)
            return encoder().encode(picture, scale)

    predictor = ExamplePredictor(learned()._likeness, Watched(), LABELS)
    assert len(found_in(predictor, np.zeros((6000, 8000, 3), np.uint8))) == 0
    assert not seen and "8000 x 6000" in caplog.text
    twice = np.kron(scene(11)[0], np.ones((2, 2, 1), np.uint8))
    found_in(predictor, twice)
    assert len(seen) == 2
