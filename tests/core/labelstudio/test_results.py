"""The one reader of regions: what people and converters really write, for every control tag."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import parse_prompts
from backend.core.labelstudio.results import read_labels, read_regions
from backend.core.regions.brush_rle import encode_brush_rle
from backend.core.regions.kind import draw_together
from backend.core.regions.kinds import KINDS, kind_of_type
from tests.editor_masks import mask_url, ring_of

SIZE = ImageSize(200, 100)
LEARNED = [kind for kind in KINDS if kind.draws_objects]


def config_of(*tags):
    return parse_label_config(f'<View><Image name="img" value="$image"/>{"".join(tags)}</View>')


def labels_tag(kind, name="tag", labels=("Red", "Blue")):
    inner = "".join(f'<Label value="{label}"/>' for label in labels)
    return f'<{kind.labels_title} name="{name}" toName="img">{inner}</{kind.labels_title}>'


def plain_config(kind):
    labels = '<Labels name="names" toName="img"><Label value="Red"/><Label value="Blue"/></Labels>'
    return config_of(f'<{kind.title} name="tag" toName="img"/>', labels)


def geometry(kind, left=20, top=20, right=60, bottom=60):
    """Return the geometry of a value around a box in pixels."""
    mask = np.zeros((SIZE.height, SIZE.width), dtype=bool)
    mask[top:bottom, left:right] = True
    x, y, x2, y2 = left / 2, top, right / 2, bottom
    return {
        "rectangle": {"x": x, "y": y, "width": x2 - x, "height": y2 - y, "rotation": 0},
        "ellipse": {"x": (x + x2) / 2, "y": (y + y2) / 2, "radiusX": (x2 - x) / 2, "radiusY": (y2 - y) / 2},
        "polygon": {"points": [[x, y], [x2, y], [x2, y2], [x, y2]], "closed": True},
        "vector": ring_of((x, y), (x2, y), (x2, y2), (x, y2)),
        "brush": {"format": "rle", "rle": encode_brush_rle(mask)},
        "bitmask": {"imageDataURL": mask_url(mask)},
        "keypoint": {"x": x, "y": y, "width": 0.5},
    }[kind.name]


def result(value, type_="", from_name="tag", region_id="r1", **more):
    common = {"from_name": from_name, "to_name": "img", "original_width": 200, "original_height": 100}
    return {"id": region_id, "value": value, **common, **({"type": type_} if type_ else {}), **more}


def labelled(kind, label, *box, **more):
    return result({**geometry(kind, *box), kind.labels_tag: [label]}, kind.labels_tag, **more)


def pair(kind, label, *box, **more):
    """Return what a plain tag and its `<Labels>` write."""
    value = geometry(kind, *box)
    return [
        result(value, kind.name, **more),
        result({**value, "labels": [label]}, "labels", "names", **more),
    ]


def boxes(regions):
    return [draw_together(region.shapes, SIZE).box_xyxy_px.round().astype(int).tolist() for region in regions]


def read(results, config):
    """Return labels and box of each region, and what was counted."""
    found = read_regions(results, config)
    labels = [region.labels for region in found.regions]
    return list(zip(labels, boxes(found.regions), strict=True)), found.unusable


A, B = (20, 20, 60, 60), (120, 30, 180, 80)
TWO = [(("Red",), list(A)), (("Blue",), list(B))]
every_kind = pytest.mark.parametrize("kind", LEARNED, ids=lambda kind: kind.name)
SEPARATE = [kind for kind in LEARNED if not kind.joins_parts]
every_separate_kind = pytest.mark.parametrize("kind", SEPARATE, ids=lambda kind: kind.name)


# One id


@every_separate_kind
@pytest.mark.parametrize("region_id", ["result1", "Red", 7])
def test_shapes_of_one_id_are_regions_of_their_own(kind, region_id):
    more = {"region_id": region_id}
    results = [labelled(kind, "Red", *A, **more), labelled(kind, "Blue", *B, **more)]
    assert read(results, config_of(labels_tag(kind))) == (TWO, Counter(shared_id=1))


@every_separate_kind
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (1, 3, 0, 2), (3, 2, 1, 0)], ids=str)
def test_labels_of_a_shared_id_go_to_the_shape_whose_geometry_they_repeat(kind, order):
    results = [*pair(kind, "Red", *A), *pair(kind, "Blue", *B)]
    found, unusable = read([results[k] for k in order], plain_config(kind))
    assert sorted(found) == sorted(TWO) and unusable == Counter(shared_id=1)


@every_separate_kind
def test_labels_without_geometry_go_to_the_shape_before_them(kind):
    shapes = [pair(kind, "Red", *A)[0], pair(kind, "Blue", *B)[0]]
    names = [result({"labels": [name]}, "labels", "names") for name in ("Red", "Blue")]
    results = [shapes[0], names[0], shapes[1], names[1]]
    assert read(results, plain_config(kind)) == (TWO, Counter(shared_id=1))


@every_kind
@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "labels"])
def test_what_says_more_about_a_region_is_no_region(kind, is_plain):
    drawn = pair(kind, "Red", *A) if is_plain else [labelled(kind, "Red", *A)]
    config = plain_config(kind) if is_plain else config_of(labels_tag(kind))
    more = [
        result({**geometry(kind, *A), "choices": ["good"]}, "choices", "quality"),
        result({**geometry(kind, *A), "text": ["a note"]}, "textarea", "note"),
    ]
    assert read([*drawn, *more], config) == (TWO[:1], Counter())
    assert read([*more, *drawn], config) == (TWO[:1], Counter())


# As converters write


@every_kind
@pytest.mark.parametrize("written", ["Red", ["Red"], [" Red "], ["Red", "Red\n"]], ids=str)
def test_a_label_is_read_however_it_is_written(kind, written):
    drawn = labelled(kind, "Red", *A)
    drawn["value"][kind.labels_tag] = written
    assert read([drawn], config_of(labels_tag(kind))) == (TWO[:1], Counter())


@every_kind
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param({"item_index": "0", "to_name": None}, None, id="number as text, no image tag"),
        pytest.param({"item_index": 0.0}, None, id="number with a point"),
        pytest.param({"item_index": ""}, None, id="empty"),
        pytest.param({"item_index": "first"}, "unknown_page", id="no number"),
        pytest.param({"item_index": [0]}, "unknown_page", id="a list"),
        pytest.param({"item_index": "9" * 5000}, "unknown_page", id="more digits than Python reads"),
        pytest.param({"to_name": "elsewhere"}, "unknown_control", id="another image tag"),
    ],
)
def test_the_image_of_a_region_is_known_however_it_is_written(kind, place, reason):
    found = read([labelled(kind, "Red", *A, **place)], config_of(labels_tag(kind)))
    assert found == ((TWO[:1], Counter()) if reason is None else ([], Counter({reason: 1})))


def test_what_names_another_image_tag_is_counted_under_that_name():
    rectangle = kind_of_type("rectangle")
    drawn = labelled(rectangle, "Red", *A, to_name="elsewhere")
    found = read_regions([drawn], config_of(labels_tag(rectangle)))
    assert found.unknown == Counter({("unknown_control", "elsewhere"): 1})


def test_strokes_of_one_id_are_one_region():
    brush = kind_of_type("brush")
    found = read([labelled(brush, "Red", *A), labelled(brush, "Red", *B)], config_of(labels_tag(brush)))
    assert found == ([(("Red",), [20, 20, 180, 80])], Counter())


def test_what_a_magic_wand_paints_is_learned_by_the_labels_that_it_was_painted_with():
    """The editor stores the area for the tool, and once more for each tag whose label is chosen."""
    brush = kind_of_type("brush")
    wand = '<MagicWand name="wand" toName="img"/>'
    beside_labels = config_of(wand, '<Labels name="names" toName="img"><Label value="Red"/></Labels>')
    results = [
        result(geometry(brush, *A), "magicwand", "wand"),
        result({**geometry(brush, *A), "labels": ["Red"]}, "labels", "names"),
    ]
    assert read(results, beside_labels) == (TWO[:1], Counter())
    results[1] = labelled(brush, "Red", *A)
    for given in (results, results[::-1]):
        assert read(given, config_of(wand, labels_tag(brush))) == (TWO[:1], Counter())


def test_strokes_of_two_tags_are_not_joined():
    brush = kind_of_type("brush")
    config = config_of(labels_tag(brush), labels_tag(brush, "more"))
    results = [labelled(brush, "Red", *A), labelled(brush, "Blue", *B, from_name="more")]
    assert read(results, config) == (TWO, Counter(shared_id=1))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param(
            result({"x": 1, "y": 1, "rectanglelabels": ["Red"]}, "rectanglelabels"), "bad_geometry", id="half"
        ),
        pytest.param(result(None, "rectanglelabels"), "bad_geometry", id="no value"),
        pytest.param(result({"ocrtext": "12.50"}, "ocrlabels"), "unsupported_shape", id="another kind"),
        pytest.param(result({"sound": 1}, from_name="gone"), "no_kind", id="of no kind"),
    ],
)
def test_what_shares_an_id_and_draws_nothing_is_counted(other, reason):
    rectangle = kind_of_type("rectangle")
    given = [labelled(rectangle, "Red", *A), other, other]
    assert read(given, config_of(labels_tag(rectangle))) == (TWO[:1], Counter({reason: 2}))
    assert read([other, other], config_of(labels_tag(rectangle))) == ([], Counter({reason: 2}))


def test_a_prompt_costs_no_other_region_of_its_id():
    rectangle = kind_of_type("rectangle")
    results = [labelled(rectangle, "Red", *A), labelled(rectangle, "Blue", *B, is_positive=True)]
    assert read(results, config_of(labels_tag(rectangle))) == (TWO[:1], Counter(prompt=1, shared_id=1))


def test_a_thousand_shapes_of_one_id_take_no_time():
    rectangle = kind_of_type("rectangle")
    places = [(k % 150, k % 60, k % 150 + 9 + k // 150, 99) for k in range(1000)]
    results = [each for place in places for each in pair(rectangle, "Red", *place)]
    found = read_regions(results, plain_config(rectangle))
    assert len(found.regions) == 1000 and all(region.labels == ("Red",) for region in found.regions)


# No type


@every_kind
def test_a_region_without_type_is_told_by_its_tag(kind):
    value = labelled(kind, "Red", *A)["value"]
    for given in (result(value), result(value, type=None)):
        assert read([given], config_of(labels_tag(kind))) == (TWO[:1], Counter())


@every_kind
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)], ids=["the shape", "the labels", "both"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["shape first", "labels first"])
def test_a_plain_tag_and_its_labels_may_lack_their_type(kind, which, order):
    results = pair(kind, "Red", *A)
    for k in which:
        del results[k]["type"]
    assert read([results[k] for k in order], plain_config(kind)) == (TWO[:1], Counter())


@every_kind
def test_labels_alone_draw_the_geometry_that_they_repeat(kind):
    _, labels = pair(kind, "Red", *A)
    (region,) = read_regions([labels], plain_config(kind)).regions
    assert (region.from_name, region.kind, region.labels) == ("tag", kind, ("Red",))
    del labels["type"], labels["id"]
    assert read([labels], plain_config(kind)) == (TWO[:1], Counter())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param(result({"text": ["x"]}, from_name="gone"), "no_kind", id="neither value nor tag"),
        pytest.param(result(None, from_name="gone"), "no_kind", id="no value"),
        pytest.param({}, "no_kind", id="nothing"),
        pytest.param(
            result({"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["Red"]}, from_name="gone"),
            "unknown_control",
            id="a tag that is gone",
        ),
        pytest.param(result({"x": 1, "y": 1}, from_name="tag"), "bad_geometry", id="half a value"),
    ],
)
def test_what_has_no_type_is_never_dropped_uncounted(given, reason):
    config = config_of(labels_tag(kind_of_type("rectangle")))
    assert read([given], config) == ([], Counter({reason: 1}))


def test_a_choice_without_type_is_known_by_its_tag():
    config = config_of(
        labels_tag(kind_of_type("rectangle")),
        '<Choices name="quality" toName="img"><Choice value="good"/></Choices>',
    )
    assert read([result({"choices": ["good"]}, from_name="quality")], config) == ([], Counter())


@every_kind
def test_a_prompt_without_type_has_its_label(kind):
    given = labelled(kind, "Blue", *A)
    del given["type"]
    request = parse_prompts({"result": [given]}, {"data": {"image": "a"}}, config_of(labels_tag(kind)))
    assert request.label == "Blue" and request.pages[0].prompts[0].kind is kind


# Labels


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        pytest.param(result({"rectanglelabels": ["Red"]}, "rectanglelabels"), ("Red",), id="own type"),
        pytest.param(result({"labels": ["Red", "Blue"]}, "rectangle"), ("Red", "Blue"), id="labels"),
        pytest.param(result({"brushlabels": ["Red"]}), ("Red",), id="without type"),
        pytest.param(result({"labels": ["Red", "Red"]}, "labels"), ("Red",), id="twice"),
        pytest.param(result({"labels": [None, True, "", "Red"]}, "labels"), ("Red",), id="rubbish beside it"),
        pytest.param(result({"labels": [3, "Red"]}, "labels"), ("3", "Red"), id="a number is a name"),
        pytest.param(result({"labels": "Red"}, "labels"), ("Red",), id="no list"),
        pytest.param(result("Red", "labels"), (), id="no value"),
    ],
)
def test_the_labels_of_a_result(given, labels):
    assert read_labels(given, config_of(labels_tag(kind_of_type("rectangle")))) == labels


def test_a_result_that_names_no_tag_says_so():
    found = read_regions(
        [{"id": "a", "value": {"x": 1, "y": 1, "width": 9, "height": 9}}],
        config_of(labels_tag(kind_of_type("rectangle"))),
    )
    assert found.unknown == Counter({("unknown_control", "no from_name"): 1})
