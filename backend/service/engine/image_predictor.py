"""What finds objects in images: a trained version, or what stands in for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.tiling import Tiling
from backend.core.text.lines import LineHabit


class InTiles(Protocol):
    """How a predictor cuts large images."""

    @property
    def tiling(self) -> Tiling:
        """Into which views."""

    @property
    def uncut(self) -> ImagePredictor:
        """What predicts a view; it takes every image whole."""

    @property
    def most_regions(self) -> int:
        """How many regions an image has at most, where a request does not say."""


class ImagePredictor(Protocol):
    """What finds objects in batches of images."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it finds; detections point into these."""

    @property
    def version(self) -> str:
        """The name that its predictions carry."""

    @property
    def line_habit(self) -> LineHabit | None:
        """How lines of text that an engine finds become objects; None where they are none."""

    @property
    def most_at_once(self) -> int | None:
        """How many images may go together at most, None for as many as there are."""

    @property
    def in_tiles(self) -> InTiles | None:
        """How it cuts large images, None where it takes all of them whole."""

    def input_size(self, image: npt.NDArray[np.uint8]) -> ImageSize:
        """Return what the network makes of the image's size; it takes several of one size at once."""

    def predict(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        *,
        confidence_threshold: float,
        nms_threshold: float,
        with_masks: bool = True,
        max_regions: int | None = None,
    ) -> list[Detections]:
        """Return what is in each image, in the orig frame; as much as is usual where max_regions is None."""
