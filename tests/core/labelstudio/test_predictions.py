import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle as sdk_decode
from label_studio_sdk.label_interface import LabelInterface

from backend.core.geometry.boxes import rect_pct_to_corners_px
from backend.core.geometry.ellipses import Ellipse, ellipse_to_patch
from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.geometry.turned_boxes import turned_bounds, turned_corners
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import (
    detections_to_results,
    make_prediction,
    new_region_id,
    region_for_object,
)
from backend.core.labelstudio.task_pages import TaskPage

SIZE = ImageSize(200, 100)
PAGE = TaskPage("img", None, "a.png")
ALL_SHAPES = """<View><Image name="img" value="$image"/>
<RectangleLabels name="rect" toName="img"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
<EllipseLabels name="ell" toName="img"><Label value="Cat"/></EllipseLabels>
<PolygonLabels name="poly" toName="img"><Label value="Cat"/></PolygonLabels>
<BrushLabels name="brush" toName="img"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="img"><Label value="Cat"/></KeyPointLabels></View>"""
PLAIN_SHAPES = """<View><Image name="img" value="$image"/>
<Rectangle name="rect" toName="img"/><Ellipse name="ell" toName="img"/>
<Polygon name="poly" toName="img"/><Brush name="brush" toName="img"/>
<Labels name="lab" toName="img"><Label value="Cat"/><Label value="Dog"/></Labels></View>"""
ALL = parse_label_config(ALL_SHAPES)


def rng():
    return np.random.default_rng(7)


def disc(x=80, y=50, radius_x=30, radius_y=20, rotation=0, size=SIZE):
    return ellipse_to_patch(Ellipse(x, y, radius_x, radius_y, rotation), size)


def detections(*rows, size=SIZE):
    """Rows of (box, score, label index, mask)."""
    return Detections(
        size=size,
        boxes_xyxy_px=np.array([row[0] for row in rows], dtype=np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], dtype=np.float32),
        label_indices=np.array([row[2] for row in rows], dtype=np.int64),
        masks=tuple(row[3] for row in rows),
    )


def results(found, config=ALL, labels=("Cat", "Dog"), page=PAGE, threshold=0.3, **thresholds):
    limits = {control.name: thresholds.get(control.name, threshold) for control in config.controls}
    return detections_to_results(found, labels, config, page, limits, rng())


def by_tag(found):
    return {result["from_name"]: result for result in found}


ONE = detections(((50, 30, 110, 70), 0.9, 0, disc()))


def test_every_tag_that_has_the_label_gets_its_region():
    found = results(ONE)
    assert [(r["from_name"], r["type"], r["to_name"]) for r in found] == [
        ("rect", "rectanglelabels", "img"),
        ("ell", "ellipselabels", "img"),
        ("poly", "polygonlabels", "img"),
        ("brush", "brushlabels", "img"),
    ]
    assert len({r["id"] for r in found}) == 4
    for region in found:
        assert len(region["id"]) == 10 and region["id"].isalnum()
        assert region["value"][region["type"]] == ["Cat"]
        assert region["score"] == 0.9 and region["image_rotation"] == 0
        assert (region["original_width"], region["original_height"]) == (200, 100)
        assert "item_index" not in region


def test_the_values_of_each_shape():
    values = {name: result["value"] for name, result in by_tag(results(ONE)).items()}
    rectangle = {
        "x": 25.0,
        "y": 30.0,
        "width": 30.0,
        "height": 40.0,
        "rotation": 0.0,
        "rectanglelabels": ["Cat"],
    }
    assert values["rect"] == rectangle
    ellipse = values["ell"]
    assert ellipse["x"] == pytest.approx(40, abs=0.1) and ellipse["y"] == pytest.approx(50, abs=0.1)
    assert ellipse["radiusX"] == pytest.approx(15, abs=0.2) and ellipse["radiusY"] == pytest.approx(
        20, abs=0.2
    )
    assert ellipse["rotation"] == 0
    assert 8 <= len(values["poly"]["points"]) <= 100 and values["poly"]["closed"] is True
    decoded = sdk_decode(values["brush"]["rle"]).reshape(100, 200, 4)
    np.testing.assert_array_equal(decoded[..., 3] > 0, disc().full(SIZE))
    assert values["brush"]["format"] == "rle"


