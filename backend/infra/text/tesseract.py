"""Tesseract, as a program of its own: pictures in on one pipe, its table of words out on another.

Source of the table: tesseract(1), output format `tsv`; `level` 5 is a word, `conf` 0 to 100.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.text.lines import ReadText, TextLine
from backend.errors import TextReadingError

RgbImage = npt.NDArray[np.uint8]

SPARSE_TEXT, ONE_LINE = 11, 7  # page segmentation modes
WORD_LEVEL = "5"
WITHIN_S = 30.0
BORDER_PX = 8
"""Letters that touch the border of a picture are often missed."""


@dataclass(frozen=True)
class _Word:
    line: tuple[str, ...]
    box_xyxy_px: tuple[int, int, int, int]
    confidence: float
    text: str


class TesseractReader:
    """The TextReader port; every call starts the program."""

    name = "tesseract"

    def __init__(self, program: str) -> None:
        self._program = program

    def find_lines(self, image: RgbImage) -> list[TextLine]:
        """Return the lines of text in an RGB image uint8 [H, W, 3], in its pixels; all are upright."""
        lines: dict[tuple[str, ...], list[_Word]] = {}
        for word in self._words(image, SPARSE_TEXT):
            lines.setdefault(word.line, []).append(word)
        return [_line(words) for words in lines.values()]

    def read(self, crops: Sequence[RgbImage]) -> list[ReadText]:
        """Return the text of each cut-out."""
        return [self._read(crop) for crop in crops]

    def _read(self, crop: RgbImage) -> ReadText:
        padded = cv2.copyMakeBorder(crop, *(BORDER_PX,) * 4, cv2.BORDER_REPLICATE)
        words = list(self._words(np.asarray(padded, np.uint8), ONE_LINE))
        if not words:
            return ReadText("", 0.0)
        return ReadText(" ".join(word.text for word in words), float(np.mean([w.confidence for w in words])))

    def _words(self, image: RgbImage, segmentation: int) -> Iterator[_Word]:
        _, picture = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        command = [self._program, "stdin", "stdout", "--psm", str(segmentation), "tsv"]
        try:
            done = subprocess.run(
                command,
                input=picture.tobytes(),
                capture_output=True,
                timeout=WITHIN_S,
                check=True,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.TimeoutExpired as exc:
            raise TextReadingError(f"tesseract took more than {WITHIN_S:g} s for one picture") from exc
        except subprocess.CalledProcessError as exc:
            said = exc.stderr.decode("utf-8", "replace").strip()[:200]
            raise TextReadingError(f"tesseract failed with status {exc.returncode}: {said}") from exc
        except OSError as exc:
            raise TextReadingError(f"tesseract cannot be started: {exc.strerror}") from exc
        return _read_table(done.stdout.decode("utf-8", "replace"))


def _read_table(table: str) -> Iterator[_Word]:
    """Yield the words of a table; a row that is not as documented is passed over."""
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row.get("text") or "").strip()
        if row.get("level") != WORD_LEVEL or not text:
            continue
        try:
            left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
            confidence = min(max(float(row["conf"]) / 100, 0.0), 1.0)
        except (KeyError, TypeError, ValueError):
            continue
        line = tuple(str(row.get(name)) for name in ("page_num", "block_num", "par_num", "line_num"))
        yield _Word(line, (left, top, left + width, top + height), confidence, text)


def _line(words: Sequence[_Word]) -> TextLine:
    boxes = np.array([word.box_xyxy_px for word in words], np.float32)
    (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return TextLine(corners, float(np.mean([word.confidence for word in words])))
