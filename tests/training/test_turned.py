"""What a training learns and predicts where rectangles are drawn turned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backend.core.geometry.matching import match_at_half_iou
from backend.core.geometry.turned_boxes import is_turned, turned_iou
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from tests.learning_scenes import QUICK, Observer
from tests.turned_scenes import LABELS, picture, sample

PARAMS = TrainingParams(
    epochs=14,
    image_size=224,
    pretrained=False,
    backbone="test_resnet",
    batch_size=4,
    learning_rate=0.01,
    enable_segmentation=False,
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    torch.set_num_threads(1)
    samples = [sample(i) for i in range(24)]
    inputs = TrainingInputs(samples, LABELS, PARAMS, tmp_path_factory.mktemp("turned"), recipe=QUICK)
    return train_version(inputs, Observer())


@pytest.fixture(scope="module")
def seen(outcome):
    """Return detections and targets of pictures that taught nothing."""
    images, targets = zip(*(picture(seed) for seed in range(100, 106)), strict=True)
    predictor = load_predictor(outcome.folder)
    return predictor.predict(images, confidence_threshold=0.3, nms_threshold=0.4), targets


def test_one_head_finds_boxes_and_how_they_are_turned(outcome):
    assert outcome.card.facts["architecture"]["heads"] == ["turned_boxes"]
    assert outcome.card.learned_boxes
    assert {"turned_map50", "box_map50", "recall"} <= set(outcome.metrics)
    assert outcome.metrics["turned_map50"] > 0.6


def test_the_card_says_which_share_of_each_label_was_drawn_turned(outcome):
    assert outcome.card.facts["turned_shares"] == [1.0, 0.0]
    assert load_predictor(outcome.folder).turned_labels == {LABELS[0]}


def test_angle_and_sides_are_found_on_new_pictures(seen):
    overlaps = []
    for found, target in zip(*seen, strict=True):
        bars = found.turned_boxes_px[found.label_indices == 0]
        drawn = target.turned_boxes_px[is_turned(target.turned_boxes_px)]
        overlaps += turned_iou(drawn, bars).max(axis=1, initial=0.0).tolist()
        assert match_at_half_iou(found, target)[0].sum() >= 2
    assert np.median(overlaps) > 0.5  # an upright box around such a bar overlaps it by 0.4 in the mean


def test_a_label_that_is_drawn_upright_comes_back_upright(seen):
    for found, _ in zip(*seen, strict=True):
        blocks = found.label_indices == 1
        assert np.all(found.turned_boxes_px[blocks, 4] == 0)
        assert blocks.any()


def test_where_hardly_any_rectangle_is_turned_boxes_are_learned_upright(tmp_path):
    samples = [sample(i) for i in range(4)]
    straight = [replace(one, target=replace(one.target, turned_boxes_px=None)) for one in samples]
    params = replace(PARAMS, epochs=1)
    inputs = TrainingInputs(straight, LABELS, params, tmp_path, recipe=QUICK)
    version = train_version(inputs, Observer())
    assert version.card.facts["architecture"]["heads"] == ["boxes"]
    assert not [name for name in load_file(version.folder / "weights.safetensors") if "turn" in name]
    assert "turned_shares" not in version.card.facts and "turned_map50" not in version.metrics
