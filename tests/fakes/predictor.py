"""A version without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.text.lines import LineHabit


class FakePredictor:
    """Finds one object per label in every image: a box over its upper left quarter, score 0.9, 0.8, ..."""

    most_at_once: int | None = None
    in_tiles = None

    def __init__(self, labels: Sequence[str] = ("Cat", "Dog"), version: str = "v1", seconds: float = 0.0):
        self.labels = tuple(labels)
        self.version = version
        self.line_habit: LineHabit | None = None
        self.turned_labels: frozenset[str] = frozenset()
        self.seconds = seconds
        self.batches: list[int] = []
        self.failure: Callable[[Sequence[np.ndarray]], Exception | None] = lambda images: None

    def input_size(self, image):
        return ImageSize(64, 64)

    def predict(self, images, *, confidence_threshold, nms_threshold, with_masks=True, max_regions=None):
        self.batches.append(len(images))
        if self.seconds:
            time.sleep(self.seconds * len(images))
        error = self.failure(images)
        if error is not None:
            raise error
        return [self._find(image, confidence_threshold) for image in images]

    def detect_with_maps(self, image, *, confidence_threshold, nms_threshold, max_regions=100):
        return self.predict([image], confidence_threshold=confidence_threshold, nms_threshold=nms_threshold)[
            0
        ], None

    def mask_in_box(self, maps, size, box_xyxy_px, label_index):
        return None

    def _find(self, image: np.ndarray, confidence_threshold: float) -> Detections:
        height, width = image.shape[:2]
        scores = np.array([0.9 - 0.1 * k for k in range(len(self.labels))], np.float32)
        kept = np.flatnonzero(scores >= confidence_threshold)
        return Detections(
            size=ImageSize(width, height),
            boxes_xyxy_px=np.tile(np.array([[0, 0, width / 2, height / 2]], np.float32), (len(kept), 1)),
            scores=scores[kept],
            label_indices=kept.astype(np.int64),
            masks=(None,) * len(kept),
            image_score=0.5,
        )
