from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import answer_form, parse_prompts, place_prompts
from backend.core.regions.brush_rle import encode_brush_rle

CAPTURES = Path(__file__).parents[2] / "contract" / "captures"
SIZE = ImageSize(200, 100)
TASK = {"id": 1, "data": {"image": "a.png"}}
CONFIG = parse_label_config(
    """<View><Image name="img" value="$image"/>
    <RectangleLabels name="rect" toName="img"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
    <EllipseLabels name="ell" toName="img"><Label value="Cat"/></EllipseLabels>
    <PolygonLabels name="poly" toName="img"><Label value="Cat"/></PolygonLabels>
    <BrushLabels name="brush" toName="img"><Label value="Cat"/><Label value="Fish"/></BrushLabels>
    <KeyPointLabels name="kp" toName="img"><Label value="Cat"/><Label value="Spot"/></KeyPointLabels>
    </View>"""
)


def prompt(from_name: str, value: dict, label: str | None = "Cat", region_id: str = "a", **more) -> dict:
    types = {"rect": "rectangle", "ell": "ellipse", "poly": "polygon", "brush": "brush", "kp": "keypoint"}
    result_type = types[from_name] + "labels"
    value = value if label is None else {**value, result_type: [label]}
    return {
        "id": region_id,
        "from_name": from_name,
        "to_name": "img",
        "type": result_type,
        "value": value,
        **more,
    }


def click(
    x: float, y: float, *, positive: bool = True, region_id: str = "k", label: str | None = "Cat"
) -> dict:
    return prompt("kp", {"x": x, "y": y, "width": 0.3}, label, region_id, is_positive=positive)


def box(x=10, y=20, width=30, height=40, region_id="r", **more) -> dict:
    return prompt("rect", {"x": x, "y": y, "width": width, "height": height, **more}, region_id=region_id)


def placed(*results: dict, size: ImageSize = SIZE):
    request = parse_prompts({"result": list(results)}, TASK, CONFIG)
    return [] if request is None else place_prompts(request.pages[0], size)


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        [],
        "x",
        {"result": None},
        {"result": []},
        {"result": "x"},
        {"result": [None, 3, "x", {}, {"value": 3}]},
        {"result": [{"value": {"x": 1, "y": 2}, "from_name": "unknown"}]},
        {"result": [{"value": {"choices": ["x"]}, "from_name": "rect"}]},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_nothing_to_answer(context):
    assert parse_prompts(context, TASK, CONFIG) is None


def test_a_click_lands_on_its_pixel():
    (only,) = placed(click(50, 50))
    assert only.clicks_xy_px.tolist() == [[100.0, 50.0]]
    assert only.is_positive.tolist() == [True]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(100, 100, [199.5, 99.5]), (-0.5, 0, [0.5, 0.5]), (100.9, 50, [199.5, 50.0])],
    ids=["far corner", "a little outside", "a little beyond"],
)
def test_clicks_on_the_rim_belong_to_the_rim(x, y, expected):
    assert placed(click(x, y))[0].clicks_xy_px.tolist() == [expected]


@pytest.mark.parametrize(
    "result",
    [
        click(-30, 50),
        click(50, 130),
        click(float("nan"), 50),
        prompt("kp", {"x": "5", "y": 5, "width": 1}),
        prompt("kp", {"x": True, "y": 5, "width": 1}),
        click(50, 50, positive=False),
        box(width=0),
        box(x=150),
        box(x=float("inf")),
        box(width=0.1, height=0.1),
        prompt("ell", {"x": 5, "y": 5, "radiusX": 0, "radiusY": 3}),
        prompt("poly", {"points": [[1, 1], [2, 2]]}),
        prompt("poly", {"points": [[1, 1], [5, 5], [9, 9]]}),
        prompt("poly", {"points": "x"}),
        prompt("poly", {"points": [[1, 1], [5], [9, 9]]}),
        prompt("brush", {"format": "rle", "rle": [1, 2, 3]}, original_width=200, original_height=100),
        prompt("brush", {"format": "rle", "rle": "x"}),
    ],
    ids=lambda result: repr(result["value"])[:50],
)
def test_unclear_prompts_make_no_object(result):
    assert placed(result) == []


def test_a_turned_rectangle_turns_about_its_own_corner():
    (only,) = placed(box(x=50, y=50, width=10, height=20, rotation=90))
    np.testing.assert_allclose(only.outline_px, [[100, 50], [100, 70], [80, 70], [80, 50]], atol=1e-4)


