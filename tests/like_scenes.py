"""Small drawn pictures of coins and crates, for predictions by example: the label is the shape."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 240
_COLOURS = {"Coin": (205, 165, 50), "Crate": (70, 110, 190)}


def scene(seed: int, coins: int = 3, crates: int = 2) -> tuple[np.ndarray, list[tuple[str, list[int]]]]:
    """Return an RGB picture uint8 [HEIGHT, WIDTH, 3] and what stands in it: label and xyxy box in pixels."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(110, 12, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8)
    places = [(x, y) for x in range(40, WIDTH - 30, 64) for y in range(40, HEIGHT - 30, 64)]
    chosen = rng.permutation(len(places))[: coins + crates]
    found = []
    for k, place in enumerate(chosen):
        x, y = (int(v) + int(rng.integers(-6, 7)) for v in places[place])
        label = "Coin" if k < coins else "Crate"
        half = int(rng.integers(17, 23))
        if label == "Coin":
            cv2.circle(picture, (x, y), half, _COLOURS[label], -1)
            cv2.circle(picture, (x, y), half // 2, (120, 90, 20), 3)
        else:
            cv2.rectangle(picture, (x - half, y - half), (x + half, y + half), _COLOURS[label], -1)
            cv2.line(picture, (x - half, y - half), (x + half, y + half), (20, 40, 90), 4)
        found.append((label, [x - half, y - half, x + half + 1, y + half + 1]))
    return picture, found
