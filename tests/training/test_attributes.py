"""Trainings from what is said of regions, beside boxes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.predictor import load_predictor
from backend.training.detector.images import LoadedImages, to_training_size
from backend.training.detector.views import make_view
from backend.training.inputs import TrainingInputs
from backend.training.launch import read_inputs, write_inputs
from backend.training.parameters import TrainingParams
from backend.training.recipe import RECIPE
from backend.training.run import train_version
from tests.attribute_scenes import ASKED, picture, sample
from tests.learning_scenes import QUICK, Observer

PARAMS = TrainingParams(
    epochs=1,
    image_size=224,
    pretrained=False,
    backbone="test_resnet",
    batch_size=4,
    enable_segmentation=False,
    confidence_threshold=0.1,
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def inputs(folder, count=4, controls=tuple(ASKED)):
    samples = [sample(number, controls) for number in range(count)]
    asked = {"attributes": ASKED} if controls else {}
    return TrainingInputs(samples, ("square",), PARAMS, folder, recipe=QUICK, asked=asked)


def test_what_is_said_of_regions_is_learned_beside_boxes(tmp_path):
    outcome = train_version(inputs(tmp_path), Observer())
    architecture = outcome.card.facts["architecture"]
    assert architecture["heads"] == ["boxes", "attributes"]
    assert architecture["asked"]["attributes"]["stripes"]["marks"]
    (found,) = load_predictor(outcome.folder).predict(
        [picture(0)[0]], confidence_threshold=0.0, nms_threshold=0.4, max_regions=5
    )
    assert len(found) == 5 and len(found.attributes) == 5
    assert set(found.attributes[0]) == set(ASKED)


def test_without_attributes_the_network_has_no_head_for_them(tmp_path):
    outcome = train_version(inputs(tmp_path, controls=()), Observer())
    assert outcome.card.facts["architecture"]["heads"] == ["boxes"]
    (found,) = load_predictor(outcome.folder).predict(
        [picture(0)[0]], confidence_threshold=0.0, nms_threshold=0.4
    )
    assert found.attributes is None


def test_attributes_follow_their_objects_through_views():
    images = [to_training_size(one.load_rgb(), one.target, 224) for one in map(sample, range(6))]
    calm = replace(RECIPE.augmentation, copy_paste=0.0)
    rng = np.random.default_rng(0)
    shown = [
        make_view(images, 0, (224, 224), calm, rng, allow_mosaic=True, heads=HEADS).target for _ in range(20)
    ]
    known = {str(one.taught) + str(one.sides) for image in images for one in image.target.attributes}
    assert any(len(target) > 2 for target in shown)
    for target in shown:
        assert len(target.attributes_by_row) == len(target)
        assert {str(one.taught) + str(one.sides) for one in target.attributes} <= known


def test_several_processes_learn_the_same_attributes(tmp_path):
    given = inputs(tmp_path)
    images = [to_training_size(one.load_rgb(), one.target, 224) for one in given.samples]
    loaded = LoadedImages(images, [one.task_id for one in given.samples], [])
    write_inputs(tmp_path, given, loaded)
    _, again = read_inputs(tmp_path)
    assert [one.target.attributes for one in again.images] == [one.target.attributes for one in images]