def test_a_rectangle_dragged_up_and_to_the_left_is_the_same_prompt():
    (dragged,), (usual,) = placed(box(40, 60, -30, -40)), placed(box(10, 20, 30, 40))
    assert sorted(dragged.outline_px.tolist()) == sorted(usual.outline_px.tolist())


def test_an_ellipse_reaches_its_radii():
    (only,) = placed(prompt("ell", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0}))
    assert only.outline_px.min(axis=0) == pytest.approx([80, 30], abs=0.2)
    assert only.outline_px.max(axis=0) == pytest.approx([120, 70], abs=0.2)


def test_every_rectangle_is_an_object_and_the_newest_comes_last():
    objects = placed(box(x=0, region_id="a"), box(x=40, region_id="b"))
    assert [round(float(o.outline_px.min())) for o in objects] == [0, 20]


def test_all_clicks_are_about_one_object():
    (only,) = placed(
        click(10, 10), click(90, 90, region_id="l"), click(50, 50, positive=False, region_id="m")
    )
    assert only.is_positive.tolist() == [True, True, False]
    assert len(only.positive_px) == 2
    assert only.negative_px.tolist() == [[100.0, 50.0]]
    assert only.first_clicks(1).is_positive.tolist() == [True]


def test_clicks_refine_the_shape_they_lie_in():
    small = box(x=10, y=10, width=20, height=20, region_id="small")
    large = box(x=0, y=0, width=90, height=90, region_id="large")
    in_small, in_large = click(15, 15, region_id="c"), click(70, 70, positive=False, region_id="d")
    request = parse_prompts({"result": [small, large, in_small, in_large]}, TASK, CONFIG)
    of_small, of_large = place_prompts(request.pages[0], SIZE)
    assert of_small.is_positive.tolist() == [True]
    assert of_large.is_positive.tolist() == [False]


def test_a_region_that_comes_again_is_the_newest():
    request = parse_prompts(
        {"result": [box(x=1, region_id="a"), box(x=2, region_id="b"), box(x=1, region_id="a")]}, TASK, CONFIG
    )
    assert [raw.shape.x_pct for raw in request.pages[0].prompts] == [2, 1]


def test_shapes_that_share_an_id_are_objects_of_their_own():
    objects = placed(box(x=0, region_id="result1"), box(x=40, region_id="result1"))
    assert [round(float(o.outline_px.min())) for o in objects] == [0, 20]


def test_clicks_that_share_an_id_all_count():
    (only,) = placed(click(10, 10, region_id="Cat"), click(50, 50, positive=False, region_id="Cat"))
    assert only.positive_px.tolist() == [[20.0, 10.0]]
    assert only.negative_px.tolist() == [[100.0, 50.0]]


def test_of_shapes_that_share_an_id_each_has_the_labels_that_repeat_its_geometry():
    config = of_tags(
        '<Rectangle name="shape" toName="img"/>',
        '<Labels name="kind" toName="img"><Label value="Car"/><Label value="Bus"/></Labels>',
    )
    results = []
    for x, label in ((10, "Car"), (50, "Bus")):
        value = {"x": x, "y": 10, "width": 20, "height": 20, "rotation": 0}
        common = {"id": "result1", "to_name": "img"}
        results += [
            {**common, "from_name": "shape", "type": "rectangle", "value": value},
            {**common, "from_name": "kind", "type": "labels", "value": {**value, "labels": [label]}},
        ]
    request = parse_prompts({"result": results}, TASK, config)
    assert len(request.pages[0].prompts) == 2
    assert request.labels == ("Bus",)


@pytest.mark.parametrize(
    ("recorded", "fits"),
    [
        pytest.param((200, 100), True, id="the same"),
        pytest.param((400, 200), True, id="of the same proportions"),
        pytest.param((100, 200), False, id="turned"),
        pytest.param((200, 150), False, id="another shape"),
        pytest.param((None, None), True, id="not said"),
    ],
)
def test_whether_prompts_were_drawn_on_the_picture_that_is_there(recorded, fits):
    drawn = {**box(), "original_width": recorded[0], "original_height": recorded[1]}
    request = parse_prompts({"result": [drawn]}, TASK, CONFIG)
    assert request.pages[0].fits(SIZE) is fits


