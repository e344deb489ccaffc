"""Drawing one object onto a picture: shadow, parts, folds, shading, and how far it blends in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.instances import FloatArray
from backend.scenes import outlines
from backend.scenes.objects import ObjectPlan
from backend.scenes.textures import fractal_noise, random_texture

Rng = np.random.Generator
Points = npt.NDArray[np.float64]

UNLABELLED = -1
"""Owner of what is drawn as clutter; such pixels end as background."""
SMALLEST_FOLDED_PX = 16


@dataclass
class Canvas:
    """A picture in the making: colours float32 [h, w, 3] in 0..1, owner int16 [h, w] per pixel."""

    colours: FloatArray
    owner: npt.NDArray[np.int16]

    @classmethod
    def on(cls, ground: FloatArray) -> Canvas:
        """Return a canvas whose ground nobody owns."""
        return cls(ground.astype(np.float32), np.zeros(ground.shape[:2], dtype=np.int16))

    def window(self, points: Points, margin_px: float) -> tuple[slice, slice] | None:
        """Return rows and columns around points [N, 2] (x, y), None where they lie outside."""
        height, width = self.owner.shape
        low, high = points.min(axis=0) - margin_px, points.max(axis=0) + margin_px
        left, top = (int(v) for v in np.clip(np.floor(low), 0, [width, height]))
        right, bottom = (int(v) for v in np.clip(np.ceil(high), 0, [width, height]))
        if right - left < 2 or bottom - top < 2:
            return None
        return slice(top, bottom), slice(left, right)


def draw_object(
    rng: Rng,
    canvas: Canvas,
    plan: ObjectPlan,
    centre_px: npt.NDArray[np.floating],
    radius_px: float,
    angle_rad: float,
    number: int,
) -> None:
    """Draw one object: shadow first, then its parts, then folds and shading; its pixels change owner."""
    squeeze = np.array([rng.uniform(0.8, 1.25), 1.0], dtype=np.float32)
    shapes: list[Points] = [
        outlines.turned(part.outline * squeeze, angle_rad) * radius_px + centre_px for part in plan.parts
    ]
    window = canvas.window(np.concatenate(shapes), margin_px=3)
    if window is None:
        return
    if rng.random() < 0.4:
        _cast_shadow(rng, canvas, shapes, radius_px)
    body, alpha = _paint_parts(rng, plan, shapes, window)
    if min(alpha.shape) >= SMALLEST_FOLDED_PX and rng.random() < 0.5:
        height, width = alpha.shape
        folds = fractal_noise(rng, height, width, radius_px * rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.8))
        body *= np.clip(1.0 + rng.choice([0.06, 0.12, 0.25]) * folds, 0.2, 1.8)[..., None]
    if plan.is_round and rng.random() < 0.8:
        body *= _body_shading(rng, alpha, radius_px)[..., None]
    if rng.random() < 0.25:
        share = rng.uniform(0.2, 0.7)
        body += share * (canvas.colours[window].mean(axis=(0, 1)) - body)
    soft_rim = rng.random() < 0.3
    alpha_soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 1.2)) if soft_rim else alpha
    cover = (alpha_soft * plan.opacity)[..., None]
    canvas.colours[window] = np.clip(canvas.colours[window] * (1 - cover) + body * cover, 0.0, 1.0)
    canvas.owner[window][alpha > 0.5] = number


def _paint_parts(
    rng: Rng, plan: ObjectPlan, shapes: list[Points], window: tuple[slice, slice]
) -> tuple[FloatArray, FloatArray]:
    """Return the object's colours [h, w, 3] and its cover [h, w] in 0..1 within a window."""
    rows, columns = window
    size_hw = (rows.stop - rows.start, columns.stop - columns.start)
    body = np.zeros((*size_hw, 3), dtype=np.float32)
    alpha = np.zeros(size_hw, dtype=np.float32)
    for part, shape in zip(plan.parts, shapes, strict=True):
        cover_u8 = np.zeros(size_hw, dtype=np.uint8)
        fixed = np.round((shape - (columns.start, rows.start)) * 16).astype(np.int32)
        cv2.fillPoly(cover_u8, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
        cover = cover_u8.astype(np.float32) * (1 / 255)
        if part.contrast <= 0.05 or min(size_hw) < 12:
            surface: FloatArray = part.colour
        else:
            surface = random_texture(rng, *size_hw, base=part.colour, contrast=part.contrast)
        body = body * (1 - cover[..., None]) + surface * cover[..., None]
        alpha = np.maximum(alpha, cover)
    # The soft rim of the first part is mixed with black otherwise.
    return body / np.maximum(alpha, 1e-3)[..., None], alpha


def _body_shading(rng: Rng, alpha: FloatArray, radius_px: float) -> FloatArray:
    """Return a factor field: brighter where the bulging body faces the light."""
    bulge = cv2.GaussianBlur(alpha, (0, 0), max(1.0, radius_px * rng.uniform(0.08, 0.3)))
    slope_x = cv2.Sobel(bulge, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(bulge, cv2.CV_32F, 0, 1, ksize=3)
    angle = rng.uniform(0, 2 * np.pi)
    toward = slope_x * np.cos(angle) + slope_y * np.sin(angle)
    peak = float(np.abs(toward).max()) + 1e-6
    return np.asarray(1.0 + rng.uniform(0.1, 0.6) * toward / peak, dtype=np.float32)


def _cast_shadow(rng: Rng, canvas: Canvas, shapes: list[Points], radius_px: float) -> None:
    shift = rng.normal(0.0, 0.25, 2) * radius_px
    flatten = np.array([1.0, rng.uniform(0.2, 1.0)])
    foot = np.concatenate(shapes).max(axis=0)
    casts = [(shape - foot) * flatten + foot + shift for shape in shapes]
    softness_px = max(0.8, radius_px * rng.uniform(0.02, 0.15))
    window = canvas.window(np.concatenate(casts), margin_px=3 * softness_px)
    if window is None:
        return
    rows, columns = window
    shadow = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    for cast in casts:
        fixed = np.round((cast - (columns.start, rows.start)) * 16).astype(np.int32)
        cv2.fillPoly(shadow, [fixed], 255, shift=4)
    soft = cv2.GaussianBlur(shadow, (0, 0), softness_px)
    canvas.colours[window] *= (1.0 - rng.uniform(0.15, 0.6) * soft.astype(np.float32) / 255)[..., None]
