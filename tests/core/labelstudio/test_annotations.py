import copy
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.points import points_of
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.annotators import choose_annotation
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.brush_rle import encode_brush_rle
from backend.errors import AnnotationError

CAPTURES = Path(__file__).parents[2] / "contract" / "captures"
SIZE = ImageSize(200, 100)
CONFIG = parse_label_config(
    """<View><Image name="img" value="$image"/>
    <RectangleLabels name="rect" toName="img">
      <Label value="Cat"/><Label value="Brand" alias="B"/>
    </RectangleLabels>
    <BrushLabels name="brush" toName="img"><Label value="Cat"/><Label value="Dog 🐕"/></BrushLabels>
    <PolygonLabels name="poly" toName="img"><Label value="a/b"/></PolygonLabels>
    <EllipseLabels name="ell" toName="img" model_skip="true">
      <Label value="Cat"/><Label value="Eye"/>
    </EllipseLabels>
    <KeyPointLabels name="kp" toName="img"><Label value="Cat"/><Label value="Spot"/></KeyPointLabels>
    <Rectangle name="plain" toName="img"/>
    <Labels name="lab" toName="img"><Label value="Cat"/><Label value="Car"/></Labels>
    </View>"""
)
LABELS = CONFIG.labels


def region(type_="rectanglelabels", from_name="rect", labels=("Cat",), region_id="r1", value=None, **more):
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0} if value is None else dict(value)
    if labels is not None:
        value[type_] = list(labels)
    common = {"original_width": SIZE.width, "original_height": SIZE.height, "image_rotation": 0}
    return {
        "id": region_id,
        "from_name": from_name,
        "to_name": "img",
        "type": type_,
        "value": value,
        **common,
        **more,
    }


def brush(left, top, right, bottom, labels=("Dog 🐕",), region_id="b1"):
    mask = np.zeros((SIZE.height, SIZE.width), dtype=bool)
    mask[top:bottom, left:right] = True
    return region("brushlabels", "brush", labels, region_id, {"format": "rle", "rle": encode_brush_rle(mask)})


def annotation(*results, **fields):
    return {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(results), **fields}


def task(*results, **fields):
    return {"id": 5, "data": {"image": "a.png"}, "annotations": [annotation(*results, **fields)]}


def read(*results, config=CONFIG):
    """Return labels by region id (one, or a list of several), and what was unusable in both steps."""
    annotated = annotated_task(task(*results), config)
    built = build_target(annotated.pages[0].regions, config.labels, SIZE)
    target = built.target
    labels = {}
    for region_id, index in zip(target.region_ids, target.label_indices.tolist(), strict=True):
        labels.setdefault(region_id, []).append(config.labels[index])
    shown = {region_id: names[0] if len(set(names)) == 1 else names for region_id, names in labels.items()}
    return shown, annotated.unusable + built.unusable


# Which annotation teaches


def moment(day, id_=1, **fields):
    stamps = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": f"2026-02-{day:02}T10:00:00.000000Z"}
    return annotation(**{"id": id_, **stamps, **fields})


@pytest.mark.parametrize(
    ("annotations", "chosen"),
    [
        pytest.param([moment(1), moment(2)], 1, id="newest last"),
        pytest.param([moment(2), moment(1)], 0, id="newest first"),
        pytest.param([moment(1), moment(2, was_cancelled=True)], 0, id="newest was skipped"),
        pytest.param([moment(1), moment(2, ground_truth=True)], 1, id="ground truth counts like any other"),
        pytest.param([moment(1, ground_truth=True), moment(2)], 1, id="ground truth is no reason to prefer"),
        pytest.param([moment(3, id_=4), moment(3, id_=9), moment(3, id_=5)], 1, id="same time, highest id"),
        pytest.param([moment(1), moment(2, result=None)], 0, id="newest has no results"),
        pytest.param([moment(1), "x", None, moment(2, result="[]")], 0, id="rubbish beside it"),
        pytest.param([annotation(id=3), annotation(id=7)], 1, id="no times at all"),
        pytest.param([annotation(id=7), moment(1, id_=3)], 1, id="a time beats none"),
        pytest.param(
            [
                annotation(updated_at="2026-02-01T10:00:00Z"),
                annotation(updated_at="2026-02-01T10:00:00.500000+00:00"),
            ],
            1,
            id="fractions",
        ),
        pytest.param(
            [
                annotation(updated_at="2026-02-01T10:00:00"),
                annotation(updated_at="2026-02-01T10:30:00+01:00"),
            ],
            0,
            id="time zones",
        ),
        pytest.param(
            [annotation(updated_at="yesterday", id=1), annotation(updated_at=7, id=2)], 1, id="odd times"
        ),
        pytest.param(
            [annotation(updated_at=None, created_at="2026-02-01T10:00:00Z"), annotation()], 0, id="created"
        ),
    ],
)
def test_the_newest_annotation_that_was_not_cancelled_teaches(annotations, chosen):
    assert choose_annotation({"annotations": annotations}) is annotations[chosen]


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param([], id="none"),
        pytest.param(None, id="null"),
        pytest.param({"result": []}, id="no list"),
        pytest.param([annotation(was_cancelled=True)], id="only a skipped one"),
    ],
)
def test_without_annotation_nothing_is_taught(annotations):
    assert choose_annotation({"annotations": annotations}) is None
    assert annotated_task({"data": {"image": "a"}, "annotations": annotations}, CONFIG) is None