def test_dabs_add_and_cut():
    on, off = np.zeros((100, 200), bool), np.zeros((100, 200), bool)
    on[10:20, 30:60] = True
    off[12:15, 30:40] = True
    size = {"original_width": 200, "original_height": 100}
    (only,) = placed(
        prompt("brush", {"format": "rle", "rle": encode_brush_rle(on)}, region_id="a", **size),
        prompt(
            "brush", {"format": "rle", "rle": encode_brush_rle(off)}, region_id="b", is_positive=False, **size
        ),
    )
    assert (only.painted.full(SIZE) == on).all()
    assert (only.erased.full(SIZE) == off).all()


def test_a_dab_recorded_at_another_size_is_brought_to_the_image():
    on = np.zeros((50, 100), bool)
    on[10:20, 30:60] = True
    result = prompt(
        "brush", {"format": "rle", "rle": encode_brush_rle(on)}, original_width=100, original_height=50
    )
    (only,) = placed(result)
    assert only.painted.area_px == pytest.approx(4 * on.sum(), rel=0.1)


@pytest.mark.parametrize("mark", [False, 0, "false"])
def test_a_mark_inside_the_value_counts_too(mark):
    inside = prompt("kp", {"x": 5, "y": 5, "width": 1, "is_positive": mark}, region_id="b")
    (only,) = placed(click(50, 50), inside)
    assert only.is_positive.tolist() == [True, False]


def form(result, config=CONFIG, guess=None):
    """Return the name of the tag that the answer comes in, and its labels; None where there is no answer."""
    found = answer_form(parse_prompts({"result": [result]}, TASK, config), config, guess)
    return found and (found[0].name, found[1])


@pytest.mark.parametrize(
    ("label", "guess", "expected"),
    [
        pytest.param("Cat", None, ("brush", ("Cat",)), id="the tag that holds most"),
        pytest.param("Fish", None, ("brush", ("Fish",)), id="only one tag has it"),
        pytest.param("Dog", "Cat", ("rect", ("Dog",)), id="the annotator knows better than the model"),
        pytest.param("Spot", None, None, id="only key points have it"),
        pytest.param("Unknown", None, None, id="no tag has it"),
        pytest.param("Spot", "Fish", ("brush", ("Fish",)), id="the model knows the object"),
        pytest.param("Spot", "Gone", None, id="the model knows a label that is gone"),
        pytest.param(None, None, ("brush", ()), id="no label"),
        pytest.param(None, "Dog", ("rect", ("Dog",)), id="no label, and the model knows the object"),
        pytest.param(None, "Gone", ("brush", ()), id="no label, and the model's is gone"),
    ],
)
def test_the_answer_has_a_label_that_a_drawing_tag_has(label, guess, expected):
    assert form(click(5, 5, label=label), guess=guess) == expected


def of_tags(*tags):
    return parse_label_config(f'<View><Image name="img" value="$image"/>{"".join(tags)}</View>')


CLICKS = (
    '<KeyPointLabels name="kp" toName="img"><Label value="object"/><Label value="other"/></KeyPointLabels>'
)


@pytest.mark.parametrize("tag", ["Brush", "Polygon", "Ellipse", "Rectangle"])
def test_clicks_may_be_named_otherwise_where_there_is_one_label_to_draw(tag):
    labels = f'<{tag}Labels name="area" toName="img"><Label value="Nucleus"/></{tag}Labels>'
    expected = ("area", ("Nucleus",))
    assert form(click(5, 5, label="object"), of_tags(CLICKS, labels)) == expected
    assert form(click(5, 5, label=None), of_tags(CLICKS, labels)) == expected
    plain = (
        f'<{tag} name="area" toName="img"/><Labels name="l" toName="img"><Label value="Nucleus"/></Labels>'
    )
    assert form(click(5, 5, label="object"), of_tags(CLICKS, plain)) == expected


def test_a_label_of_another_image_is_none_of_this_one():
    config = parse_label_config(
        f"""<View><Image name="img" value="$image"/>{CLICKS}<Image name="other" value="$image"/>
        <BrushLabels name="b" toName="other"><Label value="object"/></BrushLabels>
        <BrushLabels name="c" toName="img"><Label value="Red"/><Label value="Blue"/></BrushLabels></View>"""
    )
    assert form(click(5, 5, label="object"), config) is None


def test_where_nothing_is_drawn_the_key_point_itself_is_answered():
    assert form(click(5, 5, label="object"), of_tags(CLICKS)) == ("kp", ("object",))


