import json

import pytest

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from tests.learning_heads import ChoiceHead


@pytest.mark.parametrize("heads", [(BOXES,), (BOXES, MASKS), (AREAS,)], ids=["boxes", "masks", "areas"])
def test_a_card_is_read_back(heads):
    architecture = Architecture("resnet18", 416, 3, heads, canvas="square")
    assert Architecture.from_card(json.loads(json.dumps(architecture.as_card()))) == architecture


@pytest.mark.parametrize(("has_masks", "heads"), [(True, (BOXES, MASKS)), (False, (BOXES,))])
def test_a_card_of_the_first_release_is_read_and_known_again(has_masks, heads):
    first = {
        "backbone": "resnet18",
        "image_size_px": 416,
        "label_count": 3,
        "has_masks": has_masks,
        "canvas": "rect",
        "mean": [0.1, 0.2, 0.3],
        "std": [1.0, 1.0, 1.0],
        "neck_channels": 96,
        "mask_channels": 48,
    }
    architecture = Architecture.from_card(first)
    assert architecture.heads == heads
    assert architecture.as_first_card() == first


def test_what_the_first_release_did_not_know_is_none_of_its_trainings():
    assert Architecture("resnet18", 416, 3, (AREAS,)).as_first_card()["heads"] == ["areas"]


def test_a_head_of_another_release_is_named():
    card = Architecture("resnet18", 416, 3, (ChoiceHead(),)).as_card()
    with pytest.raises(ValueError, match="no head named choice"):
        Architecture.from_card(card)
