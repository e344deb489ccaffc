"""What a training learns and predicts where boxes are switched off: areas."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backend.errors import NotEnoughData
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from tests.area_scenes import LABELS, area_sample, landscape
from tests.learning_scenes import QUICK, Observer, sample

PARAMS = TrainingParams(
    epochs=8,
    image_size=224,
    pretrained=False,
    backbone="test_resnet",
    batch_size=4,
    learning_rate=0.01,
    enable_detection=False,
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    torch.set_num_threads(1)
    samples = [area_sample(i) for i in range(22)]
    inputs = TrainingInputs(samples, LABELS, PARAMS, tmp_path_factory.mktemp("areas"), recipe=QUICK)
    return train_version(inputs, Observer())


def iou(mask, wanted):
    return (mask & wanted).sum() / max((mask | wanted).sum(), 1)


def test_nothing_of_boxes_is_built_learned_or_stored(outcome):
    assert outcome.card.facts["architecture"]["heads"] == ["areas"]
    names = load_file(outcome.folder / "weights.safetensors")
    assert not [name for name in names if "detection" in name or "object" in name]
    assert set(outcome.metrics) == {"area_iou", "precision", "recall", "calibration_error"}
    assert set(outcome.card.facts["history"][-1]) == {"epoch", "loss", "area_iou"}


def test_areas_are_found_one_for_each_connected_part(outcome):
    predictor = load_predictor(outcome.folder)
    images = [landscape(seed, has_tower=seed % 2 == 1) for seed in range(40, 44)]
    found = predictor.predict([i for i, _, _ in images], confidence_threshold=0.3, nms_threshold=0.4)
    for one, (_, sky, road) in zip(found, images, strict=True):
        assert not one.has_boxes and 0 < one.image_score <= 1
        for label, wanted in enumerate((sky, road)):
            masks = [
                m.full(one.size) for m, k in zip(one.masks, one.label_indices, strict=True) if k == label
            ]
            assert iou(np.any(masks, axis=0), wanted) > 0.8
            assert np.sum(masks, axis=0).max() == 1  # no pixel twice
    parts = [np.count_nonzero(one.label_indices == 0) for one in found]
    assert parts == [1, 2, 1, 2]  # the tower stands in every other sky


def test_areas_are_scored_and_measured(outcome):
    assert outcome.metrics["area_iou"] > 0.8
    assert outcome.metrics["recall"] > 0.5
    assert set(outcome.card.per_class) == set(LABELS)
    assert min(outcome.card.facts["least_area_shares"]) > 0.01


def test_the_smart_tools_may_ask_what_a_box_holds(outcome):
    predictor = load_predictor(outcome.folder)
    image, sky, _ = landscape(50)
    limits = {"confidence_threshold": 0.1, "nms_threshold": 0.6}
    seen, maps = predictor.detect_with_maps(image, **limits)
    box = np.array([10, 0, 60, 40], np.float32)
    mask = predictor.mask_in_box(maps, seen.size, box, None).full(seen.size)
    inside = np.zeros_like(sky)
    inside[:40, 10:60] = True
    assert iou(mask, sky & inside) > 0.8
    assert predictor.mask_in_box(maps, seen.size, np.array([0, 34, 90, 37], np.float32), 0) is None


def test_no_time_is_spent_on_boxes(tmp_path):
    def seconds_of(params):
        """CPU time, so that a busy neighbour does not count."""
        samples = [area_sample(i) for i in range(8)]
        inputs = TrainingInputs(
            samples, LABELS, params, tmp_path / str(params.enable_detection), recipe=QUICK
        )
        started = time.process_time()
        train_version(inputs, Observer())
        return time.process_time() - started

    areas, both = (
        seconds_of(replace(PARAMS, epochs=4, enable_detection=detection)) for detection in (False, True)
    )
    assert areas < 0.9 * both


def test_a_training_may_go_on_from_a_version_with_boxes(tmp_path):
    params = replace(PARAMS, epochs=1, enable_detection=True)
    samples = [area_sample(i) for i in range(2)]
    first = train_version(TrainingInputs(samples, LABELS, params, tmp_path / "a", recipe=QUICK), Observer())
    inputs = TrainingInputs(
        samples, LABELS, replace(params, enable_detection=False), tmp_path / "b", recipe=QUICK
    )
    second = train_version(replace(inputs, start_folder=first.folder), Observer())
    assert second.card.facts["architecture"]["heads"] == ["areas"]


def test_without_any_shape_there_is_nothing_to_learn(tmp_path):
    samples = [sample(i, with_masks=False) for i in range(2)]
    with pytest.raises(NotEnoughData, match="enable_detection is false"):
        train_version(TrainingInputs(samples, ("red", "blue"), PARAMS, tmp_path, recipe=QUICK), Observer())
