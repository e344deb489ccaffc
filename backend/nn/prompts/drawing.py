"""The prompts of one object as the network sees them: bounded, and drawn into a window.

Frames: `orig` is the decoded image, `net` a window of it at side S.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.core.geometry.instances import Detections, FloatArray, MaskPatch
from backend.core.geometry.masks import patch_box
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import (
    ByteArray,
    Window,
    box_around,
    draw_clicks,
    draw_outline,
    move_field,
    stack_prompts,
)
from backend.nn.prompts.belief import Belief
from backend.nn.prompts.hints import detector_view

STROKE_SIDE_MAX = 1600


def marked_box(prompts: Prompts) -> FloatArray:
    """Return the box [4], xyxy px, around everything that was pointed at, in the frame of the prompts."""
    marks = [prompts.clicks_xy_px]
    if prompts.outline_px is not None:
        marks.append(prompts.outline_px)
    if prompts.painted is not None:
        marks.append(patch_box(prompts.painted))
    return box_around(*marks)


@dataclass(frozen=True)
class DetectorView:
    """What a detector found (orig frame), and the label of what is pointed at; None: of any label."""

    detections: Detections
    label_index: int | None = None


def draw_prompts(
    prompts: Prompts,
    window: Window,
    start: Belief | None,
    seen: DetectorView | None,
    side: int,
) -> ByteArray:
    """Return the prompts (orig frame) drawn for the network in a window, uint8 [5, S, S]; S is `side`."""
    positive = draw_clicks(window.to_net(prompts.positive_px, side), side)
    negative = draw_clicks(window.to_net(prompts.negative_px, side), side)
    for patch, channel in ((prompts.painted, positive), (prompts.erased, negative)):
        if patch is not None:
            channel[move_field(*_stroke_field(patch), window, side) > 0.5] = 255
    shape = None
    if prompts.outline_px is not None:
        shape = draw_outline(window.to_net(prompts.outline_px, side), side)
    so_far = None
    if start is not None:
        so_far = move_field(start.field.astype(np.float32), start.window, window, side)
    view = None
    if seen is not None:
        view = detector_view(seen.detections, window, side, label_index=seen.label_index)
    return stack_prompts(positive=positive, negative=negative, shape=shape, so_far=so_far, detector=view)


def _stroke_field(patch: MaskPatch) -> tuple[FloatArray, Window]:
    """Return strokes as a field of at most STROKE_SIDE_MAX cells a side, and the window that it fills.

    The thinnest stroke survives the shrinking.
    """
    height, width = patch.bits.shape
    window = Window(patch.left_px, patch.top_px, max(height, width))
    square = np.zeros((window.side_px, window.side_px), dtype=np.uint8)
    square[:height, :width] = patch.bits
    if window.side_px <= STROKE_SIDE_MAX:
        return square.astype(np.float32), window
    shares = cv2.resize(square * 255, (STROKE_SIDE_MAX, STROKE_SIDE_MAX), interpolation=cv2.INTER_AREA)
    return (np.asarray(shares) > 64).astype(np.float32), window
