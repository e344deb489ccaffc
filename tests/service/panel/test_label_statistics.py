from __future__ import annotations

from collections import Counter

import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.points import points_of
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.service.panel.label_statistics import count_labels
from tests.fakes.tasks import annotated
from tests.panel_fakes import SHAPES_CONFIG, all_shapes, region

PLAIN_TAGS = """
<View><Image name="image" value="$image"/><Labels name="what" toName="image"><Label value="Cell"/></Labels>
<Rectangle name="box" toName="image"/></View>
"""


def counts_of(tasks, config=SHAPES_CONFIG):
    return count_labels(tasks, parse_label_config(config))


def test_shapes_and_painted_instances_are_counted_by_label():
    counts = counts_of([annotated(1, *all_shapes()), annotated(2)])
    assert (counts["annotated_images"], counts["shapes"], counts["painted"], counts["total"]) == (2, 3, 1, 4)
    by_label = {entry["label"]: (entry["shapes"], entry["painted"]) for entry in counts["labels"]}
    assert by_label == {"Cell": (2, 0), "Debris": (0, 0), "Nucleus": (1, 0), "Tissue": (0, 1)}
    assert counts["labels"][0]["color"] == "#d9480f"


def test_only_the_newest_annotation_that_was_not_skipped_counts():
    task = annotated(1, all_shapes()[0])
    task["annotations"].append({"id": 9, "was_cancelled": True, "result": all_shapes()})
    assert counts_of([task])["total"] == 1


def test_a_plain_shape_and_its_label_are_one_object():
    value = {"x": 1, "y": 1, "width": 5, "height": 5}
    shape = {"id": "a", "from_name": "box", "to_name": "image", "type": "rectangle", "value": value}
    label = {"id": "a", "from_name": "what", "to_name": "image", "type": "labels"}
    counts = counts_of([annotated(1, shape, {**label, "value": {**value, "labels": ["Cell"]}})], PLAIN_TAGS)
    assert counts["total"] == 1


def test_a_label_that_left_the_config_is_shown_as_such_and_is_in_no_total():
    gone = region("rectangle", "Dust", "x", {"x": 1, "y": 1, "width": 5, "height": 5})
    counts = counts_of([annotated(1, gone)])
    entry = {"label": "Dust", "color": None, "in_config": False, "shapes": 1, "painted": 0}
    assert counts["labels"][-1] == entry
    assert (counts["shapes"], counts["total"]) == (0, 0)


def test_answers_about_images_are_counted_by_what_they_say():
    config = """<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
        <Choice value="cat"/><Choice value="dog"/></Choices></View>"""
    cat = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    counts = counts_of([annotated(1, cat), annotated(2, cat)], config)
    assert counts["answers"] == [
        {"control": "kind", "answer": "cat", "images": 2},
        {"control": "kind", "answer": "dog", "images": 0},
    ]


# The statistics and a training count the same: of each case, what a training learns, by label.

EVERY_CASE = """
<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image">
  <Label value="Cell" alias="C"/><Label value="Debris"/>
</RectangleLabels>
<EllipseLabels name="ring" toName="image" model_skip="true">
  <Label value="Debris"/><Label value="Hidden"/>
</EllipseLabels>
<KeyPointLabels name="spot" toName="image"><Label value="Debris"/><Label value="Spot"/></KeyPointLabels>
</View>
"""
CONFIG = parse_label_config(EVERY_CASE)


def box(*labels, region_id="a", **more):
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": list(labels)}
    common = {"to_name": "image", "original_width": 100, "original_height": 100}
    return {"id": region_id, "from_name": "box", "type": "rectanglelabels", "value": value, **common, **more}


def moved(result):
    return {**result, "value": {**result["value"], "x": 60}}


def ring(label, middle=50, radius=9):
    value = {"x": middle, "y": middle, "radiusX": radius, "radiusY": radius, "ellipselabels": [label]}
    return {**box(), "from_name": "ring", "type": "ellipselabels", "value": value}


def spot(label, **more):
    value = {"x": 50, "y": 50, "width": 1, "keypointlabels": [label]}
    return {**box(), "from_name": "spot", "type": "keypointlabels", "value": value, **more}


VALUE = box()["value"]


