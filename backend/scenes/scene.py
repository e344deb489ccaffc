"""Whole generated pictures: background, objects with shade and shadow, light, lens and camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray
from backend.scenes import outlines
from backend.scenes.objects import ObjectPlan, Part, object_of_kind, random_object
from backend.scenes.textures import fractal_noise, nearby_colour, random_colour, random_texture

Rng = np.random.Generator
UNLABELLED = -1


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


@dataclass
class _Canvas:
    colours: FloatArray
    owner: npt.NDArray[np.int16]


def make_scene(seed: int, index: int) -> Scene:
    """Return scene `index` of the endless series that `seed` names; the same pair gives the same scene."""
    rng = np.random.default_rng([seed, index])
    height, width = (int(side) for side in rng.integers(208, 353, 2))
    canvas = _Canvas(_background(rng, height, width), np.zeros((height, width), dtype=np.int16))
    kinds = _place_objects(rng, canvas)
    image = _photograph(rng, canvas.colours)
    return Scene(image=image, owner=canvas.owner, kinds=tuple(kinds))


def _background(rng: Rng, height: int, width: int) -> FloatArray:
    """Return a ground of one to four areas with their own surfaces, with unlabelled clutter on it."""
    ground = random_texture(rng, height, width)
    if rng.random() < 0.2:
        return ground
    for _ in range(int(rng.integers(0, 4))):
        area = _area_mask(rng, height, width)
        ground = np.where(area[..., None], random_texture(rng, height, width), ground)
    canvas = _Canvas(ground.astype(np.float32), np.zeros((height, width), dtype=np.int16))
    for _ in range(int(rng.choice([0, 3, 8, 16]))):
        _, plan = random_object(rng)
        size_px = rng.uniform(0.02, 0.12) * max(height, width)
        _draw(
            rng, canvas, plan, rng.uniform([0, 0], [width, height]), size_px, rng.uniform(0, 6.3), UNLABELLED
        )
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


def _place_objects(rng: Rng, canvas: _Canvas) -> list[str]:
    """Draw groups of alike objects, single ones, and now and then an unlabelled thing in front."""
    height, width = canvas.owner.shape
    kinds: list[str] = []
    for _ in range(int(rng.integers(1, 4))):
        kind, plan = random_object(rng)
        group = int(rng.choice([1, 2, 3, 6], p=[0.45, 0.25, 0.2, 0.1]))
        size_px = float(np.exp(rng.uniform(np.log(14.0), np.log(0.55 * min(height, width)))))
        centre = rng.uniform([0.05 * width, 0.05 * height], [0.95 * width, 0.95 * height])
        for member in range(group):
            if member and not (kind == "plain" and rng.random() < 0.6):
                plan = object_of_kind(rng, kind)
            angle = rng.normal(0.0, 0.06) if kind in ("figure", "machine") else rng.uniform(0, 6.3)
            kinds.append(kind)
            member_px = size_px * rng.uniform(0.8, 1.2)
            _draw(rng, canvas, plan, centre, member_px, angle, len(kinds))
            step = rng.normal(0.0, 1.0, 2) * size_px * (0.8 if kind != "figure" else 0.5)
            centre = np.clip(centre + step + np.sign(step) * size_px * 0.5, 0, [width, height])
    if rng.random() < 0.35:
        _, plan = random_object(rng)
        thin = rng.random() < 0.5
        if thin:
            plan = ObjectPlan((_pole(rng),), is_round=False)
        at = rng.uniform([0, 0], [width, height])
        size_px = max(height, width) if thin else rng.uniform(0.05, 0.2) * max(height, width)
        _draw(rng, canvas, plan, at, size_px, rng.uniform(0, 6.3), UNLABELLED)
    canvas.owner[canvas.owner == UNLABELLED] = 0
    return kinds


def _pole(rng: Rng) -> Part:
    outline = outlines.super_ellipse(rng.uniform(0.01, 0.03), 1.5, 0.1)
    return Part(outline, random_colour(rng), 0.05)


def _draw(
    rng: Rng,
    canvas: _Canvas,
    plan: ObjectPlan,
    centre_px: npt.NDArray[np.float64],
    radius_px: float,
    angle_rad: float,
    number: int,
) -> None:
    """Draw one object: shadow first, then its parts, then its shading; its pixels change owner."""
    height, width = canvas.owner.shape
    squeeze = np.array([rng.uniform(0.8, 1.25), 1.0], dtype=np.float32)
    shapes = [
        outlines.turned(part.outline * squeeze, angle_rad) * radius_px + centre_px for part in plan.parts
    ]
    points = np.concatenate(shapes)
    margin = 3
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int) - margin, 0, [width, height])
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + margin, 0, [width, height])
    if right - left < 2 or bottom - top < 2:
        return
    if rng.random() < 0.4:
        _cast_shadow(rng, canvas, shapes, radius_px)
    window = (slice(top, bottom), slice(left, right))
    body, alpha = _paint_parts(
        rng, plan, shapes, (int(left), int(top)), (int(bottom - top), int(right - left))
    )
    if plan.is_round and rng.random() < 0.8:
        body *= _body_shading(rng, alpha, radius_px)[..., None]
    soft_rim = rng.random() < 0.3
    alpha_soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 1.2)) if soft_rim else alpha
    cover = (alpha_soft * plan.opacity)[..., None]
    canvas.colours[window] = np.clip(canvas.colours[window] * (1 - cover) + body * cover, 0.0, 1.0)
    canvas.owner[window][alpha > 0.5] = number


def _paint_parts(
    rng: Rng,
    plan: ObjectPlan,
    shapes: list[npt.NDArray[np.float64]],
    origin_xy: tuple[int, int],
    size_hw: tuple[int, int],
) -> tuple[FloatArray, FloatArray]:
    """Return the object's colours [h, w, 3] and its cover [h, w] in 0..1 within a window."""
    body = np.zeros((*size_hw, 3), dtype=np.float32)
    alpha = np.zeros(size_hw, dtype=np.float32)
    for part, shape in zip(plan.parts, shapes, strict=True):
        cover_u8 = np.zeros(size_hw, dtype=np.uint8)
        fixed = np.round((shape - np.asarray(origin_xy)) * 16).astype(np.int32)
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


