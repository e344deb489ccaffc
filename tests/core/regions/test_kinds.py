import base64
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import encode_rle as sdk_encode
from PIL import Image

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import encode_brush_rle
from backend.core.regions.kind import draw_together
from backend.core.regions.kinds import kind_of_type, kind_of_value
from backend.core.regions.unusable import REASONS, UnusableRegion
from backend.core.regions.values import parse_recorded_size
from tests.editor_masks import mask_url, png_url, ring_of

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


def bitmask(url, recorded=SIZE):
    return Drawing("bitmask", {"imageDataURL": url}, recorded)


def vector(*points, **more):
    return Drawing("vector", {**ring_of(*points), **more}, SIZE)


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
        pytest.param(
            bitmask(mask_url(square_mask(SIZE, 30, 40, 90, 70))), (30, 40, 90, 70), 1800, id="bitmask"
        ),
        pytest.param(vector([10, 10], [40, 10], [40, 90], [10, 90]), (20, 10, 80, 90), 4800, id="vector"),
    ],
)
def test_other_shapes_give_a_box_and_a_mask(shape, box, area_px):
    found, mask = draw_region([shape], SIZE)
    np.testing.assert_allclose(found, box, atol=1)
    assert mask.area_px == pytest.approx(area_px, rel=0.03)
    np.testing.assert_allclose((mask.left_px, mask.top_px), found[:2], atol=0.5)


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


def png_header(width, height):
    """Return a data URL of a PNG that announces a size, and ends with its header."""
    name, body = b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk).decode()


JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwM="
OPEN = [{"id": "a", "x": 1, "y": 1}, {"id": "b", "x": 50, "y": 1, "prevPointId": "a"}]
OPEN += [{"id": "c", "x": 50, "y": 50, "prevPointId": "b"}]
BRANCHING = [*OPEN, {"id": "d", "x": 9, "y": 50, "prevPointId": "b"}]
DEEP = [[10, 10], [20, 10], [20, 20]]
GOOD_RLE = encode_brush_rle(square_mask(SIZE, 5, 5, 9, 9))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        pytest.param(rectangle(width=0), "zero_area", id="no width"),
        pytest.param(rectangle(width=0, rotation=40), "zero_area", id="no width, turned"),
        pytest.param(rectangle(height=0, rotation=-20), "zero_area", id="no height, turned"),
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
        pytest.param(bitmask(mask_url(np.zeros((100, 200), dtype=bool))), "zero_area", id="empty bitmask"),
        *(
            pytest.param(bitmask(url), "broken_png", id=f"bitmask: {name}")
            for name, url in {
                "null": None,
                "a number": 7,
                "a long text": "x" * 100_000,
                "the address of a file": "/data/upload/1/mask.png",
                "an empty data URL": "data:image/png;base64,",
                "no base64": "data:image/png;base64,ä" + "?" * 40,
                "a JPEG under PNG's name": f"data:image/png;base64,{JPEG}",
                "a JPEG": f"data:image/jpeg;base64,{JPEG}",
                "cut short": mask_url(square_mask(SIZE, 5, 5, 9, 9))[:140],
                "a header alone": png_header(200, 100),
                "a bomb": png_header(200_000, 200_000),
                "no pixels": png_header(0, 100),
                "far larger than its image": mask_url(np.ones((300, 300), dtype=bool)),
            }.items()
        ),
        pytest.param(vector(), "bad_geometry", id="no vertices"),
        pytest.param(vector([1, 1]), "bad_geometry", id="one vertex"),
        pytest.param(vector([1, 1], [2, 2]), "bad_geometry", id="two vertices"),
        pytest.param(
            vector([1, 1], [2, 2], [3, 1], closed=False, vertices=OPEN), "open_line", id="open line"
        ),
        pytest.param(vector(vertices=OPEN[:1] + OPEN[:1]), "bad_geometry", id="names given twice"),
        pytest.param(vector(vertices=[1, 2, 3]), "bad_geometry", id="vertices are numbers"),
        pytest.param(vector(vertices="x" * 100_000), "bad_geometry", id="vertices are text"),
        pytest.param(vector(vertices=BRANCHING), "open_line", id="branches"),
        pytest.param(vector([1, 1], ["2", 2], [3, 1]), "numbers_as_text", id="vertex as text"),
        pytest.param(
            vector(*[[k % 90, k % 70] for k in range(20_001)]), "bad_geometry", id="too many vertices"
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(shape, reason):
    with pytest.raises(UnusableRegion) as caught:
        draw_region([shape], SIZE)
    assert caught.value.reason == reason
    assert str(caught.value) == REASONS[reason]


@pytest.mark.parametrize(
    ("mode", "is_set"),
    [("RGBA", False), ("LA", False), ("RGB", True), ("L", True), ("P", True), ("1", True)],
)
def test_a_bitmask_is_the_alpha_of_its_png_whatever_its_colours(mode, is_set):
    url = png_url(Image.new(mode, (SIZE.width, SIZE.height)))
    if is_set:
        assert draw_region([bitmask(url)], SIZE)[1].area_px == 200 * 100
    else:
        with pytest.raises(UnusableRegion):
            draw_region([bitmask(url)], SIZE)


def test_a_bitmask_of_another_size_is_stretched_over_its_image():
    small = ImageSize(100, 50)
    found, _ = draw_region([bitmask(mask_url(square_mask(small, 20, 10, 60, 30)))], SIZE)
    np.testing.assert_allclose(found, (40, 20, 120, 60), atol=1)


def test_soft_edges_of_a_bitmask_count_from_half_on():
    pixels = np.zeros((100, 200, 4), dtype=np.uint8)
    pixels[10:20, 10:20, 3], pixels[10:20, 20:30, 3], pixels[10:20, 30:40, 3] = 255, 130, 90
    assert draw_region([bitmask(png_url(Image.fromarray(pixels)))], SIZE)[0].tolist() == [10, 10, 30, 20]


CORNERS = ([10, 10], [40, 10], [40, 90], [10, 90])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({**ring_of(*CORNERS), "closed": None}, id="its first vertex names its last"),
        pytest.param({"vertices": [{"x": x, "y": y} for x, y in CORNERS], "closed": True}, id="no names"),
        pytest.param(
            {"vertices": [ring_of(*CORNERS)["vertices"][k] for k in (2, 0, 3, 1)], "closed": True},
            id="in another order",
        ),
        pytest.param(
            {
                "vertices": [
                    {**v, "prevPointId": v["prevPointId"] if k else None}
                    for k, v in enumerate(ring_of(*CORNERS)["vertices"])
                ],
                "closed": True,
            },
            id="closed, and the first names none",
        ),
    ],
)
def test_a_closed_vector_is_the_outline_through_its_vertices(value):
    box, mask = draw_region([Drawing("vector", value, SIZE)], SIZE)
    assert box.tolist() == [20, 10, 80, 90] and mask.area_px == 60 * 80


