"""Whole generated pictures: a ground, clutter, objects with exact masks, and a camera's view of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.instances import FloatArray
from backend.scenes.camera import photograph
from backend.scenes.layouts import LAYOUT_SHARES, LAYOUTS, place_objects, strew_clutter
from backend.scenes.painting import Canvas
from backend.scenes.textures import fractal_noise, random_texture

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Scene:
    """image uint8 [h, w, 3]; owner int16 [h, w]: which object each pixel shows, 0 for none.

    Objects are numbered from 1; one that got hidden may own no pixel. kinds[i] names object i + 1.
    """

    image: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.int16]
    kinds: tuple[str, ...]

    def mask(self, number: int) -> npt.NDArray[np.bool_]:
        """Return the visible pixels of object `number`, bool [h, w]."""
        return self.owner == number


def make_scene(seed: int, index: int) -> Scene:
    """Return scene `index` of the endless series that `seed` names; the same pair gives the same scene."""
    rng = np.random.default_rng([seed, index])
    height, width = (int(side) for side in rng.integers(208, 353, 2))
    layout = str(rng.choice(LAYOUTS, p=LAYOUT_SHARES))
    if layout == "field" and rng.random() < 0.7:
        contrast = float(rng.choice([0.02, 0.05, 0.1]))
        canvas = Canvas.on(random_texture(rng, height, width, contrast=contrast))
    else:
        canvas = Canvas.on(_background(rng, height, width))
    kinds = place_objects(rng, canvas, layout)
    return Scene(image=photograph(rng, canvas.colours), owner=canvas.owner, kinds=tuple(kinds))


def _background(rng: Rng, height: int, width: int) -> FloatArray:
    """Return a ground of one to four areas with their own surfaces, with unlabelled clutter on it."""
    ground = random_texture(rng, height, width)
    if rng.random() < 0.15:
        return ground
    for _ in range(int(rng.integers(0, 4))):
        area = _area_mask(rng, height, width)
        ground = np.where(area[..., None], random_texture(rng, height, width), ground)
    canvas = Canvas.on(ground)
    strew_clutter(rng, canvas)
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(canvas.colours, (0, 0), rng.uniform(0.8, 4.0))
        return np.asarray(blurred, dtype=np.float32)
    return canvas.colours


def _area_mask(rng: Rng, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return a half plane, a band, or a ragged area."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.normal(np.pi / 2, 0.15) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    position = (xs / width) * np.cos(angle) + (ys / height) * np.sin(angle)
    if rng.random() < 0.3:
        position = position + 0.06 * fractal_noise(rng, height, width, 50.0, 0.5)
    start = rng.uniform(0.0, 0.9)
    end = start + (rng.uniform(0.05, 0.3) if rng.random() < 0.5 else 2.0)
    return np.asarray((position > start) & (position < end))