def test_a_label_goes_only_to_the_tags_that_have_it():
    found = results(detections(((50, 30, 110, 70), 0.9, 1, disc())))
    assert [(r["from_name"], r["value"]["rectanglelabels"]) for r in found] == [("rect", ["Dog"])]


def test_a_label_that_left_the_config_is_not_predicted():
    assert results(ONE, labels=("Removed", "Cat")) == []


def test_best_score_first():
    rows = [((k, 0, k + 9, 9), score, 1, None) for k, score in enumerate([0.5, 0.9, 0.7])]
    assert [r["score"] for r in results(detections(*rows))] == [0.9, 0.7, 0.5]


@pytest.mark.parametrize(
    ("thresholds", "tags"),
    [
        pytest.param({"threshold": 0.3}, ["rect", "ell", "poly", "brush"], id="below all"),
        pytest.param({"threshold": 0.95}, [], id="above all"),
        pytest.param({"threshold": 0.95, "poly": 0.5}, ["poly"], id="one lower"),
        pytest.param({"rect": 0.91}, ["ell", "poly", "brush"], id="one higher"),
    ],
)
def test_each_tag_has_its_threshold(thresholds, tags):
    assert [r["from_name"] for r in results(ONE, **thresholds)] == tags


def test_skipped_tags_get_nothing():
    xml = ALL_SHAPES.replace('<PolygonLabels name="poly"', '<PolygonLabels model_skip="true" name="poly"')
    assert "poly" not in by_tag(results(ONE, parse_label_config(xml)))


def test_without_mask_only_boxes_and_ellipses_are_made():
    found = by_tag(results(detections(((50, 30, 110, 70), 0.9, 0, None))))
    assert list(found) == ["rect", "ell"]
    ellipse = {
        "x": 40.0,
        "y": 50.0,
        "radiusX": 15.0,
        "radiusY": 20.0,
        "rotation": 0.0,
        "ellipselabels": ["Cat"],
    }
    assert found["ell"]["value"] == ellipse


def test_where_no_boxes_were_learned_rectangles_get_nothing():
    areas = replace(ONE, has_boxes=False)
    assert [r["from_name"] for r in results(areas)] == ["ell", "poly", "brush"]


def test_plain_tags_give_two_results_of_one_id():
    found = results(ONE, parse_label_config(PLAIN_SHAPES))
    assert [(r["from_name"], r["type"]) for r in found] == [
        ("rect", "rectangle"), ("lab", "labels"), ("ell", "ellipse"), ("lab", "labels"),
        ("poly", "polygon"), ("lab", "labels"), ("brush", "brush"), ("lab", "labels"),
    ]  # fmt: skip
    for shape, labels in zip(found[::2], found[1::2], strict=True):
        assert shape["id"] == labels["id"]
        assert labels["value"] == {**shape["value"], "labels": ["Cat"]}
        assert labels["score"] == shape["score"] == 0.9


def test_pages_carry_their_index():
    config = parse_label_config(ALL_SHAPES.replace('value="$image"', 'valueList="$pages"'))
    assert {r["item_index"] for r in results(ONE, config, page=TaskPage("img", 2, "p"))} == {2}


def test_another_image_has_its_own_tags():
    assert results(ONE, page=TaskPage("other", None, "a")) == []


