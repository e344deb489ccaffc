"""Detections by the names of the labels: a detector that reads texts, masks by the click network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from backend.core.geometry.instances import MOST_REGIONS, Detections, ImageSize, MaskPatch
from backend.core.prompting.windows import ByteArray
from backend.core.text.lines import LineHabit
from backend.nn.prompts.boxes import masks_in_boxes
from backend.nn.prompts.segmenter import PromptSegmenter
from backend.nn.runtime.torchvision_ops import torchvision_ops
from backend.nn.zero_shot.detector import TextDetector

LEAST_SIDE_PX = 1.0


@dataclass(frozen=True)
class ZeroShotPredictor:
    """Predicts as a trained version does; equal ones share batches.

    segmenter: draws masks, None where none are wanted. labels: what the objects are called; texts: how the
    detector is asked for each, in the same order.
    """

    detector: TextDetector
    segmenter: PromptSegmenter | None
    version: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def line_habit(self) -> LineHabit | None:
        """None: lines of text are no objects that were asked for."""
        return None

    @property
    def most_at_once(self) -> int:
        """One image at a time: on a processor each takes seconds, and whoever waits has a deadline."""
        return 1

    @property
    def in_tiles(self) -> None:
        """Nothing: every image is looked at whole."""

    def input_size(self, image: ByteArray) -> ImageSize:
        """Return the image's own size: the detector's processor chooses what the network sees."""
        return ImageSize(image.shape[1], image.shape[0])

    def predict(
        self,
        images: Sequence[ByteArray],
        *,
        confidence_threshold: float,
        nms_threshold: float,
        with_masks: bool = True,
        max_regions: int | None = None,
    ) -> list[Detections]:
        """Return what is in each RGB image uint8 [H, W, 3], best score first, in the orig frame.

        A mask is what the click network makes of the box, None for a box without one.
        """
        most = max_regions or MOST_REGIONS
        return [
            self._predict(image, confidence_threshold, nms_threshold, with_masks, most) for image in images
        ]

    def _predict(
        self,
        image: ByteArray,
        confidence_threshold: float,
        nms_threshold: float,
        with_masks: bool,
        max_regions: int,
    ) -> Detections:
        size = ImageSize(image.shape[1], image.shape[0])
        found = self.detector.find(image, self.texts)
        labels = found.scores.argmax(axis=1)
        scores = found.scores.max(axis=1)
        boxes = np.clip(found.boxes_xyxy_px, 0, [size.width, size.height] * 2).astype(np.float32)
        is_box = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE_PX).all(axis=1)
        kept = np.flatnonzero(is_box & (scores >= confidence_threshold))
        order = torchvision_ops().batched_nms(
            torch.from_numpy(boxes[kept]),
            torch.from_numpy(scores[kept]),
            torch.from_numpy(labels[kept]),
            nms_threshold,
        )
        kept = kept[order.numpy()[:max_regions]]
        boxes, scores = boxes[kept], scores[kept]
        masks: tuple[MaskPatch | None, ...] = (None,) * len(kept)
        if with_masks and self.segmenter is not None and len(kept):
            masks = masks_in_boxes(self.segmenter, image, boxes)
        # Nothing found in an image of a labelling project is the least sure of all answers.
        image_score = float(scores.mean()) if len(kept) else 0.0
        return Detections(size, boxes, scores, labels[kept].astype(np.int64), masks, image_score)
