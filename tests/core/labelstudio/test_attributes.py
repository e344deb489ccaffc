"""What is said of regions: read from annotations, and written beside them."""

from collections import Counter

import numpy as np
import pytest

from backend.core.answers.options import Question
from backend.core.answers.scales import Scale
from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import detections_to_results
from backend.core.labelstudio.task_pages import task_pages

XML = """<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo"><Label value="Fruit"/><Label value="Crate"/></RectangleLabels>
  <Choices name="state" toName="photo" perRegion="true" required="true">
    <Choice value="ripe"/><Choice value="raw"/></Choices>
  <Choices name="marks" toName="photo" perRegion="true" choice="multiple" visibleWhen="region-selected">
    <Choice value="spot"/><Choice value="cut"/></Choices>
  <Rating name="grade" toName="photo" perRegion="true" maxRating="3"/>
  <Number name="count" toName="photo" perRegion="true" whenLabelValue="Crate" min="0"/>
</View>"""
CONFIG = parse_label_config(XML)
SIZE = ImageSize(200, 100)
PLACE = {"original_width": 200, "original_height": 100, "image_rotation": 0}
GEOMETRY = {"x": 10, "y": 10, "width": 20, "height": 40, "rotation": 0}


def box(region_id="a", label="Fruit"):
    value = {**GEOMETRY, "rectanglelabels": [label]}
    return said(region_id, "box", "rectanglelabels", value)


def said(region_id, name, type_, value):
    return {
        "id": region_id,
        "from_name": name,
        "to_name": "photo",
        "type": type_,
        "value": {**GEOMETRY, **value},
        **PLACE,
    }


def task(*results):
    return {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": list(results)}]}


def read(*results):
    return annotated_task(task(*results), CONFIG)


def test_a_config_asks_the_head_for_attributes_what_its_regions_are_asked():
    assert set(CONFIG.asked) == {"attributes"}
    assert set(CONFIG.asked["attributes"]) == {"state", "marks", "grade", "count"}


def test_what_is_said_of_a_region_is_taught_with_it():
    annotated = read(
        box(),
        said("a", "state", "choices", {"choices": ["raw"]}),
        said("a", "grade", "rating", {"rating": 2}),
    )
    (labelled,) = annotated.pages[0].regions
    assert labelled.attributes == {"state": [1], "marks": [], "grade": 2.0}
    assert annotated.pages[0].extras == {} and not annotated.unusable
    target = build_target(annotated.pages[0].regions, CONFIG.labels, SIZE).target
    assert target.attributes[0].taught == labelled.attributes
    assert target.attributes[0].sides == pytest.approx((0.2, 0.2))


def test_a_tag_for_other_labels_teaches_nothing():
    number = {"number": 7}
    fruit, crate = (
        read(box(label=label), said("a", "count", "number", number)) for label in ("Fruit", "Crate")
    )
    assert "count" not in fruit.pages[0].regions[0].attributes
    assert crate.pages[0].regions[0].attributes["count"] == 7.0


def test_each_of_two_regions_keeps_its_own():
    annotated = read(
        box("a"),
        box("b"),
        said("b", "grade", "rating", {"rating": 3}),
        said("a", "grade", "rating", {"rating": 1}),
    )
    assert [one.attributes["grade"] for one in annotated.pages[0].regions] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (said("a", "state", "choices", {"choices": ["rotten"]}), "unknown_choice"),
        (said("a", "state", "choices", {"choices": ["ripe", "raw"]}), "several_choices"),
        (said("a", "grade", "rating", {"rating": 9}), "rating_out_of_range"),
        (said("a", "count", "number", {"number": "seven"}), "bad_number"),
        (said("a", "count", "number", {"number": -7}), "number_out_of_range"),
        ({**said("a", "grade", "rating", {}), "value": "3"}, "bad_answer"),
        (said("a", "grade", "choices", {"choices": ["ripe"]}), "bad_answer"),
        (said("gone", "grade", "rating", {"rating": 1}), "region_missing"),
        (said("a", "shade", "choices", {"choices": ["dark"]}), "unknown_control"),
    ],
)
def test_what_cannot_be_used_is_counted_and_costs_no_region(result, reason):
    annotated = read(box(label="Crate"), result)
    assert annotated.unusable == Counter([reason])
    assert len(annotated.pages[0].regions) == 1


