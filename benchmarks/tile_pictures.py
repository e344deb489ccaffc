"""Drawn pictures of many small things: bars, discs and rings of three labels, in crowds, with exact masks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.masks import patch_box, tight_patch
from backend.training.inputs import TrainingSample

LABELS = ("bar", "disc", "ring")
LENGTHS_PX = (12.0, 40.0)
CROWDS_OF, CROWD_LENGTHS = 12, 2.3
TRIES = 40


def draw_samples(
    count: int, side_px: int, things: int, *, seed: int, lengths_px: tuple[float, float] = LENGTHS_PX
) -> list[TrainingSample]:
    """Return samples of drawn pictures; each picture is drawn anew when it is loaded."""
    samples = []
    for number in range(count):
        draw = partial(draw_picture, side_px, things, seed=seed + number, lengths_px=lengths_px)
        samples.append(TrainingSample(number, partial(_image, draw), draw()[1]))
    return samples


def draw_picture(
    side_px: int, things: int, *, seed: int, lengths_px: tuple[float, float] = LENGTHS_PX
) -> tuple[np.ndarray, TrainingTarget]:
    """Return an image, uint8 [side, side, 3], with this number of things, and what it teaches.

    Half of the things lie in crowds, touching each other; none hides another. lengths_px: of the shortest and
    of the longest.
    """
    rng = np.random.default_rng(seed)
    image = _ground(side_px, rng)
    taken = np.zeros((side_px, side_px), dtype=np.bool_)
    masks, labels = [], []
    centre = rng.uniform(0, side_px, 2)
    for number in range(things):
        if number % CROWDS_OF == 0:
            centre = rng.uniform(0, side_px, 2)
        for _ in range(TRIES):
            place = (
                rng.normal(centre, CROWD_LENGTHS * sum(lengths_px) / 2)
                if number % 2
                else rng.uniform(0, side_px, 2)
            )
            label = int(rng.integers(len(LABELS)))
            patch = _thing(label, rng.uniform(*lengths_px), place, side_px, rng)
            if patch is not None and not (_window(taken, patch) & patch.bits).any():
                _window(taken, patch)[patch.bits] = True
                _paint(image, patch, rng)
                masks.append(patch)
                labels.append(label)
                break
    target = TrainingTarget(
        ImageSize(side_px, side_px),
        np.array([patch_box(mask) for mask in masks], dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        tuple(masks),
    )
    return image, target


def _image(draw: Callable[[], tuple[np.ndarray, TrainingTarget]]) -> np.ndarray:
    return draw()[0]


def _ground(side_px: int, rng: np.random.Generator) -> np.ndarray:
    coarse = rng.uniform(60, 150, (max(2, side_px // 60), max(2, side_px // 60), 3)).astype(np.float32)
    ground = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(-12, 13, (side_px, side_px, 1), dtype=np.int16)
    return np.clip(ground.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def _thing(
    label: int, length_px: float, place: np.ndarray, side_px: int, rng: np.random.Generator
) -> MaskPatch | None:
    half = int(np.ceil(length_px / 2)) + 2
    left, top = (round(float(value)) - half for value in place)
    if left < 0 or top < 0 or left + 2 * half >= side_px or top + 2 * half >= side_px:
        return None
    canvas, middle = np.zeros((2 * half, 2 * half), np.uint8), (float(half), float(half))
    if LABELS[label] == "bar":
        corners = cv2.boxPoints((middle, (length_px, max(2.0, length_px / 3)), rng.uniform(0, 180)))
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    else:
        radius = max(2, round(length_px / 2))
        cv2.circle(canvas, (half, half), radius, 1, -1)
        if LABELS[label] == "ring":
            cv2.circle(canvas, (half, half), radius // 2, 0, -1)
    return tight_patch(canvas.astype(np.bool_), left, top)


def _window(full: np.ndarray, patch: MaskPatch) -> np.ndarray:
    height, width = patch.bits.shape
    return full[patch.top_px : patch.top_px + height, patch.left_px : patch.left_px + width]


def _paint(image: np.ndarray, patch: MaskPatch, rng: np.random.Generator) -> None:
    is_bright = rng.random() < 0.5
    colour = rng.uniform(170, 240, 3) if is_bright else rng.uniform(5, 50, 3)
    noise = rng.normal(0, 8, (*patch.bits.shape, 3))
    _window(image, patch)[patch.bits] = np.clip(colour + noise, 0, 255)[patch.bits].astype(np.uint8)