@pytest.mark.parametrize(
    ("results", "labels"),
    [
        pytest.param([box("Cell")], {"C": 1}, id="by value, stored by alias"),
        pytest.param([box("C")], {"C": 1}, id="by alias"),
        pytest.param([box("Gone", "Debris")], {"Debris": 1}, id="the first of several is gone"),
        pytest.param([box("Gone")], {}, id="gone from the config"),
        pytest.param([box("Debris", is_positive=True)], {}, id="a prompt that was left in"),
        pytest.param([spot("Debris", is_positive=True)], {}, id="a click that was left in"),
        pytest.param([spot("Debris")], {"Debris": 1}, id="a key point"),
        pytest.param([ring("Debris")], {"Debris": 1}, id="a skipped tag, with a label of another"),
        pytest.param([ring("Hidden")], {}, id="a skipped tag's own label"),
        pytest.param([box("C", from_name="renamed")], {}, id="a tag that is gone"),
        pytest.param(
            [box("C"), {**spot("Spot"), "value": box()["value"]}], {"C": 1}, id="a label left selected"
        ),
        pytest.param([box()], {}, id="no label"),
        pytest.param([box("C", "Debris")], {"C": 1, "Debris": 1}, id="two labels"),
        pytest.param([box("C"), moved(box("Debris"))], {"C": 1, "Debris": 1}, id="two shapes of one id"),
        pytest.param([{**box("C"), "type": None}], {"C": 1}, id="no type"),
        pytest.param(
            [{**box("C"), "value": {**VALUE, "width": -9, "rectanglelabels": ["C"]}}], {"C": 1}, id="dragged"
        ),
        pytest.param(
            [box("Debris"), ring("Debris", radius=10, middle=20)], {"Debris": 1}, id="drawn in two tags"
        ),
        pytest.param([{**box("C"), "value": {"rectanglelabels": ["C"]}}], {}, id="no geometry"),
        pytest.param([box("C"), box("Debris", region_id="b")], {"C": 1, "Debris": 1}, id="two"),
    ],
)
def test_what_is_counted_is_what_a_training_learns(results, labels):
    task = annotated(1, *results)
    entries = count_labels([task], CONFIG)["labels"]
    counted = {entry["label"]: entry["shapes"] for entry in entries if entry["in_config"]}
    (page,) = annotated_task(task, CONFIG).pages
    target = build_target(page.regions, CONFIG.labels, ImageSize(100, 100)).target
    learned = Counter(CONFIG.labels[index] for index in target.label_indices.tolist())
    learned.update(CONFIG.labels[point.label_index] for point in points_of(target))
    assert {label: count for label, count in counted.items() if count} == labels == learned
    assert set(counted) == set(CONFIG.labels)


def test_rubbish_in_results_is_passed_over():
    assert (
        counts_of([annotated(1, None, {"value": None}, {"id": 3, "value": {"rectanglelabels": "x"}})])[
            "total"
        ]
        == 0
    )


def test_a_task_without_image_is_not_counted():
    task = {**annotated(1, box("C")), "data": {}}
    assert counts_of([task])["annotated_images"] == 0


def test_a_region_of_several_labels_is_one_object_and_counts_for_each():
    counts = count_labels([annotated(1, box("C", "Debris"), box("C", region_id="b"))], CONFIG)
    assert (counts["shapes"], counts["total"]) == (2, 2)
    assert {entry["label"]: entry["shapes"] for entry in counts["labels"]} == {"C": 2, "Debris": 1, "Spot": 0}


def test_what_is_said_of_regions_is_counted_by_what_it_says():
    config = SHAPES_CONFIG.replace(
        "</View>", '<Rating name="grade" toName="image" perRegion="true" maxRating="2"/></View>'
    )
    shapes = all_shapes()[:2]
    said = [
        {**shape, "from_name": "grade", "type": "rating", "value": {**shape["value"], "rating": 2}}
        for shape in shapes
    ]
    counts = counts_of([annotated(1, *shapes, *said)], config)
    assert counts["total"] == 2 and counts["answers"] == []
    assert counts["attributes"] == [
        {"control": "grade", "answer": "1", "regions": 0},
        {"control": "grade", "answer": "2", "regions": 2},
    ]
