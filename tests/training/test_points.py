"""Named points are learned and found through the training's entry, on drawn pictures."""

from dataclasses import replace

import numpy as np
import pytest

from backend.core.geometry.points import found_points
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from tests.learning_scenes import QUICK, Observer
from tests.point_scenes import PART, part, sample

PARAMS = TrainingParams(epochs=16, image_size=224, pretrained=False, backbone="test_resnet", batch_size=8)


def shown_by(number):
    """Every eighth picture shows nothing, every fourth no red corner."""
    return () if number % 8 == 0 else (1, 2) if number % 4 == 1 else (0, 1, 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    samples = [sample(number, shown_by(number)) for number in range(24)]
    folder = tmp_path_factory.mktemp("points")
    recipe = replace(QUICK, pass_images_min=24)
    outcome = train_version(TrainingInputs(samples, PART, PARAMS, folder, recipe=recipe), Observer())
    return outcome, load_predictor(outcome.folder)


def found_in(trained, image):
    detections = trained[1].predict([image], confidence_threshold=0.3, nms_threshold=0.4)[0]
    return found_points(detections)


def test_each_point_is_found_once_and_near(trained):
    distances = []
    for seed in range(100, 110):
        image, points = part(seed)
        found = found_in(trained, image)
        assert len(set(found.label_indices.tolist())) == len(found)  # never two of a label, as in the labels
        at = dict(zip(found.label_indices.tolist(), found.points_xy_px, strict=True))
        distances += [
            np.hypot(*(at[p.label_index] - [p.x_px, p.y_px])) if p.label_index in at else 99.0 for p in points
        ]
    assert np.mean(np.array(distances) < 5) >= 0.8  # 5 of 96 pixels


def test_nothing_is_found_where_nothing_is(trained):
    assert sum(len(found_in(trained, part(seed, shown=())[0])) for seed in range(200, 210)) <= 1


def test_only_the_points_are_learned(trained):
    outcome, predictor = trained
    assert predictor.architecture.head_names == ("landmarks",)
    assert {"point_map", "point_recall", "point_nearness"} <= outcome.metrics.keys()
    assert outcome.card.facts["regions_by_label"]["green"] == 21
