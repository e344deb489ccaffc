"""What the encoder that is shipped serves: predictions by example, and how alike whole pictures are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray
from backend.service.by_example.examples import LabelledPicture
from backend.service.by_example.known_examples import KnownExamples
from backend.service.by_example.predictions import ByExample
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.shared_cache import run_in_thread
from backend.service.label_next.pictures import PictureEmbedder
from backend.service.ports import ImageSource
from backend.service.projects.connections import Connections

if TYPE_CHECKING:
    from backend.nn.by_example.features import PictureEncoder


def by_example(images: ImageSource, connections: Connections, wait_s: float) -> ByExample:
    """Return what predicts projects by their first labelled objects; loads nothing yet.

    wait_s: how long a prediction waits for the learning.
    """
    known = KnownExamples(connections, run_in_thread("read-examples"))
    return ByExample(known, images, connections, _learner(), wait_s=wait_s)


def _learner() -> Callable[[Sequence[LabelledPicture], Sequence[str], str, bool], ImagePredictor]:
    lock = threading.Lock()

    @cache
    def encoder() -> PictureEncoder:
        from backend.nn.by_example.features import load_picture_encoder

        return load_picture_encoder()

    def learn_from(
        pictures: Sequence[LabelledPicture], labels: Sequence[str], version: str, with_outlines: bool
    ) -> ImagePredictor:
        from backend.nn.by_example.learning import Example, learn
        from backend.nn.by_example.predictor import ExamplePredictor
        from backend.nn.prompts.segmenter import load_segmenter

        examples = [
            Example(one.picture, one.target.boxes_xyxy_px, one.target.label_indices) for one in pictures
        ]
        with lock:  # one after the other: together they would take as long, and more memory
            likeness = learn(examples, encoder())
            segmenter = load_segmenter(None) if with_outlines else None
        return ExamplePredictor(likeness, encoder(), labels, version=version, segmenter=segmenter)

    return learn_from


def picture_embedder() -> PictureEmbedder:
    """Return what says what pictures look like; loads nothing yet."""
    return _ShippedEmbedder()


class _ShippedEmbedder:
    """Pools the features of the shipped encoder, which it loads for the first picture."""

    name = "promptable-2-pooled-256"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._encoder: PictureEncoder | None = None

    def embed(self, picture: npt.NDArray[np.uint8]) -> FloatArray:
        """Return one row of numbers for a picture."""
        from backend.nn.by_example.features import load_picture_encoder
        from backend.nn.by_example.pooled import pooled_features

        with self._lock:
            if self._encoder is None:
                self._encoder = load_picture_encoder()
        return pooled_features(self._encoder, picture)
