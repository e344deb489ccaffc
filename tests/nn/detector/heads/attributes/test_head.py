from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.core.answers.options import Form, Question
from backend.core.geometry.instances import Attributes, Detections
from backend.nn.detector.heads.answer_curves import AS_IT_IS, Curves
from backend.nn.detector.heads.answer_decoding import chances_of
from backend.nn.detector.heads.attributes.head import ATTRIBUTES
from backend.nn.detector.heads.attributes.module import AttributesModule
from backend.nn.detector.heads.attributes.targets import SHAKE
from backend.nn.detector.heads.head import Dimensions, LossContext
from tests.attribute_scenes import ASKED, SIZE, sample

SEEN = ATTRIBUTES.asked_of(ASKED, [sample(k).target for k in range(20)])


def targets_of(*numbers, **kwargs):
    shown = [sample(k, **kwargs).target for k in numbers]
    return ATTRIBUTES.targets(shown, 1, np.random.default_rng(0))


def test_it_is_wanted_where_something_is_said_of_an_object():
    assert ATTRIBUTES.is_wanted({}, [sample(0).target])
    assert not ATTRIBUTES.is_wanted({}, [sample(0, controls=()).target])


def test_a_batch_teaches_of_every_object_what_is_said_near_where_it_lies():
    targets = targets_of(3, 4)
    assert targets.views.tolist() == [0, 0, 1, 1]
    exact = sample(3).target.boxes_xyxy_px / np.array((SIZE.width, SIZE.height) * 2)
    lengths = np.tile(exact[:, 2:] - exact[:, :2], 2)
    assert (np.abs(targets.boxes[:2].numpy() - exact) < 5 * SHAKE * lengths).all()
    assert targets.taught[0] == sample(3).target.attributes[0].taught


def test_objects_of_which_nothing_is_said_teach_nothing():
    target = sample(0).target
    targets = ATTRIBUTES.targets(
        [replace(target, attributes=(None, target.attributes[1]))], 1, np.random.default_rng(0)
    )
    assert len(targets.taught) == 1


def test_numbers_span_the_scale_that_is_learned():
    assert SEEN["stripes"]["marks"] == [0, 1, 2, 3] and SEEN["fill"] == ASKED["fill"]


def test_a_batch_without_attributes_costs_nothing_and_breaks_nothing():
    torch.manual_seed(0)
    module = AttributesModule(Dimensions(8, 8, 8, 1, asked=SEEN))
    outputs = {f"attribute_features_{s}": torch.rand(1, 8, 64 // s, 64 // s) for s in (4, 8, 16, 32)}
    loss = ATTRIBUTES.losses(
        module, outputs, targets_of(0, controls=()), LossContext((64, 64), torch.ones(1), 1.0)
    )
    assert float(loss["attribute"].detach()) == 0
    loss["attribute"].backward()
    assert module.out.weight.grad is not None


def test_of_a_mirrored_object_the_other_side_is_true():
    torch.manual_seed(0)
    asked = {"facing": Question(Form.SINGLE, (("facing left",), ("facing right",))).as_json()}
    module = AttributesModule(Dimensions(8, 8, 8, 1, asked=asked))
    outputs = {f"attribute_features_{s}": torch.rand(1, 8, 64 // s, 64 // s) for s in (4, 8, 16, 32)}
    with torch.no_grad():
        module.out.bias.copy_(torch.tensor((0.0, 9.0)))

    def loss(position, *, is_mirrored):
        target = sample(0).target
        said = Attributes({"facing": [position]}, (0.2, 0.2), is_mirrored)
        shown = [replace(target, attributes=(said,) * len(target))]
        targets = ATTRIBUTES.targets(shown, 1, np.random.default_rng(0))
        context = LossContext((64, 64), torch.ones(1), 1.0)
        return float(ATTRIBUTES.losses(module, outputs, targets, context)["attribute"].detach())

    assert loss(0, is_mirrored=True) < loss(1, is_mirrored=True)
    assert loss(1, is_mirrored=False) < loss(0, is_mirrored=False)


def found_like(target, wrong=()):
    """Return detections of the objects of a target, of which all but some are described as they are."""
    layout = AttributesModule(Dimensions(8, 8, 8, 1, asked=SEEN)).layout
    attributes = []
    for row, said in enumerate(target.attributes):
        logits = np.zeros(layout.slot_count, np.float32)
        for control, _, (group,) in layout.of_control():
            slots = np.array(group.slots)
            logits[slots] = 9 * group.wanted(said.taught[control])
            if row in wrong:
                logits[slots] = -logits[slots]
        attributes.append(chances_of(logits, layout, {}))
    return Detections(
        target.size,
        target.boxes_xyxy_px,
        np.array([0.9, 0.8], np.float32),
        target.label_indices,
        (None, None),
        attributes=tuple(attributes),
    )


def test_measures_are_of_the_objects_that_were_found():
    targets = [sample(k).target for k in range(12)]
    good = ATTRIBUTES.measure([found_like(target) for target in targets], targets, 1)
    poor = ATTRIBUTES.measure([found_like(target, wrong=(1,)) for target in targets], targets, 1)
    assert good == {"region_choice_accuracy": 1.0, "region_scale_concordance": pytest.approx(1, abs=0.05)}
    assert poor["region_choice_accuracy"] == 0.5 and poor["region_scale_concordance"] < 0.6
    away = replace(found_like(targets[0]), boxes_xyxy_px=targets[0].boxes_xyxy_px + 200)
    assert ATTRIBUTES.measure([away], targets[:1], 1) == {}


def test_certainty_that_was_wrong_is_worth_less():
    targets = [sample(k).target for k in range(8)]
    sure = [found_like(target, wrong=(0,)) for target in targets]
    fitted = ATTRIBUTES.fitted(Curves(), sure, targets)
    assert fitted.by_control["fill"].slope < AS_IT_IS.slope
    assert ATTRIBUTES.reading_of(ATTRIBUTES.card_entries(fitted), 1) == fitted
