"""The text of each object: lines found by an engine, joined with what the network found, and read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import join_patches
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.text.crops import cut_out
from backend.core.text.lines import (
    ON_THE_LINE,
    LineHabit,
    ReadText,
    TextLine,
    chosen,
    join_lines,
    lines_inside,
    outline_of,
    rows_of,
    window_around,
)
from backend.service.ports import TextReader

logger = logging.getLogger(__name__)

RgbImage = npt.NDArray[np.uint8]

MOST_LINES = 400
"""Read in one image; objects beyond have no text."""
CROPS_AT_ONCE = 24
LEAST_SCORE = 0.5
"""What is read with less certainty is no text: a picture, a line of dots."""


@dataclass(frozen=True)
class TextState:
    """Which engine reads text; problem: why none does, and what to do."""

    engine: str | None = None
    problem: str | None = None


class Compute(Protocol):
    """Runs work when the machine has room for it; raises TimeoutError when no time is left."""

    def __call__(self, work: Callable[[], Any]) -> Any:
        """Return what the work returns."""


@dataclass(frozen=True, eq=False)
class ReadObjects:
    """What is in an image, and the text of each detection; None where none can be read."""

    detections: Detections
    texts: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class TextInBox:
    """What is written in a box: the text, the area of its lines, and how sure the reader is, 0..1.

    area: None where no line was found and the box was read as a whole.
    """

    text: str
    area: MaskPatch | None
    score: float


class TextReading:
    """Reads the text of objects with the engine that there is; threads may share it."""

    def __init__(self, reader: TextReader | None, problem: str | None = None) -> None:
        """reader: None where there is no engine; problem then says why, and what to do."""
        self._reader = reader
        self._problem = problem
        self._has_told = False

    @property
    def state(self) -> TextState:
        """Say which engine reads."""
        return TextState(None if self._reader is None else self._reader.name, self._problem)

    def is_possible(self, project_key: str) -> bool:
        """Tell whether there is an engine; where there is none, the log says so once."""
        if self._reader is None and not self._has_told:
            self._has_told = True
            logger.warning("project %s: the text of regions is not read: %s", project_key, self._problem)
        return self._reader is not None

    def find_lines(self, image: RgbImage) -> list[TextLine]:
        """Return the lines of text in an image; none without an engine. Raises TextReadingError."""
        return [] if self._reader is None else self._reader.find_lines(image)

    def read(
        self,
        image: RgbImage,
        detections: Detections,
        labels: Sequence[str],
        habit: LineHabit | None,
        lowest_score: float,
        compute: Compute,
    ) -> ReadObjects:
        """Return the objects of an image with their texts, those that are lines of text among them.

        labels: of the detections. habit: how lines are drawn, where objects of a label are lines of text.
        lowest_score: of the lines that become objects. The steps are short ones, so that others who wait come
        in between. Raises TextReadingError, and what compute raises.
        """
        reader = self._reader
        if reader is None:
            return ReadObjects(detections, ())
        lines = compute(partial(reader.find_lines, image))
        lines = [line for line in lines if line.score >= lowest_score]
        index = labels.index(habit.label) if habit is not None and habit.label in labels else None
        found = join_lines(detections, lines, index, ON_THE_LINE if habit is None else habit.sides)
        network_count = len(found.detections) - found.free_count
        quads = [quad for rows in found.rows for row in rows for quad in row][:MOST_LINES]
        read: list[ReadText] = []
        for start in range(0, len(quads), CROPS_AT_ONCE):
            read += compute(partial(_read, reader, image, quads[start : start + CROPS_AT_ONCE]))
        texts = _texts(found.rows, read)
        # A line in which nothing can be read is a rule or a logo: no object, unless the network found it.
        kept = [k for k in range(len(texts)) if k < network_count or texts[k] is not None]
        return ReadObjects(_only(found.detections, kept), tuple(texts[k] for k in kept))

    def read_in_box(self, image: RgbImage, box_xyxy_px: FloatArray, compute: Compute) -> TextInBox | None:
        """Return what is written in a box [4] that somebody drew roughly; None where nothing can be read.

        Raises TextReadingError, and what compute raises.
        """
        reader, size = self._reader, ImageSize(image.shape[1], image.shape[0])
        if reader is None:
            return None
        left, top, right, bottom = window_around(box_xyxy_px, size)
        window = np.ascontiguousarray(image[top:bottom, left:right])
        lines = [line.moved(left, top) for line in compute(partial(reader.find_lines, window))]
        mine = lines_inside(lines, box_xyxy_px, size)
        rows = rows_of([line.corners_px for line in mine]) or ((outline_of(box_xyxy_px, None),),)
        quads = [quad for row in rows for quad in row][:CROPS_AT_ONCE]
        read: list[ReadText] = compute(partial(_read, reader, image, quads))
        [text] = _texts([rows], read)
        if text is None:
            return None
        drawn = [polygon_to_patch(line.corners_px.astype(np.float64), size) for line in mine]
        patches = [patch for patch in drawn if patch is not None]
        return TextInBox(
            text,
            join_patches(patches) if patches else None,
            float(np.mean([one.score for one in read if one.score >= LEAST_SCORE])),
        )


def _read(reader: TextReader, image: RgbImage, quads: Sequence[FloatArray]) -> list[ReadText]:
    return reader.read([cut_out(image, quad) for quad in quads])


def _texts(
    rows_of_objects: Sequence[Sequence[Sequence[FloatArray]]], read: Sequence[ReadText]
) -> list[str | None]:
    """Return the text of each object: its rows as lines; None where nothing was read with certainty."""
    in_order = iter(read)
    texts: list[str | None] = []
    for rows in rows_of_objects:
        written = []
        for row in rows:
            words = [next(in_order, ReadText("", 0.0)) for _ in row]
            written.append(" ".join(word.text.strip() for word in words if word.score >= LEAST_SCORE).strip())
        texts.append("\n".join(line for line in written if line) or None)
    return texts


def _only(detections: Detections, kept: Sequence[int]) -> Detections:
    """Return some of the detections; an image of which nothing was said is as sure as its objects are."""
    some = chosen(detections, kept)
    sure = float(some.scores.mean()) if len(some) else 0.0
    return replace(some, image_score=detections.image_score or sure)
