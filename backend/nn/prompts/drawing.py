"""The prompts of one object in the frames of an encoding: scaled, bounded, and drawn for the network.

Frames: `orig` is the decoded image, `work` the encoding's image, `net` a window of it at side S.
"""

from __future__ import annotations

import cv2
import numpy as np

from backend.core.geometry.instances import FloatArray, MaskPatch
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
from backend.nn.prompts.encoding import Encoding
from backend.nn.prompts.hints import detector_view


def scaled_prompts(prompts: Prompts, scale: float) -> Prompts:
    """Return prompts in a frame `scale` times as large."""
    if scale == 1.0:
        return prompts
    outline = None if prompts.outline_px is None else (prompts.outline_px * scale).astype(np.float32)
    return Prompts(
        (prompts.clicks_xy_px * scale).astype(np.float32),
        prompts.is_positive,
        outline,
        _scaled_patch(prompts.painted, scale),
        _scaled_patch(prompts.erased, scale),
    )


def _scaled_patch(patch: MaskPatch | None, scale: float) -> MaskPatch | None:
    if patch is None:
        return None
    height, width = patch.bits.shape
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    bits = cv2.resize(patch.bits.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA) > 0.25
    return MaskPatch(round(patch.left_px * scale), round(patch.top_px * scale), np.asarray(bits))


def window_to_orig(window: Window, scale: float) -> Window:
    """Return a window of the work frame in the orig frame; scale: work pixels per orig pixel."""
    if scale == 1.0:
        return window
    return Window(
        round(window.left_px / scale), round(window.top_px / scale), max(1, round(window.side_px / scale))
    )


def marked_box(prompts: Prompts) -> FloatArray:
    """Return the box [4], xyxy px, around everything that was pointed at, in the frame of the prompts."""
    marks = [prompts.clicks_xy_px]
    if prompts.outline_px is not None:
        marks.append(prompts.outline_px)
    if prompts.painted is not None:
        marks.append(patch_box(prompts.painted))
    return box_around(*marks)


def draw_prompts(
    encoding: Encoding,
    prompts: Prompts,
    window: Window,
    start: Belief | None,
    label_index: int | None,
    side: int,
) -> ByteArray:
    """Return the prompts (work frame) drawn for the network in a window, uint8 [5, S, S]; S is `side`."""
    positive = draw_clicks(window.to_net(prompts.positive_px, side), side)
    negative = draw_clicks(window.to_net(prompts.negative_px, side), side)
    for patch, channel in ((prompts.painted, positive), (prompts.erased, negative)):
        if patch is not None:
            height, width = patch.bits.shape
            source = Window(patch.left_px, patch.top_px, max(height, width))
            square = np.zeros((source.side_px, source.side_px), dtype=np.float32)
            square[:height, :width] = patch.bits
            channel[move_field(square, source, window, side) > 0.5] = 255
    shape = None
    if prompts.outline_px is not None:
        shape = draw_outline(window.to_net(prompts.outline_px, side), side)
    so_far = None
    if start is not None:
        so_far = move_field(start.field.astype(np.float32), start.window, window, side)
    view = None
    if encoding.detections is not None:
        view = detector_view(encoding.detections, window, encoding.scale, side, label_index=label_index)
    return stack_prompts(positive=positive, negative=negative, shape=shape, so_far=so_far, detector=view)