def test_specks_and_pinholes_are_not_sent():
    bits = np.zeros((100, 200), dtype=bool)
    bits[20:60, 20:80] = True
    bits[40, 40] = bits[90, 190] = False
    bits[90, 190] = True
    brush = by_tag(results(detections(((20, 20, 80, 60), 0.9, 0, MaskPatch(0, 0, bits)))))["brush"]
    alpha = sdk_decode(brush["value"]["rle"]).reshape(100, 200, 4)[..., 3]
    expected = np.zeros((100, 200), dtype=np.uint8)
    expected[20:60, 20:80] = 255
    np.testing.assert_array_equal(alpha, expected)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((-30, -20, 400, 300), id="sticks out"),
        pytest.param((199.9999, 0, 200, 100), id="at the edge"),
        pytest.param((0.333333, 0.666667, 199.999, 99.999), id="fractions"),
    ],
)
def test_rectangles_stay_within_the_image(box):
    for region in results(detections((box, 0.9, 1, None))):
        value = region["value"]
        assert value["x"] >= 0 and value["y"] >= 0
        assert value["x"] + value["width"] <= 100 + 1e-9 and value["y"] + value["height"] <= 100 + 1e-9


@pytest.mark.parametrize(
    "box",
    [pytest.param((300, 10, 320, 20), id="outside"), pytest.param((50, 50, 50, 60), id="no width")],
)
def test_a_box_without_area_in_the_image_is_no_region(box):
    assert results(detections((box, 0.9, 1, None))) == []


def test_nothing_found_is_nothing_said():
    assert results(detections()) == []


@pytest.mark.parametrize("xml", [ALL_SHAPES, PLAIN_SHAPES], ids=["labels tags", "plain tags"])
def test_what_was_written_is_read_back(xml):
    """Regions of every shape, read as an annotation, are the objects that were found."""
    config = parse_label_config(xml)
    size = ImageSize(333, 257)
    mask = disc(150, 120, 70, 30, 25, size)
    box = np.array(
        [mask.left_px, mask.top_px, mask.left_px + mask.bits.shape[1], mask.top_px + mask.bits.shape[0]]
    )
    written = json.loads(
        json.dumps(results(detections((box, 0.8, 0, mask), size=size), config), allow_nan=False)
    )
    by_object = {}
    for each in written:
        by_object.setdefault(each["id"], []).append(each)
    for of_one_tag, least_iou in zip(by_object.values(), (None, 0.97, 0.97, 1.0), strict=True):
        target = read_back(of_one_tag, config, size)
        np.testing.assert_allclose(target.boxes_xyxy_px, [box], atol=2)
        assert (target.masks[0] is None) == (least_iou is None)
        if least_iou is not None:
            read, drawn = target.masks[0].full(size), mask.full(size)
            assert (read & drawn).sum() / (read | drawn).sum() >= least_iou
    # Accepted in every tag, it is one object all the same.
    target = read_back(written, config, size)
    np.testing.assert_allclose(target.boxes_xyxy_px, [box], atol=2)


def read_back(written, config, size):
    annotated = annotated_task(
        {"data": {"image": "a"}, "annotations": [{"id": 1, "result": written}]}, config
    )
    built = build_target(annotated.pages[0].regions, config.labels, size)
    assert not annotated.unusable + built.unusable
    return built.target


@pytest.mark.parametrize("xml", [ALL_SHAPES, PLAIN_SHAPES], ids=["labels tags", "plain tags"])
def test_the_sdk_accepts_every_region(xml):
    interface = LabelInterface(xml)
    full = MaskPatch(0, 0, np.ones((100, 200), dtype=bool))
    rows = [((50, 30, 110, 70), 0.9, 0, disc(rotation=30)), ((0, 0, 200, 100), 0.8, 0, full)]
    for region in results(detections(*rows), parse_label_config(xml)):
        errors = interface.validate_prediction({"result": [region], "score": 0.5}, return_errors=True)
        assert region["type"] == "labels" or not errors


WAND = """<View><Image name="img" value="$image"/><MagicWand name="wand" toName="img"/>
<Bitmask name="bits" toName="img"/><Vector name="line" toName="img" closable="true"/>
<Labels name="lab" toName="img"><Label value="Cat"/></Labels></View>"""
BITS = """<View><Image name="img" value="$image"/>
<BitmaskLabels name="bits" toName="img"><Label value="Cat"/></BitmaskLabels>
<VectorLabels name="line" toName="img" closable="true"><Label value="Cat"/></VectorLabels></View>"""