def test_an_annotated_image_without_regions_teaches_background():
    annotated = annotated_task(task(), CONFIG)
    (page,) = annotated.pages
    assert annotated.annotation_id == 1 and page.regions == () and page.recorded_size is None
    target = build_target(page.regions, LABELS, SIZE).target
    assert len(target) == 0 and target.boxes_xyxy_px.shape == (0, 4) and target.size == SIZE


GHOST_ON = {
    "label gone": {"rectanglelabels": ["Ghost"]},
    "no label": {"rectanglelabels": []},
    "numbers as text": {"x": "5"},
}


@pytest.mark.parametrize("value", GHOST_ON.values(), ids=GHOST_ON)
def test_an_image_is_bare_that_lost_all_its_regions_and_only_that_one(value):
    config = parse_label_config(
        '<View><Image name="book" valueList="$pages"/><RectangleLabels name="box" toName="book">'
        '<Label value="Cat"/></RectangleLabels></View>'
    )
    good = {"x": 5, "y": 5, "width": 9, "height": 9, "rectanglelabels": ["Cat"]}
    made = {"type": "rectanglelabels", "from_name": "box", "to_name": "book"}
    results = [
        {"id": "a", **made, "item_index": 0, "value": good},
        {"id": "b", **made, "item_index": 1, "value": good | value},
    ]
    pages = {"data": {"pages": ["1.png", "2.png", "3.png"]}, "annotations": [{"id": 1, "result": results}]}
    annotated = annotated_task(pages, config)
    assert [page.is_bare for page in annotated.pages] == [False, True, False]
    del results[0]
    results[0]["to_name"] = "old name"
    assert all(page.is_bare for page in annotated_task(pages, config).pages)


def test_a_task_without_image_is_refused():
    with pytest.raises(AnnotationError, match="no image under 'image'"):
        annotated_task({"data": {}, "annotations": [annotation()]}, CONFIG)


# Which label a region teaches


