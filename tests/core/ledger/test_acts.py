from __future__ import annotations

from collections import Counter

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.own_writes import SECOND_LOOK, noted
from backend.core.ledger.acts import (
    Act,
    acts_in_batch,
    acts_of,
    batch_of,
    comes_from_prediction,
    has_repairs,
    repairs_of,
)
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


def test_a_point_that_gets_another_label_where_it_is_was_relabelled():
    config = parse_label_config(
        '<View><Image name="image" value="$image"/><KeyPointLabels name="tip" toName="image">'
        '<Label value="Left"/><Label value="Right"/></KeyPointLabels></View>'
    )

    def point(label, x=10.0):
        value = {"x": x, "y": 10, "width": 0.5, "keypointlabels": [label]}
        return {**box("a"), "from_name": "tip", "type": "keypointlabels", "value": value}

    right = {**point("Right"), "origin": "prediction-changed"}
    assert acts_of([right], [point("Left")], config) == {("Right", Teaches.POINT, Act.RELABELLED): 1}
    assert acts_of([right], [point("Left", x=40.0)], config) == {
        ("Left", Teaches.POINT, Act.DELETED): 1,
        ("Right", Teaches.POINT, Act.ADDED): 1,
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


def test_a_region_that_was_moved_without_the_editor_counts_as_moved():
    result = [box("a", x=20.0, origin="prediction"), *PREDICTED[1:]]
    assert plain(acts_of(result, PREDICTED, CONFIG)) == {("Cat", Act.MOVED): 1, ("Cat", Act.KEPT): 4}


def test_what_a_second_look_added_is_repaired_and_nothing_else_of_a_drawing_by_hand_counts():
    result = [box("h", origin="manual"), *noted([box("n", "Dog")], SECOND_LOOK)]
    annotation = {"parent_prediction": None, "result": result}
    assert not comes_from_prediction(annotation) and has_repairs(result)
    assert plain(repairs_of(result, CONFIG)) == {("Dog", Act.REPAIRED): 1}
    moved = [{**result[1], "origin": "prediction-changed"}]
    assert plain(repairs_of(moved, CONFIG)) == {("Dog", Act.MOVED): 1}


def test_beside_a_prediction_what_a_second_look_added_is_not_added_by_hand():
    result = [*PREDICTED, *noted([box("n", "Dog")], SECOND_LOOK)]
    assert plain(acts_of(result, PREDICTED, CONFIG)) == {("Cat", Act.KEPT): 5, ("Dog", Act.REPAIRED): 1}


def test_a_batch_that_nobody_edited_is_accepted():
    result = noted([box("a"), box("b", "Dog")], "accepted-1f")
    assert batch_of(result) == "accepted-1f" and batch_of(PREDICTED) is None
    accepted = acts_in_batch(result, None, CONFIG)
    assert plain(accepted) == {("Cat", Act.ACCEPTED): 1, ("Dog", Act.ACCEPTED): 1}
    assert acts_in_batch(result, accepted, CONFIG) == accepted


def test_once_somebody_edits_what_was_accepted_they_have_looked_at_all_of_it():
    whole = list(noted(PREDICTED, "accepted-1f"))
    accepted = acts_in_batch(whole, None, CONFIG)
    edited = [{**whole[0], "origin": "prediction-changed"}, *whole[1:4], box("n", "Dog", origin="manual")]
    acts = acts_in_batch(edited, accepted, CONFIG)
    assert plain(acts) == {
        ("Cat", Act.KEPT): 3,
        ("Cat", Act.MOVED): 1,
        ("Cat", Act.DELETED): 1,
        ("Dog", Act.ADDED): 1,
    }
    fewer = acts_in_batch(edited[:3], acts, CONFIG)
    assert plain(fewer) == {("Cat", Act.KEPT): 2, ("Cat", Act.MOVED): 1, ("Cat", Act.DELETED): 2}


def test_another_label_of_what_was_accepted_is_no_deletion():
    whole = list(noted(PREDICTED[:2], "accepted-1f"))
    accepted = acts_in_batch(whole, None, CONFIG)
    changed = [whole[0], {**noted([box("b", "Dog")], "accepted-1f")[0], "origin": "prediction-changed"}]
    assert plain(acts_in_batch(changed, accepted, CONFIG)) == {("Cat", Act.KEPT): 1, ("Dog", Act.MOVED): 1}


def test_what_was_accepted_saves_drawing_less_the_mistakes_and_a_repair_costs_a_look_and_a_click():
    accepted = work_of({("Cat", Teaches.BOX, Act.ACCEPTED): 100}, Costs(), 0.95)
    assert (accepted.by_hand_s, accepted.done_s) == (95 * 7, 0)
    assert work_of({("Cat", Teaches.BOX, Act.REPAIRED): 1}, Costs()).saved_s == 7 - 0.5 - 3


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