@pytest.mark.parametrize(
    ("xml", "types"),
    [
        (BITS, ["bitmasklabels", "vectorlabels"]),
        (WAND, ["magicwand", "labels", "bitmask", "labels", "vector", "labels"]),
    ],
    ids=["labels tags", "plain tags"],
)
def test_masks_in_further_forms_are_accepted_by_the_sdk_and_read_back(xml, types):
    config = parse_label_config(xml)
    found = results(ONE, config, ["Cat"])
    assert [result["type"] for result in found] == types
    # The SDK knows no pair of a magic wand and its labels, which the editor writes all the same.
    known = [result for number, result in enumerate(found) if types[max(0, number - 1)] != "magicwand"]
    errors = LabelInterface(xml).validate_prediction({"result": known, "score": 0.5}, return_errors=True)
    assert not errors
    for name in {result["from_name"] for result in found} - {"lab"}:
        ids = {result["id"] for result in found if result["from_name"] == name}
        of_tag = [result for result in found if result["id"] in ids]
        task = {"data": {"image": "a.png"}, "annotations": [{"id": 1, "result": of_tag}]}
        [page] = annotated_task(task, config).pages
        target = build_target(page.regions, config.labels, SIZE).target
        assert len(target) == 1
        drawn = target.masks[0].full(SIZE)
        if name == "line":
            assert (drawn & disc().full(SIZE)).sum() > 0.97 * (drawn | disc().full(SIZE)).sum()
        else:
            np.testing.assert_array_equal(drawn, disc().full(SIZE))


# Several labels of one object


def kind_and_state(tag="Rectangle", states='choice="multiple"'):
    return parse_label_config(
        f"""<View><Image name="img" value="$image"/><{tag} name="shape" toName="img"/>
        <Labels name="kind" toName="img"><Label value="Car"/><Label value="Bus"/></Labels>
        <Labels name="state" toName="img" {states}><Label value="Dirty"/><Label value="Wet"/></Labels>
        </View>"""
    )


SEVERAL = ("Car", "Bus", "Dirty", "Wet")
CAT_DOG = '<Label value="Cat"/><Label value="Dog"/>'
HERE, NEARBY, ELSEWHERE = (50, 30, 110, 70), (54, 32, 114, 72), (120, 30, 180, 70)
BEHIND = (56, 33, 116, 73)


def several(*rows):
    """Rows of (box, score, label); every object has a mask."""
    return detections(*[(box, score, SEVERAL.index(label), disc()) for box, score, label in rows])


def labels_by_region(found):
    """Return for each id its labels by the tag under which they are written."""
    regions = {}
    for result in found:
        by_name = regions.setdefault(result["id"], {})
        key = result["type"] if result["type"].endswith("labels") else None
        if key:
            by_name[result["from_name"]] = result["value"][key]
    return list(regions.values())


@pytest.mark.parametrize("tag", ["Rectangle", "Ellipse", "Polygon", "Brush"])
def test_labels_of_two_tags_are_on_one_region_each_under_its_own(tag):
    found = results(several((HERE, 0.9, "Car"), (NEARBY, 0.8, "Dirty")), kind_and_state(tag), SEVERAL)
    assert [(r["from_name"], r["type"]) for r in found] == [
        ("shape", tag.lower()), ("kind", "labels"), ("state", "labels")
    ]  # fmt: skip
    assert labels_by_region(found) == [{"kind": ["Car"], "state": ["Dirty"]}]
    assert {r["score"] for r in found} == {0.9}