@pytest.mark.parametrize(
    ("results", "labels"),
    [
        pytest.param([region()], {"r1": "Cat"}, id="rectangle"),
        pytest.param([brush(10, 10, 30, 30)], {"b1": "Dog 🐕"}, id="emoji"),
        pytest.param([region(labels=["Brand"])], {"r1": "B"}, id="by value"),
        pytest.param([region(labels=["B"])], {"r1": "B"}, id="by alias"),
        pytest.param([region(labels=["Gone", "Cat"])], {"r1": "Cat"}, id="only one is known"),
        pytest.param([region(labels=["Cat", "B"])], {"r1": ["Cat", "B"]}, id="two labels"),
        pytest.param([region(labels=["Brand", "B", "Cat"])], {"r1": ["B", "Cat"]}, id="one by two names"),
        pytest.param(
            [region("rectangle", "plain", None), region("labels", "lab", ["Car", "Cat"])],
            {"r1": ["Car", "Cat"]},
            id="plain tag, two labels",
        ),
        pytest.param([region(labels=["Car"])], {"r1": "Car"}, id="label of another tag"),
        pytest.param(
            [region("rectangle", "plain", None), region("labels", "lab", ["Car"])],
            {"r1": "Car"},
            id="plain tags",
        ),
        pytest.param(
            [region("labels", "lab", ["Car"]), region("rectangle", "plain", None)],
            {"r1": "Car"},
            id="labels first",
        ),
        pytest.param(
            [
                region(
                    "rectangle",
                    "plain",
                    None,
                    value={"x": 1, "y": 1, "width": 9, "height": 9, "labels": ["Car"]},
                )
            ],
            {"r1": "Car"},
            id="plain tag that holds its label",
        ),
        pytest.param(
            [region(), region(region_id="r2", labels=["B"])], {"r1": "Cat", "r2": "B"}, id="two regions"
        ),
        pytest.param([region(region_id=None), region(region_id=None)], {"": "Cat"}, id="no ids"),
        pytest.param([region(region_id=7)], {"7": "Cat"}, id="number as id"),
        pytest.param([region(region_id=0)], {"0": "Cat"}, id="zero as id"),
        pytest.param(
            [
                region(
                    "ellipselabels",
                    "ell",
                    ["Cat"],
                    value={"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0},
                )
            ],
            {"r1": "Cat"},
            id="skipped tag, label of another",
        ),
        pytest.param(
            [region(), {"type": "relation", "from_id": "r1", "to_id": "r1"}], {"r1": "Cat"}, id="relation"
        ),
        pytest.param(
            [
                region(),
                region("choices", "choice", ["good"]),
                region("textarea", "note", None, value={"text": ["x"]}),
            ],
            {"r1": "Cat"},
            id="choice and text of the region",
        ),
        pytest.param([region("choices", "choice", ["good"], region_id="c")], {}, id="choice of the image"),
    ],
)
def test_the_label_of_a_region(results, labels):
    assert read(*results) == (labels, Counter())


@pytest.mark.parametrize("type_", ["rectanglelabels", "ellipselabels", "polygonlabels", "brushlabels"])
def test_every_label_of_a_region_is_learned_for_one_object(type_):
    config = parse_label_config(
        f"""<View><Image name="img" value="$image"/><{type_} name="tag" toName="img" choice="multiple">
        <Label value="Red"/><Label value="Blue"/></{type_}></View>"""
    )
    value = {
        "rectanglelabels": {"x": 10, "y": 20, "width": 30, "height": 40},
        "ellipselabels": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10},
        "polygonlabels": {"points": [[10, 10], [40, 10], [40, 50]]},
        "brushlabels": brush(10, 10, 30, 30)["value"],
    }[type_]
    annotated = annotated_task(task(region(type_, "tag", ["Red", "Blue"], value=value)), config)
    target = build_target(annotated.pages[0].regions, config.labels, SIZE).target
    assert target.label_indices.tolist() == [0, 1] and target.object_count == 1
    assert target.masks[0] is target.masks[1]


def test_labels_of_two_tags_are_learned_for_one_object():
    config = parse_label_config(
        """<View><Image name="img" value="$image"/><Rectangle name="box" toName="img"/>
        <Labels name="kind" toName="img"><Label value="Red"/></Labels>
        <Labels name="state" toName="img"><Label value="Dirty"/></Labels></View>"""
    )
    results = [
        region("rectangle", "box", None),
        region("labels", "kind", ["Red"]),
        region("labels", "state", ["Dirty"]),
    ]
    assert read(*results, config=config) == ({"r1": ["Red", "Dirty"]}, Counter())


def test_regions_without_id_stand_alone():
    annotated = annotated_task(task(region(region_id=None), region(region_id=None)), CONFIG)
    assert len(annotated.pages[0].regions) == 2


def test_results_of_one_id_are_one_object():
    annotated = annotated_task(task(brush(10, 10, 30, 30), brush(100, 50, 130, 90)), CONFIG)
    target = build_target(annotated.pages[0].regions, LABELS, SIZE).target
    assert target.boxes_xyxy_px.tolist() == [[10, 10, 130, 90]]
    assert target.masks[0].area_px == 400 + 1200


def test_a_label_that_stayed_selected_is_no_region():
    painted = brush(10, 10, 30, 30)
    extra = region("keypointlabels", "kp", ["Spot"], "b1", painted["value"])
    assert read(painted, extra) == ({"b1": "Dog 🐕"}, Counter())
    assert read(extra, painted) == ({"b1": "Dog 🐕"}, Counter())