@pytest.mark.parametrize("tag", ["Brush", "Rectangle"])
def test_labels_of_two_tags_come_back_together(tag):
    config = of_tags(
        f'<{tag} name="shape" toName="img"/>',
        '<Labels name="kind" toName="img"><Label value="Car"/><Label value="Bus"/></Labels>',
        '<Labels name="state" toName="img"><Label value="Dirty"/><Label value="Wet"/></Labels>',
    )
    value = {"points": [[1, 1], [9, 1], [9, 9]]}
    parts = [("shape", {}), ("kind", {"labels": ["Car"]}), ("state", {"labels": ["Dirty"]})]
    results = [
        {"id": "a", "from_name": name, "to_name": "img", "type": "x", "value": value | labels}
        for name, labels in parts
    ]
    request = parse_prompts({"result": results}, TASK, config)
    assert request.labels == ("Car", "Dirty") and request.label == "Car"
    control, labels = answer_form(request, config, None)
    assert (control.name, labels) == ("shape", ("Car", "Dirty"))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["Polygon", "Ellipse", "Rectangle"], "Polygon"),
        (["Ellipse", "Rectangle"], "Ellipse"),
        (["Rectangle"], "Rectangle"),
        ([], "KeyPoint"),
        (["Rectangle", "Brush"], "Brush"),
    ],
)
def test_every_pairing_of_controls(tags, expected):
    inner = (
        f'<{tag}Labels name="{tag}" toName="img"><Label value="Cat"/></{tag}Labels>'
        for tag in [*tags, "KeyPoint"]
    )
    assert form({**click(5, 5), "from_name": "KeyPoint"}, of_tags(*inner)) == (expected, ("Cat",))


def test_a_skipped_tag_is_not_answered_in():
    config = of_tags(
        '<BrushLabels name="brush" toName="img" model_skip="true"><Label value="Cat"/></BrushLabels>',
        '<RectangleLabels name="rect" toName="img"><Label value="Cat"/></RectangleLabels>',
    )
    assert form(box(), config) == ("rect", ("Cat",))


def test_prompts_of_a_repeated_tag_are_one_gesture():
    config = parse_label_config(
        """<View><Repeater on="$pages" indexFlag="{{i}}"><Image name="p_{{i}}" value="$pages[{{i}}].url"/>
        <BrushLabels name="b_{{i}}" toName="p_{{i}}"><Label value="Cat"/></BrushLabels></Repeater></View>"""
    )
    task = {"data": {"pages": [{"url": "a"}, {"url": "b"}]}}
    named = {"from_name": "b_1", "to_name": "p_1"}
    unlabelled = {**prompt("poly", {"points": [[1, 1], [9, 1], [9, 9]]}, None, "z"), **named}
    request = parse_prompts({"result": [{**click(5, 5), **named}, unlabelled]}, task, config)
    assert request.label == "Cat" and len(request.pages[0].prompts) == 2


def captured(name: str):
    body = json.loads((CAPTURES / f"{name}.json").read_text())["request"]["json"]
    config = parse_label_config(body["label_config"])
    return parse_prompts(body["params"]["context"], body["tasks"][0], config)


@pytest.mark.parametrize(
    ("name", "control", "label", "kinds", "item_index"),
    [
        ("interactive_rectangle", "rect", "Cat", ["rectangle"], None),
        ("interactive_rectangle_rotated", "rect", "Cat", ["rectangle"], None),
        ("interactive_rectangle_plain_tags", "rect", "Dog", ["rectangle"], None),
        ("interactive_rectangle_multi_page", "rect", "Cat", ["rectangle"], 1),
        ("interactive_ellipse", "ell", "Eye", ["ellipse"], None),
        ("interactive_polygon", "poly", "Roof", ["polygon"], None),
        ("interactive_brush", "brush", "Paint", ["brush"], None),
        ("interactive_keypoint_positive", "kp", "Spot", ["keypoint"], None),
        ("interactive_keypoint_negative", "kp", "Spot", ["keypoint", "keypoint"], None),
        ("interactive_keypoint_other_label", "kp", "Bg", ["keypoint"], None),
        ("interactive_api", "rect", "Cat", ["rectangle"], None),
    ],
)
def test_what_label_studio_really_sends(name, control, label, kinds, item_index):
    request = captured(name)
    assert (request.control.name, request.label) == (control, label)
    assert [raw.kind.name for raw in request.pages[0].prompts] == kinds
    assert request.pages[0].page.item_index == item_index


def test_the_reload_after_submit_asks_nothing():
    assert captured("interactive_empty_context") is None
