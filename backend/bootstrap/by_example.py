"""Predictions by example, joined from the labels of Label Studio and the encoder that is shipped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from backend.service.by_example.examples import LabelledPicture
from backend.service.by_example.known_examples import KnownExamples
from backend.service.by_example.predictions import ByExample
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.shared_cache import run_in_thread
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
