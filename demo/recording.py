"""A short screen recording made of screenshots: each with a caption, a pointer, and how long it stays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH_PX = 1000
CAPTION_PX = 40
# An arrow as pointers are drawn: x and y from its tip.
POINTER = ((0, 0), (0, 22), (5, 17), (9, 26), (13, 24), (9, 16), (16, 16))


class Recording:
    """Collects screenshots; `save` writes them as an animated WebP."""

    def __init__(self) -> None:
        self._frames: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def take(
        self, page: Page, caption: str, *, seconds: float, cursor: tuple[float, float] | None = None
    ) -> None:
        """Add what the page shows now; cursor: where the pointer is, in pixels of the page."""
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        if cursor is not None:
            x, y = cursor
            outline = [(x + dx, y + dy) for dx, dy in POINTER]
            ImageDraw.Draw(shot).polygon(outline, fill="black", outline="white", width=2)
        height_px = round(shot.height * WIDTH_PX / shot.width)
        frame = Image.new("RGB", (WIDTH_PX, height_px + CAPTION_PX), "#f1f3f5")
        frame.paste(shot.resize((WIDTH_PX, height_px), Image.Resampling.LANCZOS), (0, CAPTION_PX))
        font = ImageFont.load_default(size=20)
        ImageDraw.Draw(frame).text((16, CAPTION_PX / 2), caption, fill="#212529", font=font, anchor="lm")
        self._frames.append(frame)
        self._milliseconds.append(round(1000 * seconds))

    def save(self, path: Path) -> None:
        """Write the animation, which begins again at its end."""
        first, *others = self._frames
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self._milliseconds,
            loop=0,
            quality=60,
            method=6,
        )