def test_annotators_may_disagree_on_a_region():
    one, other = (
        {"id": k, "completed_by": k, "result": [box(), said("a", "grade", "rating", {"rating": k})]}
        for k in (1, 2)
    )
    both = {"id": 1, "data": {"image": "a.png"}, "annotations": [one, other]}
    assert annotated_task(both, CONFIG).is_disputed


def detections(labels):
    state, count = (CONFIG.asked["attributes"][name] for name in ("state", "count"))
    found = {
        "state": Question.from_json(state).found((0.2, 0.8)),
        "marks": Question.from_json(CONFIG.asked["attributes"]["marks"]).found((0.1, 0.1)),
        "grade": Scale.from_json(CONFIG.asked["attributes"]["grade"]).found((0.1, 0.2, 0.7)),
        "count": Scale.from_json(count).spanned_by([0, 10]).found(np.eye(11)[4]),
    }
    number = len(labels)
    boxes = np.array([[20 + 60 * k, 10, 60 + 60 * k, 50] for k in range(number)], np.float32)
    scores = np.full(number, 0.9, np.float32)
    return Detections(SIZE, boxes, scores, np.array(labels), (None,) * number, attributes=(found,) * number)


def written(labels, xml=XML):
    config = parse_label_config(xml)
    (page,) = task_pages({"data": {"image": "a.png"}}, config)
    thresholds = dict.fromkeys(["box", "shape", "state", "marks", "grade", "count"], 0.3)
    return detections_to_results(
        detections(labels), config.labels, config, page, thresholds, np.random.default_rng(0)
    )


def test_what_was_found_is_written_with_the_region_s_id_and_place():
    drawn, state, grade = written([0])
    assert (state["id"], grade["id"]) == (drawn["id"], drawn["id"])
    assert state["type"] == "choices" and state["value"]["choices"] == ["raw"] and state["score"] == 0.8
    assert grade["value"]["rating"] == 3
    for field in ("x", "y", "width", "height"):
        assert state["value"][field] == drawn["value"][field]
    assert "rectanglelabels" not in state["value"]


def test_a_tag_for_other_labels_is_not_answered():
    assert "number" not in [result["type"] for result in written([0])]
    assert written([1])[-1]["value"]["number"] == 4


def test_a_plain_tag_beside_labels_gets_its_attributes_too():
    xml = XML.replace(
        '<RectangleLabels name="box" toName="photo">',
        '<Rectangle name="shape" toName="photo"/><Labels name="box" toName="photo">',
    )
    results = written([0], xml.replace("</RectangleLabels>", "</Labels>"))
    assert [result["type"] for result in results] == ["rectangle", "labels", "choices", "rating"]
    assert len({result["id"] for result in results}) == 1


def test_what_was_written_is_read_again():
    results = written([0, 1])
    annotated = annotated_task(task(*results), CONFIG)
    said_again = [one.attributes for one in annotated.pages[0].regions]
    assert said_again == [
        {"state": [1], "marks": [], "grade": 3.0},
        {"state": [1], "marks": [], "grade": 3.0, "count": 4.0},
    ]


def test_label_studio_s_own_check_accepts_it():
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(XML)
    prediction = {"result": written([0, 1]), "score": 0.5, "model_version": "v1"}
    assert interface.validate_prediction(prediction)


def test_without_regions_to_be_about_it_is_left_alone_and_says_why():
    xml = """<View><Image name="photo" value="$image"/>
      <Choices name="light" toName="photo"><Choice value="dark"/></Choices>
      <Rating name="grade" toName="photo" perRegion="true"/></View>"""
    config = parse_label_config(xml)
    assert [tag.name for tag in config.learned_answers] == ["light"] and not config.learned_attributes
    (alone,) = config.left_alone
    assert alone.name == "grade" and "perRegion" in alone.why
