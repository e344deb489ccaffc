"""Trainings from choices: alone, and beside boxes and masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backend.core.answers.kind import WrittenControl
from backend.core.answers.number import NUMBER
from backend.core.answers.options import Form, Question
from backend.core.answers.rating import RATING
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.nn.detector.predictor import WEIGHTS_FILE, load_predictor
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from tests.learning_scenes import QUICK, Observer, sample

PARAMS = TrainingParams(epochs=8, image_size=224, pretrained=False, backbone="test_resnet", batch_size=4)
SINGLE = Question(Form.SINGLE, (("dark",), ("bright",))).as_json()
MULTIPLE = Question(Form.MULTIPLE, (("red",), ("blue",)), is_open=True).as_json()
STARS = RATING.asked(WrittenControl({"maxrating": "3"}))
PATCHES = NUMBER.asked(WrittenControl({}))
ASKED = {"choices": {"light": SINGLE, "colors": MULTIPLE, "stars": STARS, "patches": PATCHES}}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def picture(number):
    """Return a picture and what is said of it: how light, how many stars, which patches, how many."""
    rng = np.random.default_rng(number)
    is_bright, colors = number % 2, [k for k in (0, 1) if (number >> (k + 1)) % 2]
    image = rng.integers(0, 40, size=(48, 64, 3)) + 150 * is_bright
    for k in colors:
        image[8:40, 8 + 28 * k : 28 + 28 * k] = (220, 30, 30) if k == 0 else (30, 30, 220)
    said = {"light": [is_bright], "colors": colors, "stars": 1.0 + 2 * is_bright, "patches": len(colors)}
    return image.astype(np.uint8), said


def choice_sample(number):
    image, chosen = picture(number)
    target = TrainingTarget(
        ImageSize(64, 48),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int64),
        (),
        extras={"choices": chosen},
    )
    return TrainingSample(number, lambda: image, target)


def test_a_config_of_choices_alone_is_learned_and_judged_by_its_own_measure(tmp_path):
    samples = [choice_sample(number) for number in range(24)]
    inputs = TrainingInputs(samples, (), PARAMS, tmp_path, recipe=QUICK, asked=ASKED)
    outcome = train_version(inputs, Observer())
    assert outcome.card.facts["architecture"]["heads"] == ["choices"]
    stored = load_file(outcome.folder / WEIGHTS_FILE)
    assert {name.split(".")[0] for name in stored} == {"backbone", "choices_head"}
    assert "choice_accuracy" in outcome.metrics and "box_map" not in outcome.metrics
    assert "scale_concordance" in outcome.metrics
    assert outcome.card.facts["architecture"]["asked"]["choices"]["patches"]["marks"] == [0, 1, 2]
    predictor = load_predictor(outcome.folder)
    found = predictor.predict([picture(k)[0] for k in range(8)], confidence_threshold=0.3, nms_threshold=0.4)
    right = [
        one.extras["choices"]["light"].values[k % 2] > 0.5
        and one.extras["choices"]["stars"].value == 1 + 2 * (k % 2)
        and 0 < one.image_score <= 1
        and len(one) == 0
        for k, one in enumerate(found)
    ]
    assert sum(right) >= 6
    assert all(0 <= one.extras["choices"]["patches"].value <= 2 for one in found)


def ramps(side):
    """Return a picture of ramps, brighter towards one side."""
    row = np.tile(np.arange(16) * 15, 4)
    row = row if side == "right" else row[::-1]
    return np.repeat(np.tile(row, (48, 1))[..., None], 3, axis=2).astype(np.uint8)


def test_sides_are_told_apart_although_views_are_mirrored(tmp_path):
    def ramp_sample(number):
        extras = {"choices": {"brighter": [number % 2]}}
        return replace(
            choice_sample(number),
            load_rgb=lambda: ramps(("left", "right")[number % 2]),
            target=replace(choice_sample(number).target, extras=extras),
        )

    question = Question(Form.SINGLE, (("Left",), ("Right",))).as_json()
    inputs = TrainingInputs(
        [ramp_sample(k) for k in range(12)],
        (),
        PARAMS,
        tmp_path,
        recipe=QUICK,
        asked={"choices": {"brighter": question}},
    )
    predictor = load_predictor(train_version(inputs, Observer()).folder)
    found = predictor.predict([ramps("left"), ramps("right")], confidence_threshold=0.3, nms_threshold=0.4)
    assert [np.argmax(one.extras["choices"]["brighter"].values) for one in found] == [0, 1]


def test_choices_are_learned_beside_boxes(tmp_path):
    samples = []
    for number in range(6):
        one = sample(number)
        chosen = {"choices": {"light": [number % 2]}}
        samples.append(replace(one, target=replace(one.target, extras=chosen)))
    params = replace(PARAMS, epochs=2)
    inputs = TrainingInputs(samples, ("red", "blue"), params, tmp_path, recipe=QUICK, asked=ASKED)
    outcome = train_version(inputs, Observer())
    assert outcome.card.facts["architecture"]["heads"] == ["boxes", "masks", "choices"]
    (found,) = load_predictor(outcome.folder).predict(
        [samples[0].load_rgb()], confidence_threshold=0.01, nms_threshold=0.4
    )
    assert found.extras["choices"]["light"].question.options == (("dark",), ("bright",))


def test_without_choices_the_network_has_no_head_for_them(tmp_path):
    outcome = train_version(
        TrainingInputs(
            [sample(k) for k in range(4)], ("red", "blue"), replace(PARAMS, epochs=1), tmp_path, recipe=QUICK
        ),
        Observer(),
    )
    assert outcome.card.facts["architecture"]["heads"] == ["boxes", "masks"]
    assert "asked" not in outcome.card.facts["architecture"]