def _cast_shadow(rng: Rng, canvas: _Canvas, shapes: list[npt.NDArray[np.float64]], radius_px: float) -> None:
    shadow = np.zeros(canvas.owner.shape, dtype=np.uint8)
    shift = rng.normal(0.0, 0.25, 2) * radius_px
    flatten = np.array([1.0, rng.uniform(0.2, 1.0)])
    foot = np.concatenate(shapes).max(axis=0)
    for shape in shapes:
        cast = (shape - foot) * flatten + foot + shift
        cv2.fillPoly(shadow, [np.round(cast * 16).astype(np.int32)], 255, shift=4)
    soft = cv2.GaussianBlur(shadow, (0, 0), max(0.8, radius_px * rng.uniform(0.02, 0.15)))
    canvas.colours *= (1.0 - rng.uniform(0.15, 0.6) * soft.astype(np.float32) / 255)[..., None]


def _photograph(rng: Rng, colours: FloatArray) -> npt.NDArray[np.uint8]:
    """Return what a camera makes of the scene, uint8: light, tint, blur, noise, compression."""
    height, width = colours.shape[:2]
    picture = colours
    if rng.random() < 0.5:
        ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        slope = rng.normal(0.0, 0.25, 2)
        picture = picture * np.clip(1.0 + slope[0] * xs + slope[1] * ys, 0.3, 1.7)[..., None]
    if rng.random() < 0.25:
        clouds = fractal_noise(rng, height, width, rng.uniform(40, 150), 0.4)
        picture = picture * np.clip(1.0 + 0.2 * clouds, 0.3, 1.7)[..., None]
    if rng.random() < 0.15:
        grey = picture.mean(axis=2, keepdims=True)
        picture = grey * nearby_colour(rng, np.ones(3, dtype=np.float32), 0.1)
    elif rng.random() < 0.3:
        picture = picture * nearby_colour(rng, np.full(3, 0.9, dtype=np.float32), 0.08)
    low, high = (
        rng.uniform(0.0, 0.25) * (rng.random() < 0.4),
        1.0 - rng.uniform(0.0, 0.3) * (rng.random() < 0.4),
    )
    picture = low + (high - low) * np.clip(picture, 0.0, 1.0) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.7:
        grain = rng.standard_normal((height, width, 3), dtype=np.float32)
        picture = picture + rng.uniform(0.003, 0.05) * grain
    image = np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(25, 96))
        _, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return image
