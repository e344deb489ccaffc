"""Masks as the editor of Label Studio writes them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png_url(picture: Image.Image, **options: object) -> str:
    """Return a picture as a PNG in a data URL."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def mask_url(mask: np.ndarray) -> str:
    """Return a mask [H, W] as a canvas gives it: RGBA, opaque black where it is set."""
    pixels = np.zeros((*mask.shape, 4), dtype=np.uint8)
    pixels[mask, 3] = 255
    return png_url(Image.fromarray(pixels, "RGBA"))


def ring_of(*points: tuple[float, float]) -> dict:
    """Return the value of a closed vector through points in percent: its first vertex names its last."""
    names = [f"v{number}" for number in range(len(points))]
    vertices = [
        {"id": name, "x": x, "y": y, "isBezier": False, "prevPointId": names[number - 1]}
        for number, (name, (x, y)) in enumerate(zip(names, points, strict=True))
    ]
    return {"vertices": vertices, "closed": True}
