"""The TextReader port without an engine: dark bars are lines of text, their shade is what they say."""

from __future__ import annotations

import numpy as np

from backend.core.geometry.masks import connected_parts, patch_box
from backend.core.text.lines import ReadText, TextLine

WORDS = {10: "TOTAL", 20: "12.50", 30: "DATE"}


class FakeReader:
    """Finds what is darker than 100 in each image, and reads the darkest pixel of each cut-out."""

    name = "fake"

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def find_lines(self, image):
        if self.failure is not None:
            raise self.failure
        lines = []
        for part in connected_parts(image[..., 0] < 100):
            x1, y1, x2, y2 = patch_box(part).tolist()
            lines.append(TextLine(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32), 0.8))
        return lines

    def read(self, crops):
        if self.failure is not None:
            raise self.failure
        shades = [int(crop.min()) for crop in crops]
        return [ReadText(WORDS.get(shade, ""), 0.9 if shade in WORDS else 0.1) for shade in shades]


def page_with(*bars: tuple[int, int, int, int, int], width: int = 200, height: int = 100) -> np.ndarray:
    """Return a white page with dark bars: x1, y1, x2, y2 in pixels, and the shade."""
    page = np.full((height, width, 3), 255, np.uint8)
    for x1, y1, x2, y2, shade in bars:
        page[y1:y2, x1:x2] = shade
    return page
