from __future__ import annotations

from collections import Counter

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.ledger.acts import Act, acts_of, comes_from_prediction
from backend.core.ledger.costs import Costs, work_of
from backend.core.regions.kind import Teaches

CONFIG = parse_label_config(
    '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
    '<Label value="Cat"/><Label value="Dog"/></RectangleLabels></View>'
)


def box(region_id, label="Cat", x=10.0, origin=None):
    result = {
        "id": region_id,
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 100,
        "original_height": 100,
        "value": {"x": x, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": [label]},
    }
    return result if origin is None else {**result, "origin": origin}


PREDICTED = [box("a"), box("b"), box("c"), box("d"), box("e")]


def plain(acts):
    return {(label, act): n for (label, what, act), n in acts.items() if what is Teaches.BOX}


def test_each_region_has_one_fate():
    result = [
        box("a", origin="prediction"),
        box("b", x=14.0, origin="prediction-changed"),
        box("c", "Dog", origin="prediction-changed"),
        box("d", "Dog", x=40.0, origin="prediction-changed"),
        box("new", "Dog", origin="manual"),
    ]
    assert plain(acts_of(result, PREDICTED, CONFIG)) == {
        ("Cat", Act.KEPT): 1,
        ("Cat", Act.MOVED): 1,
        ("Dog", Act.RELABELLED): 1,
        ("Cat", Act.DELETED): 2,  # e, and d, of which nothing was of use
        ("Dog", Act.ADDED): 2,
    }


def test_label_studios_own_action_writes_no_origin_and_keeps_all():
    assert plain(acts_of(PREDICTED, PREDICTED, CONFIG)) == {("Cat", Act.KEPT): 5}


def test_of_a_prediction_that_is_gone_the_origins_alone_tell():
    result = [box("a", origin="prediction"), box("b", origin="prediction-changed"), box("n", origin="manual")]
    assert plain(acts_of(result, None, CONFIG)) == {
        ("Cat", Act.KEPT): 1,
        ("Cat", Act.MOVED): 1,
        ("Cat", Act.ADDED): 1,
    }


def test_only_what_began_with_a_prediction_counts():
    assert comes_from_prediction({"parent_prediction": 3, "result": []})
    assert comes_from_prediction({"parent_prediction": None, "result": [box("a", origin="prediction")]})
    assert not comes_from_prediction({"parent_prediction": None, "result": [box("a", origin="manual")]})


def test_hours_are_counted_as_drawn_by_hand_less_what_was_done():
    acts = Counter(
        {
            ("Cat", Teaches.BOX, Act.KEPT): 10,
            ("Cat", Teaches.BOX, Act.MOVED): 2,
            ("Cat", Teaches.BOX, Act.DELETED): 1,
            ("Cat", Teaches.MASK, Act.ADDED): 1,
        }
    )
    work = work_of(acts, Costs())
    assert work.by_hand_s == 12 * 7 + 79
    assert work.done_s == 13 * 0.5 + 2 * 4 + 1.5 + 79
    assert work_of(acts, Costs(mask=10)).by_hand_s == 12 * 7 + 10


def test_useless_predictions_cost_more_than_they_bring():
    assert work_of({("Cat", Teaches.BOX, Act.DELETED): 5}, Costs()).saved_s == -10
    assert work_of({("Cat", Teaches.MASK, Act.MOVED): 1}, Costs()).saved_s == 79 - 18.5
