"""Images in, the like of the examples out; stands in for a trained version's predictor."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from backend.core.geometry.boxes import clip_boxes
from backend.core.geometry.instances import (
    MOST_REGIONS,
    Detections,
    FloatArray,
    ImageSize,
    IntArray,
    MaskPatch,
)
from backend.core.prompting.windows import ByteArray
from backend.core.text.lines import LineHabit
from backend.nn.by_example.candidates import Candidates
from backend.nn.by_example.descriptors import responses
from backend.nn.by_example.features import PictureEncoder
from backend.nn.by_example.learning import Likeness
from backend.nn.by_example.windows import MOST_PIXELS_OF_OTHERS, WindowSize, highest_level
from backend.nn.prompts.boxes import masks_in_boxes
from backend.nn.prompts.segmenter import PromptSegmenter
from backend.nn.runtime.threads import run_side_by_side

logger = logging.getLogger(__name__)

MOST_WINDOWS_OF_A_SIZE = 300
MOST_CANDIDATES = 800
MOST_OUTLINED = 30
"""Of one image; an outline takes about a tenth of a second."""
_MOST_MOVED, _MOST_STRETCHED = 0.5, 0.7


class ExamplePredictor:
    """Finds the like of examples. Keeps nothing between calls, so threads may share it."""

    def __init__(
        self,
        likeness: Likeness,
        encoder: PictureEncoder,
        labels: Sequence[str],
        *,
        version: str = "",
        segmenter: PromptSegmenter | None = None,
    ) -> None:
        """Serve what was learned; segmenter: outlines what is found, None where boxes suffice."""
        self.labels = tuple(labels)
        self.version = version
        self.line_habit: LineHabit | None = None
        self._likeness = likeness
        self._encoder = encoder
        self._segmenter = segmenter

    @property
    def most_at_once(self) -> int | None:
        """As many images as there are."""
        return None

    @property
    def in_tiles(self) -> None:
        """Nothing: every image is looked at whole."""

    def input_size(self, image: ByteArray) -> ImageSize:
        """Return the image's own size: images are looked at one by one."""
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
        """Return what is like the examples in each image, uint8 [H, W, 3] RGB, in the order of the images."""

        def answer(image: ByteArray) -> Detections:
            found = self._candidates(image, confidence_threshold)
            found = found.suppressed(nms_threshold, max_regions or MOST_REGIONS)
            masks = self._outlined(image, found) if with_masks else (None,) * len(found)
            return Detections(
                size=self.input_size(image),
                boxes_xyxy_px=found.boxes_xyxy_px,
                scores=found.scores,
                label_indices=found.label_indices,
                masks=masks,
                image_score=float(found.scores.mean()) if len(found) else 0.0,
            )

        return run_side_by_side(answer, images, torch.get_num_threads())

    def _candidates(self, image: ByteArray, confidence_threshold: float) -> Candidates:
        """Return the windows that may show a thing, moved onto it, best score first.

        In a picture far larger than the examples, things that only show where it is seen large are not found.
        """
        likeness = self._likeness
        height, width = image.shape[:2]
        highest = highest_level(width * height, MOST_PIXELS_OF_OTHERS)
        sizes = [size for size in likeness.sizes if size.level <= highest]
        if len(sizes) < len(likeness.sizes):
            logger.warning(
                "%s: an image of %d x %d pixels is far larger than the examples; things as small as theirs "
                "are not looked for",
                self.version,
                width,
                height,
            )
        if not sizes:
            return Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        with torch.inference_mode():
            maps = {
                level: likeness.whitening.apply(self._encoder.encode(image, 2.0**level))
                for level in sorted({size.level for size in sizes})
            }
            parts = [self._of_size(size, maps[size.level], confidence_threshold) for size in sizes]
        boxes = clip_boxes(np.concatenate([boxes for boxes, _, _ in parts]), self.input_size(image))
        scores = np.concatenate([scores for _, scores, _ in parts])
        labels = np.concatenate([labels for _, _, labels in parts])
        order = np.argsort(-scores, kind="stable")
        order = order[(boxes[order, 2:] - boxes[order, :2] > 1).all(axis=1)][:MOST_CANDIDATES]
        return Candidates(boxes[order].astype(np.float32), scores[order], labels[order])

    def _of_size(
        self, size: WindowSize, features: Tensor, confidence_threshold: float
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return boxes [N, 4] in the image, scores [N] and labels [N] of the best windows of one size."""
        kernel = self._likeness.kernels[size.label_index]
        answers = (responses(features, kernel.kernel, size.sides_px) + kernel.constants).numpy()
        fits = answers[:, 0]
        likely = np.flatnonzero(fits >= kernel.scores.fit_of(confidence_threshold))
        best = likely[np.argsort(-fits[likely], kind="stable")[:MOST_WINDOWS_OF_A_SIZE]]
        windows = size.windows(*features.shape[1:])[best]
        moves = np.clip(answers[best, 1:3], -_MOST_MOVED, _MOST_MOVED) * size.sides_px
        sides = np.exp(np.clip(answers[best, 3:5], -_MOST_STRETCHED, _MOST_STRETCHED)) * size.sides_px
        centres = (windows[:, :2] + windows[:, 2:]) / 2 + moves
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) / np.float32(size.scale)
        return boxes, kernel.scores.scores(fits[best]), np.full(len(best), size.label_index)

    def _outlined(self, image: ByteArray, found: Candidates) -> tuple[MaskPatch | None, ...]:
        """Return the mask of what each of the best boxes was drawn around, None for the others."""
        if self._segmenter is None:
            return (None,) * len(found)
        masks = masks_in_boxes(self._segmenter, image, found.boxes_xyxy_px[:MOST_OUTLINED])
        return (*masks, *[None] * (len(found) - len(masks)))
