"""Somebody who looks at a picture in the panel: the wheel turned over one of its places."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_TURNS = 60
PREVIEW_PX = 2048
"""The width of the preview of a wider picture."""
# The screen's pixels for one of the preview.
_ZOOM = "new DOMMatrix(getComputedStyle(document.getElementById('image')).transform).a"
_HAS_LINES = """([x, y]) => {
  const canvas = document.getElementById("tiles");
  const data = canvas.getContext("2d").getImageData(x - 20, y, 40, 1).data;
  const reds = [...data].filter((_, at) => at % 4 === 0);
  return Math.max(...reds) > 230 && Math.min(...reds) < 30;
}"""


def zoom_in(
    page: Page, place_px: tuple[float, float], size_px: tuple[int, int], *, zoom: float = 4
) -> tuple[int, int]:
    """Turn the wheel over a place until a pixel of the picture has `zoom` of the screen.

    size_px: width and height of the picture, which the panel shows as a whole and from a preview. Returns x
    and y of the place on the stage, in pixels.
    """
    box = page.locator("#stage").bounding_box()
    assert box is not None
    fitted = min(box["width"] / size_px[0], box["height"] / size_px[1])
    x = box["width"] / 2 + (place_px[0] - size_px[0] / 2) * fitted
    y = box["height"] / 2 + (place_px[1] - size_px[1] / 2) * fitted
    page.mouse.move(box["x"] + x, box["y"] + y)
    for _ in range(MOST_TURNS):
        if page.evaluate(_ZOOM) * PREVIEW_PX / size_px[0] >= zoom:
            break
        page.mouse.wheel(0, -100)
    return round(x), round(y)


def wait_for_lines(page: Page, place: tuple[int, int], *, within_ms: float = 60_000) -> None:
    """Wait until tiles show black and white beside each other at a place on the stage."""
    page.wait_for_function(_HAS_LINES, arg=list(place), timeout=within_ms)
