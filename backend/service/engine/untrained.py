"""What answers for a project before a version is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.label_names import spelling
from backend.core.labelstudio.predictions import NO_LABEL
from backend.core.text.lines import LineHabit
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.work_items import RgbImage
from backend.service.text.reading import TextReading

Untrained = Callable[[LabelConfig], ImagePredictor | None]
"""Returns what predicts by a labeling config alone, its version's name included; None where nothing does."""

TEXT_LABEL = "text"
_ONE_SIZE = ImageSize(1, 1)


def nothing_untrained(config: LabelConfig) -> ImagePredictor | None:
    """Return None: before a training there is no prediction."""
    return None


class LinesAlone:
    """Finds no object itself, so that those of a prediction are the lines of text that an engine finds."""

    def __init__(self, labels: Sequence[str], line_label: str, engine: str) -> None:
        self.labels = tuple(labels)
        self.line_habit: LineHabit | None = LineHabit(line_label)
        self.version = f"ocr-{engine}"

    @property
    def most_at_once(self) -> int | None:
        """As many images as there are."""
        return None

    def input_size(self, image: RgbImage) -> ImageSize:
        """Return one size for all images: none is looked at."""
        return _ONE_SIZE

    def predict(
        self,
        images: Sequence[RgbImage],
        *,
        confidence_threshold: float,
        nms_threshold: float,
        with_masks: bool = True,
        max_regions: int = 100,
    ) -> list[Detections]:
        """Return nothing for each image."""
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ()
        return [Detections(ImageSize(image.shape[1], image.shape[0]), *nothing) for image in images]


def lines_alone(text: TextReading) -> Untrained:
    """Return what proposes the lines of text in the images of a project that wants the text of regions."""

    def predictor(config: LabelConfig) -> LinesAlone | None:
        engine = text.state.engine
        if engine is None or not config.wants_text or not config.labels:
            return None
        label = _label_of_lines(config.labels)
        labels = config.labels if label in config.labels else (*config.labels, label)
        return LinesAlone(labels, label, engine)

    return predictor


def _label_of_lines(labels: Sequence[str]) -> str:
    """Return the label of a line of text by its name alone: the only one, or one called text."""
    if len(labels) == 1:
        return labels[0]
    return next((label for label in labels if spelling(label) == spelling(TEXT_LABEL)), NO_LABEL)