@pytest.mark.parametrize(
    ("rows", "regions"),
    [
        pytest.param(
            [(HERE, 0.9, "Car"), (BEHIND, 0.8, "Bus")], [{"kind": ["Car"]}, {"kind": ["Bus"]}], id="exclusive"
        ),
        pytest.param([(HERE, 0.9, "Car"), (HERE, 0.6, "Bus")], [{"kind": ["Car"]}], id="a second opinion"),
        pytest.param(
            [(HERE, 0.9, "Dirty"), (HERE, 0.8, "Wet"), (NEARBY, 0.7, "Bus")],
            [{"kind": ["Bus"], "state": ["Dirty", "Wet"]}],
            id="two of one tag",
        ),
        pytest.param(
            [(HERE, 0.9, "Car"), (ELSEWHERE, 0.8, "Dirty")],
            [{"kind": ["Car"]}, {"state": ["Dirty"]}],
            id="two objects",
        ),
        pytest.param(
            [(HERE, 0.9, "Car"), (NEARBY, 0.85, "Car"), (NEARBY, 0.5, "Wet")],
            [{"kind": ["Car"]}, {"kind": ["Car"], "state": ["Wet"]}],
            id="the nearest object",
        ),
        pytest.param(
            [(HERE, 0.9, "Car"), (HERE, 0.2, "Dirty")], [{"kind": ["Car"]}], id="below the threshold"
        ),
    ],
)
def test_which_labels_come_together(rows, regions):
    assert labels_by_region(results(several(*rows), kind_and_state(), SEVERAL)) == regions


@pytest.mark.parametrize("tag", ["RectangleLabels", "EllipseLabels", "PolygonLabels", "BrushLabels"])
@pytest.mark.parametrize(
    ("choice", "expected"), [("multiple", [["Cat", "Dog"]]), ("single", [["Cat"], ["Dog"]])]
)
def test_a_tag_that_takes_several_labels_shows_them_on_one_region(tag, choice, expected):
    config = parse_label_config(
        f"""<View><Image name="img" value="$image"/>
        <{tag} name="c" toName="img" choice="{choice}">{CAT_DOG}</{tag}></View>"""
    )
    found = results(detections((HERE, 0.9, 0, disc()), (NEARBY, 0.8, 1, disc())), config)
    assert [region["value"][tag.lower()] for region in found] == expected


@pytest.mark.parametrize("tag", ["Rectangle", "Ellipse", "Polygon", "Brush"])
def test_several_labels_are_read_back_as_one_region(tag):
    config = kind_and_state(tag)
    found = results(several((HERE, 0.9, "Car"), (HERE, 0.8, "Dirty"), (HERE, 0.7, "Wet")), config, SEVERAL)
    task = {"data": {"image": "a"}, "annotations": [{"id": 1, "result": found}]}
    annotated = annotated_task(task, config)
    assert [region.labels for region in annotated.pages[0].regions] == [("Car", "Dirty", "Wet")]
    assert not annotated.unusable


# One object in one tag, as the smart tools answer


def one(control_name, label="Cat", box=(50, 30, 110, 70), mask=None, score=0.5, config=ALL, **more):
    box_px = None if box is None else np.array(box, dtype=np.float32)
    control = config.control(control_name)
    labels = () if label is None else (label,)
    return region_for_object(control, labels, SIZE, box_px, mask, score, PAGE, rng=rng(), **more)


def test_the_box_of_an_object_may_come_from_its_mask():
    (region,) = one("rect", box=None, mask=disc())
    assert (region["value"]["x"], region["value"]["width"]) == (25.0, 30.0)
    assert one("rect", box=None) == []


def test_a_given_id_is_kept():
    assert one("rect", region_id="prompt-1")[0]["id"] == "prompt-1"


def test_a_key_point_has_a_width():
    (region,) = one("kp")
    assert region["value"] == {"x": 40.0, "y": 50.0, "width": 0.5, "keypointlabels": ["Cat"]}


@pytest.mark.parametrize("name", ["rect", "ell", "poly", "brush"])
def test_without_label_the_region_has_none(name):
    (region,) = one(name, label=None, mask=disc())
    assert region["value"][region["type"]] == []
    (plain,) = one(name, label=None, mask=disc(), config=parse_label_config(PLAIN_SHAPES))
    assert plain["type"] == parse_label_config(PLAIN_SHAPES).control(name).kind.name


