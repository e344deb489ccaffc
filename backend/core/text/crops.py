"""Cutting text out of an image: upright, and small enough to be read in bounded time."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray

RgbImage = npt.NDArray[np.uint8]

MOST_HEIGHT_PX = 96
"""Readers look at lines of 48 pixels; twice that loses nothing."""
MOST_TIMES_AS_LONG = 40
"""A cut-out is at most so many times as long as high, else it is squeezed."""
UPRIGHT_TEXT_RATIO = 1.5
"""What is so many times as high as wide is text that runs down, and is turned to run to the right."""


def cut_out(image: RgbImage, corners_px: FloatArray) -> RgbImage:
    """Return a quadrilateral [4, 2] of an image uint8 [H, W, 3] as an upright picture of at least one pixel.

    corners_px: clockwise from the text's top left corner; outside the image its border is repeated.
    """
    corners = corners_px.astype(np.float32)
    width = max(
        1.0, float(max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3])))
    )
    height = max(
        1.0, float(max(np.linalg.norm(corners[3] - corners[0]), np.linalg.norm(corners[2] - corners[1])))
    )
    if height >= UPRIGHT_TEXT_RATIO * width:
        corners, width, height = np.roll(corners, -1, axis=0), height, width
    scale = min(1.0, MOST_HEIGHT_PX / height)
    out_height = max(1, round(height * scale))
    out_width = max(1, round(min(width * scale, MOST_TIMES_AS_LONG * out_height)))
    target = np.array([[0, 0], [out_width, 0], [out_width, out_height], [0, out_height]], np.float32)
    # OpenCV counts from the centres of pixels, we from their edges.
    matrix = cv2.getPerspectiveTransform(corners - 0.5, target - 0.5)
    return np.asarray(
        cv2.warpPerspective(
            image, matrix, (out_width, out_height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ),
        dtype=np.uint8,
    )
