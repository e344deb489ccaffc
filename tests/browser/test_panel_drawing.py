"""Regions are drawn where Label Studio draws them: compared, pixel by pixel, with masks made otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from backend.core.regions.brush_rle import encode_brush_rle
from tests.panel_fakes import all_shapes, region

WIDTH, HEIGHT = 640, 480


def disc(center, radius):
    return cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), center, radius, 1, -1).astype(bool)


def turned(points, degrees, about):
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (np.asarray(points, float) - about) @ matrix.T + about


def filled(points):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    return cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1).astype(bool)


def turned_rectangle():
    """20 % from the left and 15 % from the top, turned by 20 degrees about that corner."""
    left, top = 0.20 * WIDTH, 0.15 * HEIGHT
    right, bottom = left + 0.25 * WIDTH, top + 0.20 * HEIGHT
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return filled(turned(corners, 20, np.array([left, top])))


def turned_ellipse():
    center, radii = np.array([0.7 * WIDTH, 0.25 * HEIGHT]), np.array([0.09 * WIDTH, 0.14 * HEIGHT])
    angles = np.linspace(0, 2 * np.pi, 180)
    return filled(turned(np.stack([np.cos(angles), np.sin(angles)], 1) * radii + center, 30, center))


def polygon():
    return filled(np.array([[15, 55], [35, 58], [38, 80], [18, 88]]) * [WIDTH / 100, HEIGHT / 100])


EXPECTED = [turned_rectangle(), turned_ellipse(), polygon(), disc((470, 330), 60)]

DRAWN = """() => {
  const canvas = document.getElementById("overlay");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const alpha = [];
  for (let at = 3; at < data.length; at += 4) alpha.push(data[at]);
  return [width, height, alpha];
}"""


def drawn_mask(page):
    """Return the overlay as bool [HEIGHT, WIDTH] in the frame of the image."""
    width, height, alpha = page.evaluate(DRAWN)
    full = np.array(alpha, np.uint8).reshape(height, width) > 8
    scale = min(width / WIDTH, height / HEIGHT)
    left, top = (width - WIDTH * scale) / 2, (height - HEIGHT * scale) / 2
    rows = np.clip((np.arange(HEIGHT) + 0.5) * scale + top, 0, height - 1).astype(int)
    columns = np.clip((np.arange(WIDTH) + 0.5) * scale + left, 0, width - 1).astype(int)
    return full[np.ix_(rows, columns)]


def open_with(panel, label_studio, results):
    label_studio.create_annotation(2, results)
    panel.locator("#show-labels").uncheck()
    panel.locator("#next").click()
    expect(panel.locator("#task-name")).to_have_text("slide_00002.png")
    expect(panel.locator("#regions-summary")).to_have_text("1 region shown", timeout=10_000)
    panel.wait_for_timeout(600)


@pytest.mark.parametrize("number", range(4), ids=["turned rectangle", "turned ellipse", "polygon", "brush"])
def test_shapes_lie_where_label_studio_draws_them(panel, label_studio, number):
    shape = all_shapes()[number]
    open_with(panel, label_studio, [{name: value for name, value in shape.items() if name != "score"}])
    drawn, expected = drawn_mask(panel), EXPECTED[number]
    overlap = (drawn & expected).sum() / (drawn | expected).sum()
    assert overlap > 0.94, overlap


def test_a_brush_with_holes_and_soft_edges_is_decoded_as_encoded(panel, label_studio):
    mask = disc((200, 200), 150) & ~disc((200, 200), 70)
    mask[400:480, 600:640] = np.random.default_rng(1).random((80, 40)) > 0.5
    value = {"format": "rle", "rle": encode_brush_rle(mask)}
    open_with(panel, label_studio, [region("brush", "Tissue", "b", value)])
    decoded = panel.evaluate(
        """async (rle) => {
          const { decodeBrushAlpha } = await import("/panel/static/regions/workers/brush_rle.js");
          return [...decodeBrushAlpha(rle, 640, 480)];
        }""",
        value["rle"],
    )
    assert np.array_equal(np.array(decoded).reshape(HEIGHT, WIDTH) > 127, mask)
    drawn = drawn_mask(panel)
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.9


def test_zoom_and_pan_keep_overlay_and_image_together(panel, label_studio):
    open_with(panel, label_studio, [all_shapes()[2]])
    panel.locator("#stage").focus()
    before = panel.evaluate(DRAWN)[2]
    panel.keyboard.press("+")
    panel.keyboard.press("ArrowRight")
    panel.wait_for_timeout(100)
    transform = panel.evaluate("document.getElementById('image').style.transform")
    view = panel.evaluate("""async () => (await import("/panel/static/viewer/viewer.js")).overlay.view""")
    assert (
        transform == f"translate({view['x']:g}px, {view['y']:g}px) scale({view['scale']:g})"
        or str(round(view["scale"], 3)) in transform
    )
    assert panel.evaluate(DRAWN)[2] != before
    panel.keyboard.press("0")
    panel.wait_for_timeout(100)
    assert panel.evaluate(DRAWN)[2] == before


def test_a_broken_brush_costs_only_itself(panel, label_studio):
    broken = region("brush", "Tissue", "b", {"format": "rle", "rle": [0, 0, 1, 0, 57]})
    label_studio.create_annotation(2, [broken, all_shapes()[0]])
    panel.locator("#next").click()
    expect(panel.locator("#regions-summary")).to_have_text("2 regions shown", timeout=10_000)
    panel.wait_for_timeout(500)
    assert drawn_mask(panel).any()


def test_shapes_that_share_an_id_are_all_drawn_and_a_plain_shape_with_its_labels_once(panel, label_studio):
    left = {"x": 10, "y": 20, "width": 20, "height": 20, "rotation": 0}
    right = {"x": 80, "y": 60, "width": -20, "height": -20, "rotation": 0}
    of_right = region("rectangle", "Debris", "result1", right)
    names = {**of_right, "type": "labels", "value": {**right, "labels": ["Debris"]}}
    label_studio.create_annotation(2, [region("rectangle", "Cell", "result1", left), of_right, names])
    panel.locator("#show-labels").uncheck()
    panel.locator("#next").click()
    expect(panel.locator("#regions-summary")).to_have_text("2 regions shown", timeout=10_000)
    panel.wait_for_timeout(500)
    places = (
        np.array([[10, 20], [30, 20], [30, 40], [10, 40]]),
        np.array([[60, 40], [80, 40], [80, 60], [60, 60]]),
    )
    expected = sum(filled(corners * [WIDTH / 100, HEIGHT / 100]) for corners in places) > 0
    drawn = drawn_mask(panel)
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.94


def test_every_label_of_a_region_is_named(panel, label_studio):
    value = {"x": 10, "y": 20, "width": 20, "height": 20, "rotation": 0, "labels": ["Cell"]}
    results = [
        {
            **region("rectangle", "Cell", "r", value),
            "type": "labels",
            "from_name": tag,
            "value": value | {"labels": names},
        }
        for tag, names in (("kind", ["Cell"]), ("state", ["Debris", "Tissue"]))
    ]
    label_studio.create_annotation(2, results)
    panel.locator("#next").click()
    expect(panel.locator("#regions-summary")).to_have_text("1 region shown", timeout=10_000)
    panel.locator("#regions-summary").click()
    expect(panel.locator("#regions li")).to_contain_text("Cell, Debris, Tissue, rectangle")


def test_what_is_said_of_a_region_is_listed_beside_it(panel, label_studio):
    place = {"x": 10, "y": 20, "width": 20, "height": 20, "rotation": 0}
    drawn = region("rectangle", "Cell", "r", place)
    painted = all_shapes()[3]
    said = [
        {**drawn, "from_name": "state", "type": "choices", "value": {**place, "choices": ["ripe"]}},
        {**drawn, "from_name": "grade", "type": "rating", "value": {**place, "rating": 4}},
        {**drawn, "from_name": "words", "type": "textarea", "value": {**place, "text": ["No. 7" + "x" * 90]}},
        {**painted, "from_name": "state", "type": "choices", "value": {"format": "rle", "choices": ["raw"]}},
    ]
    label_studio.create_annotation(2, [said[0], drawn, painted, *said[1:]])
    panel.locator("#next").click()
    expect(panel.locator("#regions-summary")).to_have_text("2 regions shown", timeout=10_000)
    panel.locator("#regions-summary").click()
    listed = panel.locator("#regions li")
    expect(listed.filter(has_text="Cell")).to_contain_text(
        "Cell, rectangle; state: ripe; grade: 4; words: No. 7xxx"
    )
    expect(listed.filter(has_text="Cell")).to_contain_text("x…")
    expect(listed.filter(has_text="brush")).to_contain_text("state: raw")
    expect(panel.locator("#answers")).to_be_hidden()
