"""The way of an image through this process: fetched, predicted in a batch, turned into regions."""

from __future__ import annotations

from dataclasses import dataclass

from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.pipeline import Pipeline
from backend.service.ports import ImageSource


@dataclass(frozen=True)
class Engine:
    """What every prediction of this process goes through; all threads share it."""

    images: ImageSource
    batching: BatchingQueue
    pipeline: Pipeline
