import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import encode_rle as sdk_encode

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import encode_brush_rle
from backend.core.regions.kind import draw_together
from backend.core.regions.kinds import kind_of_type, kind_of_value
from backend.core.regions.unusable import REASONS, UnusableRegion
from backend.core.regions.values import parse_recorded_size

SIZE = ImageSize(200, 100)


@dataclass(frozen=True)
class Drawing:
    """A value of a kind, read only when it is drawn, so that a table can hold what cannot be read."""

    kind: str
    value: dict
    recorded_size: ImageSize | None = None


def draw_region(drawings, size):
    shapes = [kind_of_type(one.kind).read(one.value, one.recorded_size) for one in drawings]
    drawn = draw_together(shapes, size)
    return drawn.box_xyxy_px, drawn.mask


def rectangle(x=10, y=20, width=30, height=40, **more):
    return Drawing("rectangle", {"x": x, "y": y, "width": width, "height": height, **more}, SIZE)


def ellipse(x=50, y=50, radius_x=10, radius_y=30, rotation=0):
    value = {"x": x, "y": y, "radiusX": radius_x, "radiusY": radius_y, "rotation": rotation}
    return Drawing("ellipse", value, SIZE)


def polygon(*points):
    return Drawing("polygon", {"points": list(points), "closed": True}, SIZE)


def brush(mask, recorded=None):
    size = recorded or ImageSize(mask.shape[1], mask.shape[0])
    return Drawing("brush", {"format": "rle", "rle": encode_brush_rle(mask)}, size)


def square_mask(size, left, top, right, bottom):
    mask = np.zeros((size.height, size.width), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        pytest.param(rectangle(rotation=0), (20, 20, 80, 60), id="usual"),
        pytest.param(rectangle(), (20, 20, 80, 60), id="no rotation given"),
        pytest.param(rectangle(rotation=None), (20, 20, 80, 60), id="rotation null"),
        pytest.param(rectangle(rotation=360), (20, 20, 80, 60), id="full turn"),
        pytest.param(rectangle(x=50, rotation=90), (60, 20, 100, 80), id="quarter turn"),
        pytest.param(rectangle(x=-5, y=-5), (0, 0, 50, 35), id="sticks out top left"),
        pytest.param(rectangle(x=90, y=90), (180, 90, 200, 100), id="sticks out bottom right"),
        pytest.param(rectangle(0, 0, 100, 100), (0, 0, 200, 100), id="whole image"),
        pytest.param(rectangle(-900, -900, 9000, 9000), (0, 0, 200, 100), id="all around"),
        pytest.param(rectangle(10, 10, 0.5, 1), (20, 10, 21, 11), id="one pixel"),
    ],
)
def test_an_upright_rectangle_gives_a_box_and_no_mask(shape, box):
    found, mask = draw_region([shape], SIZE)
    np.testing.assert_allclose(found, box, atol=1e-4)
    assert found.dtype == np.float32 and mask is None


@pytest.mark.parametrize(
    ("shape", "box", "area_px"),
    [
        pytest.param(
            rectangle(50, 20, 20, 40, rotation=45), (71.7, 20, 128.3, 76.6), 1600, id="rotated rectangle"
        ),
        pytest.param(rectangle(0, 0, 20, 20, rotation=30), (0, 0, 34.6, 37.3), 800 - 115, id="rotated, cut"),
        pytest.param(ellipse(), (80, 20, 120, 80), math.pi * 20 * 30, id="ellipse"),
        pytest.param(ellipse(rotation=90), (70, 30, 130, 70), math.pi * 20 * 30, id="ellipse turned"),
        pytest.param(ellipse(x=0), (0, 20, 20, 80), math.pi * 20 * 30 / 2, id="half an ellipse"),
        pytest.param(polygon([10, 10], [40, 10], [40, 90], [10, 90]), (20, 10, 80, 90), 4800, id="polygon"),
        pytest.param(
            polygon([-50, -50], [50, -50], [50, 50], [-50, 50]), (0, 0, 100, 50), 5000, id="polygon, cut"
        ),
        pytest.param(polygon([0, 0], [50, 50], [50, 0], [0, 50]), (0, 0, 100, 50), 2500, id="self-crossing"),
        pytest.param(brush(square_mask(SIZE, 30, 40, 90, 70)), (30, 40, 90, 70), 1800, id="brush"),
    ],
)
def test_other_shapes_give_a_box_and_a_mask(shape, box, area_px):
    found, mask = draw_region([shape], SIZE)
    np.testing.assert_allclose(found, box, atol=1)
    assert mask.area_px == pytest.approx(area_px, rel=0.03)
    assert (mask.left_px, mask.top_px) == (found[0], found[1])


