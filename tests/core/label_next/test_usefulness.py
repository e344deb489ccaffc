from __future__ import annotations

import numpy as np
import pytest

from backend.core.label_next.doubt import Doubt, LabelWeights, doubt_of, shares
from backend.core.label_next.order import Order
from backend.core.label_next.usefulness import usefulness_of

WEIGHTS = LabelWeights({"Car": 400, "Person": 200, "Bicyclist": 9}, ("Car", "Person", "Bicyclist"))


def doubt(*found):
    scores = np.array([score for score, _ in found], np.float32)
    return doubt_of(scores, np.array([label for _, label in found], np.int64), WEIGHTS)


def test_sure_objects_leave_no_doubt_and_half_sure_ones_do():
    assert doubt((0.99, 0), (0.01, 0)).amount < 0.1
    unsure = doubt((0.5, 0), (0.4, 1), (0.95, 0))
    assert unsure.amount > 1 and unsure.objects == 2


def test_a_mistake_about_a_rare_label_counts_more():
    assert doubt((0.5, 2)).amount > 2 * doubt((0.5, 1)).amount > 2 * doubt((0.5, 0)).amount


def test_a_rare_label_that_something_may_be_is_named_with_how_many_are_known():
    found = doubt((0.9, 0), (0.3, 2))
    assert (found.rare_label, found.rare_count) == ("Bicyclist", 9)
    assert doubt((0.9, 0), (0.3, 1)).rare_label is None
    assert doubt((0.08, 2)).rare_label is None


def test_a_label_that_nobody_has_drawn_yet_is_as_rare_as_can_be():
    weights = LabelWeights({"Car": 50}, ("Car", "Van"))
    assert weights.is_rare("Van") and weights.weight("Van") > weights.weight("Car")


def test_shares_are_places_and_equal_values_have_equal_ones():
    assert shares(np.array([5, 1, 3], np.float32)).tolist() == [1.0, 0.0, 0.5]
    assert shares(np.array([2, 2, 2], np.float32)).tolist() == [0.5, 0.5, 0.5]


def order(novelty=(0.0, 0.0, 0.0), twin_of=(-1, -1, -1)):
    rows = np.array([2, 0, 1], np.int64)
    return Order(rows, np.array(novelty, np.float32), np.array([4, 0, 7]), np.array(twin_of, np.int64))


def test_usefulness_is_the_place_in_the_order():
    useful = usefulness_of(order(), [None] * 3, [0.25, None, None], 5)
    assert [one.usefulness for one in useful] == [0.5, 0.0, 1.0]
    assert [one.quality for one in useful] == [0.25, None, None]


@pytest.mark.parametrize(
    ("its_doubt", "novelty", "twin", "labelled", "said"),
    [
        (None, 0.9, -1, 5, "unlike anything labelled"),
        (Doubt(3.0, 3), 0.1, -1, 5, "3 objects in doubt"),
        (Doubt(1.0, 1), 0.9, -1, 5, "unlike anything labelled; 1 object in doubt"),
        (Doubt(1.0, 0, "Bicyclist", 9), 0.1, -1, 5, "perhaps a Bicyclist, of which there are 9"),
        (Doubt(1.0, 0, "Bicyclist", 0), 0.1, -1, 5, "perhaps a Bicyclist, of which there are none yet"),
        (None, 0.1, -1, 5, "4 like it are left"),
        (None, 1.0, -1, 0, "4 like it are left"),
        (Doubt(3.0, 3), 0.9, 1, 5, "nearly equals one that comes earlier"),
        (Doubt(3.0, 3), 0.9, 4, 5, "nearly equals a labelled one"),
    ],
)
def test_why_is_said_in_words(its_doubt, novelty, twin, labelled, said):
    useful = usefulness_of(
        order((novelty, 0, 0), (twin, -1, -1)), [its_doubt, None, None], [None] * 3, labelled
    )
    assert useful[0].why == said