POINT = {"x": 10, "y": 10, "width": 0.5}


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param(region(labels=["Gone"]), "unknown_label", id="label left the config"),
        pytest.param(region(labels=[]), "no_label", id="no label"),
        pytest.param(region(labels=None), "no_label", id="labels missing"),
        pytest.param(region(labels=[None, True, {}]), "no_label", id="labels are no text"),
        pytest.param(region(labels=[3, None]), "unknown_label", id="the number of a class"),
        pytest.param(region("rectangle", "plain", None), "no_label", id="plain tag without labels"),
        pytest.param(region(labels=["Eye"]), "not_predicted", id="only a skipped tag has it"),
        pytest.param(region(from_name="gone"), "unknown_control", id="tag left the config"),
        pytest.param(region(from_name=None), "unknown_control", id="no tag"),
        pytest.param(region(to_name="other"), "unknown_control", id="another image"),
        pytest.param(region(item_index=2), "unknown_page", id="no such page"),
        pytest.param(region(item_index=-1), "unknown_page", id="page before the first"),
        pytest.param(region(item_index="x"), "unknown_page", id="page is text"),
        pytest.param(
            region("keypointlabels", "kp", value=POINT, is_positive=True), "prompt", id="positive click"
        ),
        pytest.param(
            region("keypointlabels", "kp", value=POINT, is_positive=False), "prompt", id="negative click"
        ),
        pytest.param(region(is_positive=True), "prompt", id="rectangle prompt"),
        pytest.param(region(value={"x": 1}), "bad_geometry", id="half a rectangle"),
        pytest.param(region(value={"points": []}), "bad_geometry", id="value of another shape"),
        pytest.param({**region(), "value": None}, "bad_geometry", id="no value"),
        pytest.param({**region(), "value": "x"}, "bad_geometry", id="value is text"),
        pytest.param("x", "bad_geometry", id="result is text"),
        pytest.param(None, "bad_geometry", id="result is null"),
        pytest.param(
            region("ocrlabels", "text", value={"ocrtext": "12.50"}),
            "unsupported_shape",
            id="text of a PDF",
        ),
        pytest.param(region(value={"x": 1, "y": 1, "width": 0, "height": 5}), "zero_area", id="no width"),
        pytest.param(
            region(value={"x": 120, "y": 1, "width": 5, "height": 5}), "outside_image", id="outside"
        ),
        pytest.param(region("brushlabels", "brush", value={"rle": [1, 2]}), "broken_rle", id="broken rle"),
    ],
)
def test_a_region_that_teaches_nothing_is_counted_and_costs_no_other(result, reason):
    good = region(region_id="good")
    assert read(result, good) == ({"good": "Cat"}, Counter({reason: 1}))


def test_reasons_add_up():
    _, unusable = read(region(labels=["Gone"]), region(labels=["Gone"], region_id="r2"), None, None, "x")
    assert unusable == Counter({"unknown_label": 2, "bad_geometry": 3})


def test_a_label_that_this_training_does_not_know_is_counted():
    annotated = annotated_task(task(region()), CONFIG)
    built = build_target(annotated.pages[0].regions, ["Dog 🐕"], SIZE)
    assert len(built.target) == 0 and built.unusable == Counter(unknown_label=1)


def test_the_task_is_left_alone():
    given_task = task(region(), brush(1, 1, 9, 9), region(labels=["Gone"], region_id="x"))
    before = copy.deepcopy(given_task)
    annotated = annotated_task(given_task, CONFIG)
    build_target(annotated.pages[0].regions, LABELS, SIZE)
    assert given_task == before


# Pages and several images

TWO_IMAGES = parse_label_config(
    """<View><Image name="front" value="$front"/><Image name="book" valueList="$pages"/>
    <RectangleLabels name="rf" toName="front"><Label value="Cat"/></RectangleLabels>
    <RectangleLabels name="rb" toName="book"><Label value="Word"/></RectangleLabels></View>"""
)


def on(name, to_name, label, **more):
    return {**region(from_name=name, labels=[label]), "to_name": to_name, **more}


def test_regions_go_to_their_image_and_page():
    results = [
        on("rf", "front", "Cat"),
        on("rb", "book", "Word"),
        on("rb", "book", "Word", item_index=2, id="x"),
        on("rb", "book", "Word", item_index=3, id="y"),
        on("rf", "book", "Cat", id="z"),
    ]
    data = {"front": "f.png", "pages": ["p0", "p1", "p2"]}
    annotated = annotated_task({"data": data, "annotations": [annotation(*results)]}, TWO_IMAGES)
    counts = {
        (page.page.reference, page.page.item_index): [r.labels[0] for r in page.regions]
        for page in annotated.pages
    }
    assert counts == {("f.png", None): ["Cat"], ("p0", 0): ["Word"], ("p1", 1): [], ("p2", 2): ["Word"]}
    assert annotated.unusable == Counter(unknown_page=1, unknown_control=1)


