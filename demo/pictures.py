"""Pictures of coins, leaves and stars on cluttered ground, with exact masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.regions.brush_rle import encode_brush_rle

Mask = npt.NDArray[np.bool_]

LABELS = ("Coin", "Leaf", "Star")
SIZE_WH = (480, 360)
# Base colours (RGB) that differ less than the shapes do: colour alone does not tell the three apart.
_COLOURS = {"Coin": (196, 160, 70), "Leaf": (90, 150, 70), "Star": (190, 80, 70)}
_LEAST_VISIBLE = 0.6


@dataclass(frozen=True)
class Thing:
    """One object: its label and the mask [H, W] of what can be seen of it."""

    label: str
    mask: Mask


@dataclass(frozen=True)
class Picture:
    """An RGB image [H, W, 3] and the objects on it."""

    rgb: npt.NDArray[np.uint8]
    things: tuple[Thing, ...]

    def as_jpeg(self) -> bytes:
        """Return the picture as a JPEG file."""
        ok, encoded = cv2.imencode(".jpg", self.rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert ok
        return encoded.tobytes()


def draw_picture(rng: np.random.Generator, size_wh: tuple[int, int] = SIZE_WH) -> Picture:
    """Draw 2 to 6 objects, later ones in front of earlier ones; hardly visible ones are left out."""
    width, height = size_wh
    canvas = _ground(rng, size_wh)
    outlines: list[tuple[str, Mask]] = []
    for _ in range(int(rng.integers(2, 7))):
        label = LABELS[int(rng.integers(len(LABELS)))]
        mask = _outline(rng, label, size_wh)
        hidden = [kept & ~mask for _, kept in outlines]
        if any(
            after.sum() < _LEAST_VISIBLE * before.sum()
            for after, (_, before) in zip(hidden, outlines, strict=True)
        ):
            continue
        outlines = [(name, seen) for (name, _), seen in zip(outlines, hidden, strict=True)] + [(label, mask)]
        shade = rng.normal(0, 12, 3) + _COLOURS[label]
        texture = _texture(rng, size_wh, cell_px=int(rng.integers(4, 14)))[..., None] * 45
        canvas[mask] = (shade + texture)[mask]
    canvas += rng.normal(0, 5, (height, width, 3))
    rgb = cv2.GaussianBlur(np.clip(canvas, 0, 255).astype(np.uint8), (3, 3), 0)
    return Picture(np.asarray(rgb, np.uint8), tuple(Thing(name, mask) for name, mask in outlines))


def draw_pictures(count: int, seed: int, size_wh: tuple[int, int] = SIZE_WH) -> list[Picture]:
    """Draw pictures; the same seed draws the same ones."""
    rng = np.random.default_rng(seed)
    return [draw_picture(rng, size_wh) for _ in range(count)]


def region_of(thing: Thing, shape: str, from_name: str, to_name: str = "image") -> dict[str, Any]:
    """Return the Label Studio region of an object.

    shape: "rectangle", "ellipse", "polygon" or "brush"; an ellipse is the one that fits the mask best.
    """
    height, width = thing.mask.shape
    value = _VALUES[shape](thing.mask)
    value[f"{shape}labels"] = [thing.label]
    return {
        "from_name": from_name,
        "to_name": to_name,
        "type": f"{shape}labels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
    }


def iou(left: Mask, right: Mask) -> float:
    """Return the intersection over union of two masks; two empty ones have 0."""
    union = int((left | right).sum())
    return int((left & right).sum()) / union if union else 0.0


def _texture(rng: np.random.Generator, size_wh: tuple[int, int], cell_px: int) -> npt.NDArray[np.float32]:
    """Return smooth noise [H, W] around 0, its grain `cell_px` wide."""
    width, height = size_wh
    coarse = rng.normal(0, 1, (height // cell_px + 2, width // cell_px + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.float32)


def _ground(rng: np.random.Generator, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    base = rng.uniform(95, 175, 3).astype(np.float32)
    grain = _texture(rng, size_wh, 6) * 14 + _texture(rng, size_wh, 60) * 20
    return np.asarray(base + grain[..., None], np.float32)


def _outline(rng: np.random.Generator, label: str, size_wh: tuple[int, int]) -> Mask:
    """Return the whole mask [H, W] of one object at a random place, turn and size."""
    width, height = size_wh
    radius = rng.uniform(0.09, 0.2) * min(size_wh)
    centre = rng.uniform((radius, radius), (width - radius, height - radius))
    turn = rng.uniform(0, 2 * np.pi)
    if label == "Star":
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        local = np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, None]
    else:
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        across = 0.5 * np.abs(np.sin(angle)) ** 0.5 if label == "Leaf" else 0.8
        along = 1.0 if label == "Leaf" else 0.8
        local = np.stack([along * np.cos(angle), across * np.sin(angle)], 1)
    turned = local @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = centre + radius * turned
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask.astype(bool)


def _rectangle(mask: Mask) -> dict[str, Any]:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return {
        "x": 100 * columns[0] / width,
        "y": 100 * rows[0] / height,
        "width": 100 * (columns[-1] + 1 - columns[0]) / width,
        "height": 100 * (rows[-1] + 1 - rows[0]) / height,
        "rotation": 0,
    }


def _ellipse(mask: Mask) -> dict[str, Any]:
    height, width = mask.shape
    (x, y), (across, along), degrees = cv2.fitEllipse(_largest_contour(mask))
    return {
        "x": 100 * x / width,
        "y": 100 * y / height,
        "radiusX": 100 * across / 2 / width,
        "radiusY": 100 * along / 2 / height,
        "rotation": degrees,
    }


def _polygon(mask: Mask) -> dict[str, Any]:
    height, width = mask.shape
    outline = cv2.approxPolyDP(_largest_contour(mask), 1.0, True)[:, 0]
    return {"points": [[100 * x / width, 100 * y / height] for x, y in outline.tolist()], "closed": True}


def _brush(mask: Mask) -> dict[str, Any]:
    return {"format": "rle", "rle": encode_brush_rle(mask)}


def _largest_contour(mask: Mask) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(max(contours, key=cv2.contourArea), np.int32)


_VALUES = {"rectangle": _rectangle, "ellipse": _ellipse, "polygon": _polygon, "brush": _brush}
