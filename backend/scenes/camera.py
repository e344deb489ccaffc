"""From a drawn scene to what a camera makes of it: light, tint, lens, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.instances import FloatArray
from backend.scenes.textures import fractal_noise, nearby_colour

Rng = np.random.Generator


def photograph(rng: Rng, colours: FloatArray) -> npt.NDArray[np.uint8]:
    """Return the picture uint8 [h, w, 3] of a scene float [h, w, 3] in 0..1."""
    picture = _tinted(rng, _lit(rng, colours))
    low = rng.uniform(0.0, 0.25) * (rng.random() < 0.4)
    high = 1.0 - rng.uniform(0.0, 0.3) * (rng.random() < 0.4)
    picture = low + (high - low) * np.clip(picture, 0.0, 1.0) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.6:
        unsharp_px = rng.uniform(1.4, 2.6) if rng.random() < 0.2 else rng.uniform(0.4, 1.4)
        picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), unsharp_px)
    if rng.random() < 0.7:
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        picture = picture + rng.uniform(0.003, 0.05) * grain
    image = np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(25, 96))
        _, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return image


def _lit(rng: Rng, picture: FloatArray) -> FloatArray:
    """Return the scene under a slope of light, clouds, or sun through leaves."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        slope = rng.normal(0.0, 0.25, 2)
        picture = picture * np.clip(1.0 + slope[0] * xs + slope[1] * ys, 0.3, 1.7)[..., None]
    kind = rng.random()
    if kind < 0.25:
        clouds = fractal_noise(rng, height, width, rng.uniform(40, 150), 0.4)
        picture = picture * np.clip(1.0 + 0.2 * clouds, 0.3, 1.7)[..., None]
    elif kind < 0.4:
        leaves = fractal_noise(rng, height, width, rng.uniform(15, 90), rng.uniform(0.3, 0.7))
        sun = np.clip((leaves - rng.uniform(-0.5, 0.8)) * rng.uniform(1.5, 8.0), 0.0, 1.0)
        picture = picture * (1.0 - rng.uniform(0.2, 0.6) * (1.0 - sun))[..., None]
    return picture


def _tinted(rng: Rng, picture: FloatArray) -> FloatArray:
    if rng.random() < 0.12:
        grey = picture.mean(axis=2, keepdims=True)
        return grey * nearby_colour(rng, np.ones(3, dtype=np.float32), 0.1)
    if rng.random() < 0.3:
        return picture * nearby_colour(rng, np.full(3, 0.9, dtype=np.float32), 0.08)
    return picture