def test_the_recorded_size_is_known_where_regions_agree():
    same = annotated_task(task(region(), region(region_id="r2")), CONFIG).pages[0]
    assert same.recorded_size == SIZE
    other = annotated_task(task(region(), region(region_id="r2", original_width=50)), CONFIG).pages[0]
    assert other.recorded_size is None


# Recorded from a real Label Studio


def capture(name):
    return json.loads((CAPTURES / f"{name}.json").read_text())


def captured_target(results, config):
    given_task = {"data": {"image": "a", "pages": ["a", "b"]}, "annotations": [annotation(*results)]}
    annotated = annotated_task(given_task, config)
    pages = [
        build_target(page.regions, config.labels, page.recorded_size or SIZE) for page in annotated.pages
    ]
    return pages, annotated.unusable + sum((page.unusable for page in pages), Counter())


def test_a_recorded_annotation_of_all_shapes():
    config = parse_label_config(
        capture("webhook_annotation_created_with_prompt")["request"]["json"]["project"]["label_config"]
    )
    (page,), unusable = captured_target(capture("answer_all_shapes")["annotation_result"], config)
    assert not unusable
    target = page.target
    assert [config.labels[point.label_index] for point in points_of(target)] == ["Spot"]
    assert [config.labels[k] for k in target.label_indices] == ["Cat", "Eye", "Roof", "Paint"]
    np.testing.assert_allclose(target.boxes_xyxy_px[0], [16, 12, 64, 60], atol=0.01)
    np.testing.assert_allclose(target.boxes_xyxy_px[1], [96, 28.8, 160, 67.2], atol=1)
    np.testing.assert_allclose(target.boxes_xyxy_px[2], [192, 12, 240, 60], atol=1)
    assert [mask is None for mask in target.masks] == [True, False, False, False]


def test_a_recorded_prompt_that_was_left_in_teaches_nothing():
    body = capture("webhook_annotation_created_with_prompt")["request"]["json"]
    config = parse_label_config(body["project"]["label_config"])
    (page,), unusable = captured_target(body["annotation"]["result"], config)
    assert len(page.target) == 0 and len(points_of(page.target)) == 1 and unusable == Counter(prompt=1)


@pytest.mark.parametrize(
    ("name", "label", "page", "has_mask"),
    [
        ("interactive_rectangle_plain_tags", "Dog", 0, False),
        ("interactive_rectangle_multi_page", "Cat", 1, False),
        ("interactive_rectangle_rotated", "Cat", 0, True),
    ],
)
def test_recorded_regions_of_every_form(name, label, page, has_mask):
    recorded = capture(name)
    config = parse_label_config(recorded["request"]["json"]["label_config"])
    pages, unusable = captured_target(recorded["browser_request"]["context"]["result"], config)
    assert not unusable and [len(p.target) for p in pages] == [int(k == page) for k in range(len(pages))]
    target = pages[page].target
    assert config.labels[int(target.label_indices[0])] == label
    assert (target.masks[0] is not None) == has_mask


def test_a_recorded_task_with_an_imported_annotation_teaches():
    body = capture("predict_batch")["request"]["json"]
    config = parse_label_config(body["label_config"])
    annotated = [annotated_task(each, config) for each in body["tasks"]]
    assert [found is not None for found in annotated] == [False, True, False]
    assert annotated[1].pages[0].regions[0].labels == ("Cat",)


# Whatever comes

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["id", "from_name", "to_name", "type", "value", "item_index", "original_width", "is_positive"]
)


@given(
    st.lists(
        anything
        | st.builds(lambda change: {**region(), **change}, st.dictionaries(fields, anything, max_size=3))
    )
)
def test_no_result_stops_the_others(results):
    annotated = annotated_task(task(*results, region(region_id="good good")), CONFIG)
    built = build_target(annotated.pages[0].regions, LABELS, SIZE)
    assert "good good" in built.target.region_ids


@given(anything, anything)
def test_odd_tasks_are_refused_or_read(data, annotations):
    with suppress(AnnotationError):
        annotated_task({"data": data, "annotations": annotations}, CONFIG)
