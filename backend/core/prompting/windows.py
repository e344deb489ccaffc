"""Square windows of an image, and prompts drawn into them, as the prompt network sees them.

Frames: `orig` is the decoded image; `net` is the window resized to side S. A window may stick out of
the image; what lies outside is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.pyramid import Pyramid

ByteArray = npt.NDArray[np.uint8]
OUTSIDE_RGB = (124, 116, 104)
CLICK_RADIUS_NET_PX = 3
_SMALLEST_SIDE_PX = 24


@dataclass(frozen=True)
class Window:
    """A square of the orig frame: left top corner (may be negative) and side, in whole pixels."""

    left_px: int
    top_px: int
    side_px: int

    def __post_init__(self) -> None:
        if self.side_px < 1:
            raise ValueError(f"a window's side is at least 1 px, got {self.side_px}")

    def to_net(self, points_xy_px: npt.ArrayLike, net_side: int) -> FloatArray:
        """Return orig points [N, 2] (x, y) in the net frame."""
        points = np.asarray(points_xy_px, dtype=np.float32).reshape(-1, 2)
        return (points - np.array([self.left_px, self.top_px], dtype=np.float32)) * (net_side / self.side_px)


def window_around(box_xyxy_px: npt.ArrayLike, zoom_out: float) -> Window:
    """Return the window centred on a box whose side is `zoom_out` times the box's longer side."""
    left, top, right, bottom = (float(v) for v in np.asarray(box_xyxy_px, dtype=np.float64))
    side = max(round(zoom_out * max(right - left, bottom - top)), _SMALLEST_SIDE_PX)
    return Window(round((left + right - side) / 2), round((top + bottom - side) / 2), side)


def whole_image_window(size: ImageSize) -> Window:
    """Return the smallest window that holds the whole image, centred."""
    side = max(size.width, size.height)
    return Window(-((side - size.width) // 2), -((side - size.height) // 2), side)


def cut_window(image: ByteArray | Pyramid, window: Window, net_side: int) -> ByteArray:
    """Return the window of an RGB image uint8 [H, W, 3], resized to uint8 [net_side, net_side, 3]."""
    picture = image if isinstance(image, Pyramid) else Pyramid.of(image)
    left, top = max(window.left_px, 0), max(window.top_px, 0)
    right = min(window.left_px + window.side_px, picture.size.width)
    bottom = min(window.top_px + window.side_px, picture.size.height)
    scale = net_side / window.side_px
    out = np.empty((net_side, net_side, 3), dtype=np.uint8)
    out[:] = OUTSIDE_RGB
    if right <= left or bottom <= top:
        return out
    # Rounded to whole net pixels: a half-covered border pixel is not worth a second interpolation.
    net_left, net_right = round((left - window.left_px) * scale), round((right - window.left_px) * scale)
    net_top, net_bottom = round((top - window.top_px) * scale), round((bottom - window.top_px) * scale)
    if net_right <= net_left or net_bottom <= net_top:
        return out
    size = ImageSize(net_right - net_left, net_bottom - net_top)
    out[net_top:net_bottom, net_left:net_right] = picture.part(left, top, right, bottom, size)
    return out


def move_field(field: FloatArray, source: Window, target: Window, net_side: int) -> FloatArray:
    """Return a net-frame field [S, S] of one window as seen from another; 0 outside the source.

    Shrinking by more than two is averaged first, so that thin parts survive.
    """
    ratio = target.side_px / net_side * field.shape[0] / source.side_px
    if ratio > 2.0:
        small_side = max(1, round(field.shape[0] / ratio))
        small = cv2.resize(field, (small_side, small_side), interpolation=cv2.INTER_AREA)
        field = np.asarray(small, dtype=np.float32)
        ratio = target.side_px / net_side * small_side / source.side_px
    grid_per_px = field.shape[0] / source.side_px
    shift_x = (target.left_px - source.left_px) * grid_per_px + 0.5 * ratio - 0.5
    shift_y = (target.top_px - source.top_px) * grid_per_px + 0.5 * ratio - 0.5
    matrix = np.array([[ratio, 0.0, shift_x], [0.0, ratio, shift_y]], dtype=np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(field, matrix, (net_side, net_side), flags=flags), dtype=np.float32)


def draw_clicks(points_net: FloatArray, net_side: int) -> ByteArray:
    """Return discs at the points [N, 2], uint8 0 or 255 [S, S]; points outside leave nothing."""
    drawn = np.zeros((net_side, net_side), dtype=np.uint8)
    for x, y in points_net:
        cv2.circle(drawn, (int(np.floor(x)), int(np.floor(y))), CLICK_RADIUS_NET_PX, 255, thickness=-1)
    return drawn


def draw_outline(points_net: FloatArray, net_side: int) -> ByteArray:
    """Return the inside of a closed outline [N, 2], uint8 0 or 255 [S, S]."""
    drawn = np.zeros((net_side, net_side), dtype=np.uint8)
    fixed = np.round(np.clip(points_net, -(10**4), 10**4) * 16).astype(np.int32)
    cv2.fillPoly(drawn, [fixed], 255, shift=4)
    return drawn


def stack_prompts(
    *,
    positive: ByteArray,
    negative: ByteArray,
    shape: ByteArray | None,
    so_far: FloatArray | None,
    detector: FloatArray | None,
) -> ByteArray:
    """Return uint8 [5, S, S]: positive, negative, rough shape, mask so far, the detector's view.

    so_far and detector are probabilities 0..1 [S, S]; what is None stays 0.
    """
    out = np.zeros((5, *positive.shape), dtype=np.uint8)
    out[0], out[1] = positive, negative
    if shape is not None:
        out[2] = shape
    for channel, field in ((3, so_far), (4, detector)):
        if field is not None:
            out[channel] = np.clip(field * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return out


def box_around(*boxes_or_points: Sequence[float] | npt.NDArray[np.floating]) -> FloatArray:
    """Return the box [4] xyxy around boxes [4] and points [N, 2] together; at least one must be given."""
    corners = [np.asarray(item, dtype=np.float32).reshape(-1, 2) for item in boxes_or_points]
    stacked = np.concatenate([c for c in corners if len(c)])
    return np.concatenate([stacked.min(axis=0), stacked.max(axis=0)])


def likely_box(
    field: npt.NDArray[np.floating], window: Window, likely_from: float = 0.5
) -> FloatArray | None:
    """Return the box [4] xyxy around what a field [S, S] holds likely, in the frame that the window lies in.

    likely_from: the probability above which a cell is likely. None where the field holds nothing.
    """
    likely = field > likely_from
    if not likely.any():
        return None
    rows, columns = np.flatnonzero(likely.any(axis=1)), np.flatnonzero(likely.any(axis=0))
    per_cell = window.side_px / field.shape[0]
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32) * per_cell
    return box + np.array([window.left_px, window.top_px] * 2, dtype=np.float32)
