"""Surfaces for generated scenes: colours, noise and patterns as float32 [h, w, 3] in 0..1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from backend.core.geometry.instances import FloatArray

Rng = np.random.Generator


def random_colour(rng: Rng) -> FloatArray:
    """Return an RGB colour [3]; greys and dull colours are commoner than vivid ones, as in the world."""
    hue = rng.uniform(0.0, 360.0)
    saturation = rng.beta(1.2, 2.5)
    value = rng.uniform(0.04, 1.0)
    pixel = np.array([[[hue, saturation, value]]], dtype=np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], dtype=np.float32)


def nearby_colour(rng: Rng, colour: FloatArray, spread: float) -> FloatArray:
    """Return a colour [3] that differs from `colour` by about `spread` (0..1) per channel."""
    moved = colour + rng.normal(0.0, spread) + rng.normal(0.0, spread * 0.4, 3)
    return np.clip(moved, 0.0, 1.0).astype(np.float32)


def fractal_noise(rng: Rng, height: int, width: int, coarsest_px: float, roughness: float) -> FloatArray:
    """Return a field [height, width] of mean 0 and deviation 1: octaves of smooth noise.

    coarsest_px: size of the largest lumps; roughness 0..1: how much each finer octave keeps.
    """
    field = np.zeros((height, width), dtype=np.float32)
    lump_px, weight = max(coarsest_px, 2.0), 1.0
    for _ in range(5):
        grid = (max(2, int(height / lump_px) + 2), max(2, int(width / lump_px) + 2))
        lumps = rng.standard_normal(grid, dtype=np.float32)
        field += weight * cv2.resize(lumps, (width, height), interpolation=cv2.INTER_CUBIC)
        lump_px, weight = lump_px / 2.3, weight * roughness
        if lump_px < 1.5 or weight < 0.05:
            break
    field -= field.mean()
    return field / (field.std() + 1e-6)


def _rotated_axes(rng: Rng, height: int, width: int, warp_px: float) -> tuple[FloatArray, FloatArray]:
    """Return two perpendicular, turned and gently warped coordinate fields in pixels."""
    angle = rng.uniform(0.0, np.pi) if rng.random() < 0.6 else rng.choice([0.0, np.pi / 2])
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    along = xs * np.cos(angle) + ys * np.sin(angle)
    across = ys * np.cos(angle) - xs * np.sin(angle)
    if warp_px > 0:
        along = along + warp_px * fractal_noise(rng, height, width, 60.0, 0.4)
    return along.astype(np.float32), across.astype(np.float32)


def _smooth(rng: Rng, height: int, width: int) -> FloatArray:
    return fractal_noise(rng, height, width, rng.uniform(20, 160), rng.uniform(0.1, 0.5)) * 0.25 + 0.5


def _rough(rng: Rng, height: int, width: int) -> FloatArray:
    return fractal_noise(rng, height, width, rng.uniform(4, 60), rng.uniform(0.5, 0.95)) * 0.28 + 0.5


def _stripes(rng: Rng, height: int, width: int) -> FloatArray:
    period_px = rng.uniform(4, 45)
    along, _ = _rotated_axes(rng, height, width, rng.choice([0.0, 3.0, 8.0]))
    wave = np.sin(along * (2 * np.pi / period_px))
    return np.clip(wave * rng.choice([0.5, 3.0]) * 0.5 + 0.5, 0.0, 1.0)


def _checks(rng: Rng, height: int, width: int) -> FloatArray:
    along, across = _rotated_axes(rng, height, width, rng.choice([0.0, 4.0]))
    periods = rng.uniform(6, 40, 2)
    sharp = rng.choice([1.0, 6.0])
    field = np.sin(along * (2 * np.pi / periods[0])) * np.sin(across * (2 * np.pi / periods[1]))
    return np.clip(field * sharp * 0.5 + 0.5, 0.0, 1.0)


def _bricks(rng: Rng, height: int, width: int) -> FloatArray:
    """Cells with joints between them: walls, paving, windows."""
    along, across = _rotated_axes(rng, height, width, 0.0)
    length_px, course_px = rng.uniform(10, 60), rng.uniform(8, 50)
    joint = rng.uniform(0.05, 0.4)
    row = np.floor(across / course_px)
    shifted = along / length_px + row * rng.choice([0.0, 0.5])
    cell_value = np.sin(row * 12.9898 + np.floor(shifted) * 78.233) * 0.15
    inside = ((shifted % 1.0) > joint) & ((across / course_px % 1.0) > joint)
    return np.where(inside, 0.75 + cell_value, 0.15).astype(np.float32)


def _spots(rng: Rng, height: int, width: int) -> FloatArray:
    field = fractal_noise(rng, height, width, rng.uniform(5, 30), 0.2)
    return np.clip((field - rng.uniform(-0.3, 1.0)) * rng.uniform(1.5, 6.0), 0.0, 1.0)


def _patches(rng: Rng, height: int, width: int) -> FloatArray:
    """Flat areas with ragged borders, like camouflage or foliage."""
    field = fractal_noise(rng, height, width, rng.uniform(12, 70), rng.uniform(0.3, 0.8))
    steps = rng.integers(2, 5)
    return np.clip(np.floor((field * 0.3 + 0.5) * steps) / (steps - 1), 0.0, 1.0).astype(np.float32)


def _veins(rng: Rng, height: int, width: int) -> FloatArray:
    field = fractal_noise(rng, height, width, rng.uniform(20, 90), 0.45)
    return np.abs(np.sin(field * rng.uniform(2, 7))).astype(np.float32)


_PATTERNS: tuple[Callable[[Rng, int, int], FloatArray], ...] = (
    _smooth,
    _smooth,
    _rough,
    _rough,
    _stripes,
    _checks,
    _bricks,
    _spots,
    _patches,
    _veins,
)


def random_texture(
    rng: Rng, height: int, width: int, base: FloatArray | None = None, contrast: float | None = None
) -> FloatArray:
    """Return a surface [height, width, 3] in 0..1 around the colour `base` (random where None).

    contrast 0..1: how far the second colour lies from the first; many surfaces are nearly plain.
    """
    first = random_colour(rng) if base is None else base
    contrast = float(rng.choice([0.04, 0.1, 0.25, 0.5])) if contrast is None else contrast
    second = random_colour(rng) if contrast > 0.45 else nearby_colour(rng, first, contrast)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng, height, width)[..., None]
    surface = first * (1.0 - pattern) + second * pattern
    if rng.random() < 0.6:
        grain = fractal_noise(rng, height, width, rng.uniform(2, 12), 0.7)
        surface = surface + (rng.uniform(0.01, 0.07) * grain)[..., None]
    return np.clip(surface, 0.0, 1.0).astype(np.float32)
