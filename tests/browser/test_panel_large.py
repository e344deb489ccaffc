"""A large picture in the panel: a preview first, and its own pixels where the zoom shows more."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

WIDTH, HEIGHT = 6000, 4000
MARK = (4500, 1000, 60)  # left, top, side: lines one pixel wide, which no preview shows


@pytest.fixture
def services(services):
    picture = np.full((HEIGHT, WIDTH, 3), (120, 160, 200), np.uint8)
    picture[::500], picture[:, ::500] = 255, 255
    left, top, side = MARK
    picture[top : top + side, left : left + side] = 0
    picture[top : top + side, left : left + side : 2] = 255
    services.images.load_rgb = lambda reference, access: picture
    return services


def test_the_zoom_shows_the_pictures_own_pixels_where_its_regions_lie(panel, tmp_path):
    expect(panel.locator("#image")).to_be_visible(timeout=60_000)
    size = panel.evaluate("[document.getElementById('image').naturalWidth, innerWidth]")
    assert size[0] == 2048
    box = panel.locator("#stage").bounding_box()
    fitted = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left, top, side = MARK
    # The wheel turns over the mark until one of the picture's pixels has four of the screen.
    x = box["x"] + box["width"] / 2 + (left + side / 2 - WIDTH / 2) * fitted
    y = box["y"] + box["height"] / 2 + (top + side / 2 - HEIGHT / 2) * fitted
    panel.mouse.move(x, y)
    for _ in range(40):
        zoom = panel.evaluate("new DOMMatrix(getComputedStyle(document.getElementById('image')).transform).a")
        if zoom * 2048 / WIDTH >= 4:
            break
        panel.mouse.wheel(0, -100)
    # Lines one pixel wide are black and white in the tiles, and nothing like it in the preview.
    panel.wait_for_function(
        """([x, y]) => {
          const canvas = document.getElementById("tiles");
          const data = canvas.getContext("2d").getImageData(x - 20, y, 40, 1).data;
          const reds = [...data].filter((_, at) => at % 4 === 0);
          return Math.max(...reds) > 230 && Math.min(...reds) < 30;
        }""",
        arg=[round(x - box["x"]), round(y - box["y"])],
        timeout=60_000,
    )
    panel.screenshot(path=str(tmp_path / "zoomed.png"))
    panel.locator("#zoom-fit").click()
    panel.wait_for_timeout(300)
    panel.screenshot(path=str(tmp_path / "fitted.png"))
