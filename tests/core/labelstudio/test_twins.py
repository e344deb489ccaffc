"""One object drawn in two control tags is one object: as converters write it, and as people draw it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.kinds import KINDS, kind_of_type
from backend.service.panel.label_statistics import count_labels
from tests.core.labelstudio.test_results import geometry, result

SIZE = ImageSize(200, 100)
LEARNED = [kind for kind in KINDS if kind.draws_objects]
INNER = '<Label value="Red"/><Label value="Blue" alias="b"/>'
CONFIG = parse_label_config(
    '<View><Image name="img" value="$image"/>'
    + "".join(
        f'<{kind.labels_title} name="{kind.name}" toName="img">{INNER}</{kind.labels_title}>'
        for kind in LEARNED
    )
    + f'<RectangleLabels name="more" toName="img">{INNER}</RectangleLabels></View>'
)
PLAIN = parse_label_config(
    '<View><Image name="img" value="$image"/><Rectangle name="rectangle" toName="img"/>'
    f'<Polygon name="polygon" toName="img"/><Labels name="names" toName="img">{INNER}</Labels></View>'
)
RECTANGLE, POLYGON = kind_of_type("rectangle"), kind_of_type("polygon")
PAIRS = [(a, b) for a, b in itertools.permutations(LEARNED, 2)]
ids = itertools.count()


def drawn(kind, *box, label="Red", tag=None, **more):
    value = {**geometry(kind, *box), kind.labels_tag: [label]}
    return result(value, kind.labels_tag, tag or kind.name, f"id{next(ids)}", **more)


def rect_px(x, y, x2, y2, label="Red", tag="rectangle", **more):
    value = {"x": x / 2, "y": y, "width": (x2 - x) / 2, "height": y2 - y, "rotation": 0}
    return result({**value, "rectanglelabels": [label]}, "rectanglelabels", tag, f"id{next(ids)}", **more)


def ring_px(*points, label="Red"):
    value = {"points": [[x / 2, y] for x, y in points], "polygonlabels": [label]}
    return result(value, "polygonlabels", "polygon", f"id{next(ids)}")


def target_of(*results, config=CONFIG):
    task = {"data": {"image": "a"}, "annotations": [{"id": 1, "result": list(results)}]}
    annotated = annotated_task(task, config)
    built = build_target(annotated.pages[0].regions, config.labels, SIZE)
    assert not annotated.unusable + built.unusable
    assert count_labels([task], config)["total"] == len(built.target)
    return built.target


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda kind: kind.name)
def test_two_drawings_of_one_object_are_one_object_with_box_and_mask(first, second):
    target = target_of(drawn(first, 20, 20, 60, 60), drawn(second, 20, 20, 60, 60))
    np.testing.assert_allclose(target.boxes_xyxy_px, [[20, 20, 60, 60]], atol=1)
    assert target.masks[0] is not None


def test_as_the_converter_from_coco_writes_it():
    """Eight objects, each a rectangle and its outline: eight objects with masks, not sixteen."""
    results = []
    for k in range(8):
        x, y = 24 * k + 1, 10 + 3 * k
        results += [rect_px(x, y, x + 20, y + 30), ring_px((x, y), (x + 20, y + 5), (x + 12, y + 30))]
    target = target_of(*results)
    assert len(target) == 8 and all(mask is not None for mask in target.masks)


def test_an_object_in_parts_is_one_object():
    parts = [ring_px((20, 20), (50, 20), (50, 60), (20, 60)), ring_px((80, 30), (120, 30), (120, 55))]
    other = [rect_px(130, 10, 180, 40), ring_px((130, 10), (180, 10), (150, 40))]
    target = target_of(rect_px(20, 20, 120, 60), *parts, *other)
    np.testing.assert_allclose(target.boxes_xyxy_px, [[20, 20, 120, 60], [130, 10, 180, 40]], atol=1)
    assert target.masks[0].full(SIZE)[40, 30] and target.masks[0].full(SIZE)[35, 110]


def test_a_small_part_beside_a_large_one_belongs_to_the_object():
    parts = [ring_px((20, 20), (110, 20), (110, 60), (20, 60)), ring_px((114, 30), (120, 30), (120, 55))]
    target = target_of(rect_px(20, 20, 120, 60), *parts)
    assert len(target) == 1 and target.masks[0].full(SIZE)[40, 119]


def test_three_drawings_of_one_object_are_one():
    target = target_of(*(drawn(kind, 20, 20, 60, 60) for kind in LEARNED))
    assert len(target) == 1


def test_corners_rounded_to_pixels_make_no_difference():
    target = target_of(rect_px(20, 20, 28, 27), ring_px((21, 21), (27, 21), (27, 26), (21, 26)))
    assert len(target) == 1


def test_with_plain_tags_too():
    results = []
    for kind in (RECTANGLE, POLYGON):
        value = geometry(kind, 20, 20, 60, 60)
        results += [
            result(value, kind.name, kind.name, kind.name),
            result({**value, "labels": ["b"]}, "labels", "names", kind.name),
        ]
    target = target_of(*results, config=PLAIN)
    assert len(target) == 1 and target.masks[0] is not None


@pytest.mark.parametrize(
    "results",
    [
        pytest.param(
            [rect_px(20, 20, 60, 60), drawn(POLYGON, 20, 20, 60, 60, label="b")], id="another label"
        ),
        pytest.param([rect_px(20, 20, 60, 60), rect_px(20, 20, 60, 60)], id="one tag"),
        pytest.param([rect_px(20, 20, 60, 60), drawn(POLYGON, 90, 20, 130, 60)], id="elsewhere"),
        pytest.param([rect_px(20, 20, 80, 80), drawn(POLYGON, 30, 30, 60, 60)], id="one within the other"),
        pytest.param(
            [
                rect_px(20, 20, 120, 60),
                rect_px(10, 10, 15, 15, tag="more"),
                rect_px(70, 20, 99, 60, tag="more"),
            ],
            id="two that do not fill the first",
        ),
    ],
)
def test_other_drawings_stay_apart(results):
    assert len(target_of(*results)) == len(results)


def test_neighbours_are_joined_with_their_own_twin():
    boxes = [(10, 10, 40, 40), (14, 12, 44, 42), (60, 10, 90, 40)]
    target = target_of(*(rect_px(*box) for box in boxes), *(drawn(POLYGON, *box) for box in reversed(boxes)))
    np.testing.assert_allclose(target.boxes_xyxy_px, boxes, atol=1)
    assert [mask.left_px for mask in target.masks] == [10, 14, 60]


def test_pages_stay_apart():
    config = parse_label_config(
        '<View><Image name="img" valueList="$pages"/>'
        f'<RectangleLabels name="rectangle" toName="img">{INNER}</RectangleLabels>'
        f'<PolygonLabels name="polygon" toName="img">{INNER}</PolygonLabels></View>'
    )
    results = [rect_px(20, 20, 60, 60, item_index=0), drawn(POLYGON, 20, 20, 60, 60, item_index=1)]
    task = {"data": {"pages": ["a", "b"]}, "annotations": [{"id": 1, "result": results}]}
    assert [len(page.regions) for page in annotated_task(task, config).pages] == [1, 1]


def test_one_that_cannot_be_drawn_costs_no_other():
    broken = drawn(kind_of_type("brush"), 20, 20, 60, 60)
    broken["value"]["rle"] = [1, 2, 3]
    task = {"data": {"image": "a"}, "annotations": [{"result": [broken, rect_px(20, 20, 60, 60)]}]}
    annotated = annotated_task(task, CONFIG)
    built = build_target(annotated.pages[0].regions, CONFIG.labels, SIZE)
    assert len(built.target) == 1 and built.unusable == {"broken_rle": 1}


def test_thousands_of_drawings_of_two_tags_take_neither_long_nor_much_memory():
    boxes = [(x, y, x + 3, y + 3) for x in range(0, 196, 4) for y in range(0, 96, 4)]
    shapes = [ring_px((x, y), (x2, y), (x2, y2)) for x, y, x2, y2 in boxes]
    target = target_of(*(rect_px(*box) for box in boxes), *shapes)
    assert len(target) == len(boxes) and all(mask is not None for mask in target.masks)
