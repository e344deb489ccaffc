"""The lines of text in an image, proposed before a version is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.label_names import spelling
from backend.core.labelstudio.predictions import NO_LABEL
from backend.core.text.lines import LineHabit
from backend.core.versions.names import TEXT_LINES
from backend.errors import LabelConfigError, VersionError
from backend.service.engine.stand_in import StandIn
from backend.service.engine.work_items import RgbImage
from backend.service.projects.projects import Projects
from backend.service.text.reading import TextReading

TEXT_LABEL = "text"
_ONE_SIZE = ImageSize(1, 1)


class LinesAlone:
    """Finds no object itself, so that those of a prediction are the lines of text that an engine finds."""

    def __init__(self, labels: Sequence[str], line_label: str, engine: str) -> None:
        self.labels = tuple(labels)
        self.line_habit: LineHabit | None = LineHabit(line_label)
        self.version = TEXT_LINES + engine

    @property
    def most_at_once(self) -> int | None:
        """As many images as there are."""
        return None

    @property
    def in_tiles(self) -> None:
        """Nothing: it looks at no image, in tiles or whole."""

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
        max_regions: int | None = None,
    ) -> list[Detections]:
        """Return nothing for each image."""
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ()
        return [Detections(ImageSize(image.shape[1], image.shape[0]), *nothing) for image in images]


class TextLines(StandIn):
    """Proposes the lines of text in the images of projects that want the text of regions."""

    def __init__(self, text: TextReading, projects: Projects) -> None:
        """text: reads. projects: know the labeling config of each."""
        self._text = text
        self._projects = projects

    def version(self, project_key: str) -> str | None:
        """Return `ocr-<engine>` where the project's config wants text, and an engine is there."""
        try:
            config = parse_label_config(self._projects.connection(project_key).label_config or "")
        except LabelConfigError:
            return None  # none is known yet, or it cannot be used
        lines = self.predictor(project_key, config)
        return None if lines is None else lines.version

    def is_own(self, version: str) -> bool:
        """Tell whether predictions of that name are lines of text alone."""
        return version.startswith(TEXT_LINES)

    def predictor(self, project_key: str, config: LabelConfig) -> LinesAlone | None:
        """Return what proposes them by a config; None where it wants no text, or nothing reads it."""
        engine = self._text.state.engine
        if engine is None or not config.wants_text or not config.labels:
            return None
        label = _label_of_lines(config.labels)
        labels = config.labels if label in config.labels else (*config.labels, label)
        return LinesAlone(labels, label, engine)

    def awaited_predictor(self, project_key: str, version: str, config: LabelConfig) -> LinesAlone:
        """Return the same. Raises VersionError where nothing reads text, or another engine does."""
        lines = self.predictor(project_key, config)
        if lines is None or lines.version != version:
            raise VersionError(
                f"{version} cannot predict project {project_key}: "
                f"{self._text.state.problem or 'its config, or the engine that reads text, was changed'}"
            )
        return lines


def _label_of_lines(labels: Sequence[str]) -> str:
    """Return the label of a line of text by its name alone: the only one, or one called text in any case."""
    if len(labels) == 1:
        return labels[0]
    return next((label for label in labels if spelling(label).casefold() == TEXT_LABEL), NO_LABEL)
