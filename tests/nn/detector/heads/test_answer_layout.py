import numpy as np
import pytest

from backend.core.answers.options import Form, Question
from backend.nn.detector.heads.answer_curves import AS_IT_IS, Curve
from backend.nn.detector.heads.answer_decoding import chances_of
from backend.nn.detector.heads.answer_layout import Layout

TREE = Question(Form.PATH, (("a",), ("b",), ("b", "x"), ("b", "y")))
LAYOUT = Layout.of({"tree": TREE.as_json(), "tags": Question(Form.MULTIPLE, (("p",), ("q",))).as_json()})


def test_each_family_has_its_slots_and_one_for_the_end_of_the_path():
    assert LAYOUT.slot_count == 2 + 3 + 2
    top, below, tags = LAYOUT.groups
    assert (top.options, below.options, tags.options) == ((0, 1), (2, 3), (0, 1))
    assert top.end_slot is None and below.end_slot == 4


@pytest.mark.parametrize(
    ("chosen", "top", "below"),
    [
        ([0], [1, 0], None),
        ([1], [0, 1], [0, 0, 1]),
        ([3], [0, 1], [0, 1, 0]),
        ([0, 2], [0.5, 0.5], [1, 0, 0]),
    ],
)
def test_what_the_slots_should_say(chosen, top, below):
    groups = LAYOUT.groups
    assert groups[0].wanted(chosen).tolist() == top
    assert (None if below is None else below) == (
        None if groups[1].wanted(chosen) is None else groups[1].wanted(chosen).tolist()
    )


def test_chances_lead_down_the_tree():
    logits = np.array([0, np.log(3), 0, 0, np.log(2), 0, np.log(4)], np.float32)
    found = chances_of(logits, LAYOUT, {"tags": Curve(0.5)})
    assert np.allclose(found["tree"].values, [0.25, 0.75, 0.75 / 4, 0.75 / 4], atol=1e-6)
    assert np.allclose(found["tags"].values, [0.5, 2 / 3], atol=1e-6)
    assert AS_IT_IS.slope == 1