@pytest.mark.parametrize(
    ("dragged", "usual"),
    [
        pytest.param(rectangle(40, 60, -30, -40), rectangle(10, 20, 30, 40), id="up and left"),
        pytest.param(rectangle(40, 20, -30, 40), rectangle(10, 20, 30, 40), id="left"),
        pytest.param(rectangle(10, 60, 30, -40), rectangle(10, 20, 30, 40), id="up"),
        # Turned by 30 degrees, 20 % to the left of the corner is (-34.6, -20) px.
        pytest.param(
            rectangle(50, 50, -20, 30, rotation=30), rectangle(32.68, 30, 20, 30, rotation=30), id="turned"
        ),
        pytest.param(ellipse(radius_x=-10), ellipse(), id="radius x"),
        pytest.param(ellipse(radius_y=-30, rotation=20), ellipse(rotation=20), id="radius y, turned"),
        pytest.param(ellipse(radius_x=-10, radius_y=-30), ellipse(), id="both radii"),
    ],
)
def test_what_was_dragged_up_or_to_the_left_is_the_same_region(dragged, usual):
    (box, mask), (usual_box, usual_mask) = draw_region([dragged], SIZE), draw_region([usual], SIZE)
    np.testing.assert_allclose(box, usual_box, atol=0.1)
    assert (mask is None) == (usual_mask is None)
    if mask is not None:
        np.testing.assert_array_equal(mask.full(SIZE), usual_mask.full(SIZE))


@pytest.mark.parametrize("size", [ImageSize(400, 200), ImageSize(100, 50), ImageSize(200, 150)], ids=str)
def test_shapes_are_drawn_at_the_size_of_the_decoded_image(size):
    mask = square_mask(SIZE, 40, 20, 120, 70)
    expected = np.array([0.2 * size.width, 0.2 * size.height, 0.6 * size.width, 0.7 * size.height])
    for shape in (brush(mask), polygon([20, 20], [60, 20], [60, 70], [20, 70]), rectangle(20, 20, 40, 50)):
        found, _ = draw_region([shape], size)
        np.testing.assert_allclose(found, expected, atol=1)


def test_a_brush_mask_without_recorded_size_has_the_size_of_the_image():
    shape = Drawing("brush", {"rle": encode_brush_rle(square_mask(SIZE, 5, 5, 9, 9))}, None)
    assert draw_region([shape], SIZE)[0].tolist() == [5, 5, 9, 9]


def test_colour_and_erased_parts_of_a_brush_do_not_count():
    size = ImageSize(30, 20)
    picture = np.zeros((20, 30, 4), dtype=np.uint8)
    picture[..., :3] = (255, 128, 7)
    picture[3:13, 5:25, 3] = 255
    picture[6:10, 10:15, 3] = 0
    shape = Drawing("brush", {"rle": sdk_encode(picture.ravel())}, size)
    box, mask = draw_region([shape], size)
    assert box.tolist() == [5, 3, 25, 13]
    assert mask.area_px == 10 * 20 - 4 * 5


def test_a_brush_region_in_parts_is_one_object():
    mask = square_mask(SIZE, 10, 10, 30, 30) | square_mask(SIZE, 100, 50, 130, 90)
    box, patch = draw_region([brush(mask)], SIZE)
    assert box.tolist() == [10, 10, 130, 90]
    np.testing.assert_array_equal(patch.full(SIZE), mask)


def test_several_shapes_are_joined():
    first, second = square_mask(SIZE, 10, 10, 30, 30), square_mask(SIZE, 25, 5, 60, 20)
    box, patch = draw_region([brush(first), brush(second), rectangle(5, 5, 10, 10)], SIZE)
    assert box.tolist() == [10, 5, 60, 30]
    np.testing.assert_array_equal(patch.full(SIZE), first | second)