@pytest.mark.parametrize("name", ["poly", "brush"])
def test_shapes_of_masks_need_one(name):
    assert one(name) == []


@pytest.mark.parametrize(
    ("score", "sent"),
    [(0.5, 0.5), (np.float32(0.25), 0.25), (1.7, 1.0), (-1, 0.0), (float("nan"), 0.0), (float("inf"), 0.0)],
    ids=str,
)
def test_scores_are_numbers_from_0_to_1(score, sent):
    assert one("rect", score=score)[0]["score"] == sent
    prediction = make_prediction([], score, "v1")
    assert prediction == {"result": [], "score": sent, "model_version": "v1"}
    assert type(prediction["score"]) is float


def test_ids_differ_and_repeat_with_the_seed():
    generator = rng()
    ids = [new_region_id(generator) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert ids[0] == new_region_id(rng())


floats = st.floats(-50, 300)


@settings(max_examples=40)
@given(st.lists(st.tuples(floats, floats, floats, floats, st.floats(0, 1)), max_size=6))
def test_any_detections_make_valid_json(rows):
    found = detections(
        *[((x1, y1, x2, y2), score, k % 2, disc()) for k, (x1, y1, x2, y2, score) in enumerate(rows)]
    )
    for region in json.loads(json.dumps(results(found, threshold=0.0), allow_nan=False)):
        assert 0 <= region["score"] <= 1
        for key in ("x", "y", "width", "height"):
            assert 0 <= region["value"].get(key, 0) <= 100


TURNED = """<View><Image name="img" value="$image"/><RectangleLabels name="box" toName="img">
  <Label value="Cat"/><Label value="Dog"/></RectangleLabels></View>"""
TURNED_CONFIG = parse_label_config(TURNED)


def turned(*rows):
    """Return one object for each turned box."""
    boxes = np.array(rows, np.float32)
    found = detections(*[((0, 0, 20, 20), 0.9 - 0.1 * k, 0, None) for k in range(len(rows))])
    return replace(found, boxes_xyxy_px=turned_bounds(boxes), turned_boxes_px=boxes)


def test_a_turned_box_is_written_about_its_own_top_left_corner():
    (region,) = results(turned((80, 50, 40, 20, 30)), TURNED_CONFIG)
    value = region["value"]
    corners = rect_pct_to_corners_px(*(value[k] for k in ("x", "y", "width", "height", "rotation")), SIZE)
    np.testing.assert_allclose(corners, turned_corners(np.array([[80, 50, 40, 20, 30]]))[0], atol=0.01)
    assert value["rotation"] == 30 and value["rectanglelabels"] == ["Cat"]
    task = {"id": 1, "data": {"image": "x"}, "annotations": [{"id": 1, "result": [region]}]}
    page = annotated_task(task, TURNED_CONFIG)
    target = build_target(page.pages[0].regions, ("Cat", "Dog"), SIZE).target
    np.testing.assert_allclose(target.turned_boxes_px[0], (80, 50, 40, 20, 30), atol=0.01)


@pytest.mark.parametrize(
    ("row", "rotation"),
    [
        pytest.param((80, 50, 40, 20, -10), 350, id="to the left"),
        pytest.param((80, 50, 40, 20, 0), 0, id="upright"),
        pytest.param((80, 50, 900, 20, 30), 0, id="wider than the SDK takes"),
    ],
)
def test_what_cannot_be_drawn_turned_is_drawn_upright(row, rotation):
    (region,) = results(turned(row), TURNED_CONFIG)
    assert region["value"]["rotation"] == rotation


def test_a_corner_may_lie_left_of_the_image():
    (region,) = results(turned((4, 50, 40, 20, 30)), TURNED_CONFIG)
    assert region["value"]["x"] < 0 and region["value"]["rotation"] == 30
