"""A large picture in the panel: a preview first, and its own pixels where the zoom shows more."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from harness.panel_stage import wait_for_lines, zoom_in

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
    assert panel.evaluate("document.getElementById('image').naturalWidth") == 2048
    left, top, side = MARK
    place = zoom_in(panel, (left + side / 2, top + side / 2), (WIDTH, HEIGHT))
    wait_for_lines(panel, place)
    panel.screenshot(path=str(tmp_path / "zoomed.png"))
    panel.locator("#zoom-fit").click()
    panel.wait_for_timeout(300)
    panel.screenshot(path=str(tmp_path / "fitted.png"))