DEEP = [[10, 10], [20, 10], [20, 20]]
GOOD_RLE = encode_brush_rle(square_mask(SIZE, 5, 5, 9, 9))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        pytest.param(rectangle(width=0), "zero_area", id="no width"),
        pytest.param(rectangle(width=-0.0), "zero_area", id="no width, below zero"),
        pytest.param(rectangle(width=0.01, height=0.01), "zero_area", id="speck"),
        pytest.param(rectangle(x=150), "outside_image", id="right of the image"),
        pytest.param(rectangle(y=-41), "outside_image", id="above the image"),
        pytest.param(rectangle(x=100), "outside_image", id="touches the edge"),
        pytest.param(rectangle(x="10"), "numbers_as_text", id="text"),
        pytest.param(rectangle(x=True), "bad_geometry", id="bool"),
        pytest.param(rectangle(x=None), "bad_geometry", id="null"),
        pytest.param(rectangle(x=float("nan")), "bad_geometry", id="nan"),
        pytest.param(rectangle(width=float("inf")), "bad_geometry", id="infinite"),
        pytest.param(rectangle(y=10**400), "bad_geometry", id="huge"),
        pytest.param(rectangle(rotation="90"), "numbers_as_text", id="rotation as text"),
        pytest.param(rectangle(120, 20, 10, 10, rotation=45), "outside_image", id="rotated, outside"),
        pytest.param(rectangle(20, 20, 1e-4, 30, rotation=40), "zero_area", id="rotated hairline"),
        pytest.param(ellipse(radius_x=0), "zero_area", id="flat ellipse"),
        pytest.param(ellipse(x=300), "outside_image", id="ellipse outside"),
        pytest.param(ellipse(rotation=[]), "bad_geometry", id="ellipse rotation"),
        pytest.param(polygon(), "bad_geometry", id="no points"),
        pytest.param(polygon([1, 1], [2, 2]), "bad_geometry", id="two points"),
        pytest.param(polygon([1, 1], [2, 2], [3]), "bad_geometry", id="half a point"),
        pytest.param(polygon([1, 1, 1], [2, 2, 2], [3, 3, 3]), "bad_geometry", id="three coordinates"),
        pytest.param(polygon(["1", "1"], ["2", "2"], ["3", "1"]), "numbers_as_text", id="points as text"),
        pytest.param(polygon([1, None], [2, 2], [3, 1]), "bad_geometry", id="null coordinate"),
        pytest.param(polygon([1, float("nan")], [2, 2], [3, 1]), "bad_geometry", id="nan coordinate"),
        pytest.param(polygon([10**400, 1], [2, 2], [3, 1]), "bad_geometry", id="huge coordinate"),
        pytest.param(
            polygon(*[[k % 90, k % 70] for k in range(20_001)]), "bad_geometry", id="too many points"
        ),
        pytest.param(polygon([10, 10], [50, 10], [90, 10]), "zero_area", id="line"),
        pytest.param(polygon([110, 10], [120, 10], [120, 40]), "outside_image", id="polygon outside"),
        pytest.param(Drawing("polygon", {"points": "abc"}, SIZE), "bad_geometry", id="points are text"),
        pytest.param(Drawing("polygon", {"points": None}, SIZE), "bad_geometry", id="points are null"),
        pytest.param(brush(np.zeros((100, 200), dtype=bool)), "zero_area", id="empty brush"),
        pytest.param(Drawing("brush", {"rle": GOOD_RLE[:20]}, SIZE), "broken_rle", id="rle cut short"),
        pytest.param(Drawing("brush", {"rle": "xyz"}, SIZE), "broken_rle", id="rle is text"),
        pytest.param(Drawing("brush", {"rle": None}, SIZE), "broken_rle", id="rle is null"),
        pytest.param(Drawing("brush", {"rle": GOOD_RLE}, ImageSize(7, 7)), "broken_rle", id="another size"),
    ],
)
def test_what_cannot_be_drawn_says_why(shape, reason):
    with pytest.raises(UnusableRegion) as caught:
        draw_region([shape], SIZE)
    assert caught.value.reason == reason
    assert str(caught.value) == REASONS[reason]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"x": 1, "y": 1, "width": 2, "height": 2}, "rectangle"),
        ({"x": 1, "y": 1, "width": 2}, "keypoint"),
        ({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2}, "ellipse"),
        ({"points": []}, "polygon"),
        ({"format": "rle", "rle": []}, "brush"),
        ({"choices": ["a"]}, None),
        (None, None),
        ("x", None),
    ],
    ids=str,
)
def test_the_kind_is_told_by_the_fields(value, kind):
    found = kind_of_value(value)
    assert (found and found.name) == kind


@pytest.mark.parametrize(
    ("sides", "size"),
    [
        ((320, 240), ImageSize(320, 240)),
        ((320.0, 240.0), ImageSize(320, 240)),
        ((0, 240), None),
        ((-1, 240), None),
        ((None, 240), None),
        (("320", 240), None),
        ((True, 240), None),
        ((float("nan"), 240), None),
        ((float("inf"), 240), None),
        ((10**400, 240), None),
    ],
    ids=str,
)
def test_recorded_sizes(sides, size):
    assert parse_recorded_size(*sides) == size


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)
fields = st.sampled_from(["x", "y", "width", "height", "radiusX", "radiusY", "rotation", "points", "rle"])


@given(st.sampled_from(["rectangle", "ellipse", "polygon", "brush"]), st.dictionaries(fields, anything))
def test_whatever_stands_in_a_value_only_costs_the_region(kind, value):
    if kind == "brush":
        value.setdefault("rle", [])
    if kind == "polygon":
        value.setdefault("points", [])
    try:
        box, _ = draw_region([Drawing(kind, value, None)], SIZE)
    except UnusableRegion as exc:
        assert exc.reason in REASONS
        return
    assert 0 <= box[0] < box[2] <= SIZE.width and 0 <= box[1] < box[3] <= SIZE.height


numbers = st.floats(-150, 250)


@given(numbers, numbers, st.floats(0, 300), st.floats(0, 300), st.floats(-360, 720))
def test_any_rectangle_has_a_box_within_the_image(x, y, width, height, rotation):
    try:
        box, mask = draw_region([rectangle(x, y, width, height, rotation=rotation)], SIZE)
    except UnusableRegion as exc:
        assert exc.reason in ("zero_area", "outside_image")
        return
    assert 0 <= box[0] < box[2] <= SIZE.width and 0 <= box[1] < box[3] <= SIZE.height
    if mask is not None:
        assert mask.area_px <= (box[2] - box[0]) * (box[3] - box[1])
