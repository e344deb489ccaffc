"""The way of an image through this process: fetched, predicted in a batch, turned into regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.pipeline import Pipeline
from backend.service.ports import ImageSource
from backend.service.text.reading import TextReading


@dataclass(frozen=True)
class Engine:
    """What every prediction of this process goes through; all threads share it.

    text: reads the text of regions.
    """

    images: ImageSource
    batching: BatchingQueue
    text: TextReading

    @cached_property
    def pipeline(self) -> Pipeline:
        """The way of many images through these, side by side."""
        return Pipeline(self.images, self.batching, self.text)
