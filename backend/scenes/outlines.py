"""Closed outlines for generated objects, as float32 [N, 2] points (x, y) in a unit frame around 0."""

from __future__ import annotations

import numpy as np

from backend.core.geometry.instances import FloatArray

Rng = np.random.Generator


def _circle_angles(count: int) -> FloatArray:
    return np.linspace(0.0, 2 * np.pi, count, endpoint=False).astype(np.float32)


def ellipse(half_width: float, half_height: float) -> FloatArray:
    """Return an ellipse around 0."""
    angles = _circle_angles(40)
    return np.stack([half_width * np.cos(angles), half_height * np.sin(angles)], axis=1)


def super_ellipse(half_width: float, half_height: float, power: float) -> FloatArray:
    """Return a rounded box: power 1 gives an ellipse, towards 0 a rectangle."""
    angles = _circle_angles(48)
    cos, sin = np.cos(angles), np.sin(angles)
    xs = half_width * np.sign(cos) * np.abs(cos) ** power
    ys = half_height * np.sign(sin) * np.abs(sin) ** power
    return np.stack([xs, ys], axis=1).astype(np.float32)


def blob(rng: Rng, unrest: float) -> FloatArray:
    """Return a lump of radius about 1; unrest 0 (circle) .. 0.5 (ragged)."""
    angles = _circle_angles(72)
    radius = np.ones_like(angles)
    for frequency in range(2, 9):
        amplitude = rng.normal(0.0, unrest / frequency**0.9)
        radius += amplitude * np.cos(frequency * angles + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, 2.0)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1).astype(np.float32)


def corners(rng: Rng, count: int) -> FloatArray:
    """Return a polygon of `count` corners at uneven angles and radii."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = rng.uniform(0.45, 1.0, count)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)


def star(rng: Rng) -> FloatArray:
    """Return a star, gear or flower: regular points between two radii."""
    points = int(rng.integers(4, 12))
    inner = rng.uniform(0.35, 0.8)
    angles = _circle_angles(points * 2)
    radii = np.where(np.arange(points * 2) % 2 == 0, 1.0, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)


def turned_profile(rng: Rng) -> FloatArray:
    """Return an upright outline that is the same left and right: bottle, pear, vase, leaf."""
    heights = np.linspace(-1.0, 1.0, 24)
    knots = rng.uniform(0.12, 0.6, int(rng.integers(3, 7)))
    widths = np.interp(np.linspace(0, 1, 24), np.linspace(0, 1, len(knots)), knots)
    widths = np.convolve(np.pad(widths, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    if rng.random() < 0.5:
        widths = widths * np.sqrt(np.clip(1.0 - np.abs(heights) ** 3, 0.01, 1.0))
    right = np.stack([widths, heights], axis=1)
    left = np.stack([-widths, heights], axis=1)[::-1]
    return np.concatenate([right, left]).astype(np.float32)


def tube(spine: FloatArray, widths: FloatArray) -> FloatArray:
    """Return the outline of a band along `spine` [N, 2] with half widths [N] and rounded ends."""
    direction = np.gradient(spine, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-6
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    left, right = spine + normal * widths[:, None], spine - normal * widths[:, None]
    start, end = spine[0] - direction[0] * widths[0], spine[-1] + direction[-1] * widths[-1]
    return np.concatenate([left, end[None], right[::-1], start[None]]).astype(np.float32)


def limb(
    start: FloatArray, bend: FloatArray, end: FloatArray, width_start: float, width_end: float
) -> FloatArray:
    """Return a tapering limb from start over bend to end (points [2])."""
    t = np.linspace(0.0, 1.0, 10)[:, None]
    spine = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    widths = width_start + (width_end - width_start) * t[:, 0]
    return tube(spine.astype(np.float32), widths.astype(np.float32))


def worm(rng: Rng) -> FloatArray:
    """Return a long bent band: cable, stem, snake, rod."""
    t = np.linspace(0.0, 1.0, 24)
    bend = rng.normal(0.0, 0.45, 2)
    xs = 2 * t - 1
    ys = bend[0] * np.sin(np.pi * t) + bend[1] * 0.6 * np.sin(2 * np.pi * t)
    width = rng.uniform(0.03, 0.25)
    widths = width * (1.0 + rng.uniform(-0.5, 0.5) * np.cos(2 * np.pi * t + rng.uniform(0, 6)))
    return tube(np.stack([xs, ys], axis=1).astype(np.float32), widths.astype(np.float32))


def random_outline(rng: Rng) -> FloatArray:
    """Return one outline of any kind."""
    kind = rng.integers(8)
    if kind == 0:
        return ellipse(1.0, rng.uniform(0.4, 1.0))
    if kind == 1:
        return super_ellipse(1.0, rng.uniform(0.25, 1.0), rng.uniform(0.05, 0.6))
    if kind in (2, 3):
        return blob(rng, rng.uniform(0.05, 0.45))
    if kind == 4:
        return corners(rng, int(rng.integers(3, 9)))
    if kind == 5:
        return star(rng)
    if kind == 6:
        return turned_profile(rng)
    return worm(rng)


def turned(points: FloatArray, angle_rad: float) -> FloatArray:
    """Return the points turned about 0."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return points @ np.array([[cos, sin], [-sin, cos]], dtype=np.float32)
