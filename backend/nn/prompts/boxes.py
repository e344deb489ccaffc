"""The masks of what boxes were drawn around, by the click network."""

from __future__ import annotations

import numpy as np

from backend.core.geometry.instances import FloatArray, MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import ByteArray
from backend.nn.prompts.encoding import encode_image
from backend.nn.prompts.segmenter import PromptSegmenter


def masks_in_boxes(
    segmenter: PromptSegmenter, image: ByteArray, boxes_xyxy_px: FloatArray
) -> tuple[MaskPatch | None, ...]:
    """Return the mask of what each box [N, 4] was drawn around, as the smart tools would; None for nothing.

    image: RGB uint8 [H, W, 3]; boxes and masks lie in its frame.
    """
    if not len(boxes_xyxy_px):
        return ()
    encoding = encode_image(image, None)
    masks = []
    for left, top, right, bottom in boxes_xyxy_px.tolist():
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
        answer = segmenter.segment(encoding, Prompts(outline_px=corners))
        masks.append(None if answer is None else answer.mask)
    return tuple(masks)