def test_the_sides_of_a_vector_may_be_curves():
    # A circle by four curves: control points lie 0.5523 of the radius along the tangents.
    arm = 0.5523 * 20
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    vertices = ring_of(*[(50 + 10 * dx, 50 + 20 * dy) for dx, dy in turns])["vertices"]
    for vertex, (dx, dy) in zip(vertices, turns, strict=True):
        along = (-dy * arm / 2, dx * arm)
        vertex |= {"isBezier": True}
        vertex["controlPoint1"] = {"x": vertex["x"] - along[0], "y": vertex["y"] - along[1]}
        vertex["controlPoint2"] = {"x": vertex["x"] + along[0], "y": vertex["y"] + along[1]}
    _, mask = draw_region([Drawing("vector", {"vertices": vertices, "closed": True}, SIZE)], SIZE)
    assert mask.area_px == pytest.approx(math.pi * 20 * 20, rel=0.02)
    bare = [{**vertex, "isBezier": False} for vertex in vertices]
    _, straight = draw_region([Drawing("vector", {"vertices": bare, "closed": True}, SIZE)], SIZE)
    assert straight.area_px == pytest.approx(2 * 20 * 20, rel=0.05)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"x": 1, "y": 1, "width": 2, "height": 2}, "rectangle"),
        ({"x": 1, "y": 1, "width": 2}, "keypoint"),
        ({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2}, "ellipse"),
        ({"points": []}, "polygon"),
        ({"format": "rle", "rle": []}, "brush"),
        ({"imageDataURL": ""}, "bitmask"),
        ({"vertices": [], "closed": True}, "vector"),
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
owns = {"brush": "rle", "polygon": "points", "bitmask": "imageDataURL", "vector": "vertices"}
points = st.fixed_dictionaries(
    {}, optional={name: anything for name in ("id", "prevPointId", "x", "y", "isBezier")}
)


@given(
    st.sampled_from(["rectangle", "ellipse", *owns]),
    st.dictionaries(fields, anything),
    anything | st.lists(points, max_size=5),
    st.booleans(),
)
def test_whatever_stands_in_a_value_only_costs_the_region(kind, value, own, is_closed):
    value |= {owns[kind]: own, "closed": is_closed} if kind in owns else {}
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
