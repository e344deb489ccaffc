"""RapidOCR: networks of PaddleOCR for finding and reading text, whose files come inside its package.

The program and the networks are under Apache-2.0. Nothing is downloaded. Package: `rapidocr`, which needs
`onnxruntime` to run them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.text.lines import ReadText, TextLine
from backend.errors import TextReadingError

RgbImage = npt.NDArray[np.uint8]
_Result = TypeVar("_Result")

MOST_TIMES_AS_LONG = 4


def is_installed() -> bool:
    """Tell whether the packages are there, without loading them."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


class RapidOcrReader:
    """The TextReader port; loads its networks with the first call."""

    name = "rapidocr"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Any = None

    def find_lines(self, image: RgbImage) -> list[TextLine]:
        """Return the lines of text in an RGB image uint8 [H, W, 3], in its pixels."""

        def find(engine: Any) -> list[TextLine]:
            found = engine(_bgr(_widened(image)), use_det=True, use_cls=False, use_rec=False)
            boxes = [] if found.boxes is None else found.boxes
            scores = [] if found.scores is None else found.scores
            return [
                TextLine(np.asarray(corners, np.float32), float(score))
                for corners, score in zip(boxes, scores, strict=True)
            ]

        return self._with_engine(find)

    def read(self, crops: Sequence[RgbImage]) -> list[ReadText]:
        """Return the text of each cut-out; one that stands on its head is turned first."""
        if not crops:
            return []

        def read(engine: Any) -> list[ReadText]:
            upright, _ = engine.cls_and_rotate([_bgr(crop) for crop in crops])
            found = engine.recognize_txt(upright)
            return [
                ReadText(str(text), float(score))
                for text, score in zip(found.txts, found.scores, strict=True)
            ]

        return self._with_engine(read)

    def _with_engine(self, work: Callable[[Any], _Result]) -> _Result:
        """Run work with the engine, which keeps state between its steps and so takes one caller at a time."""
        with self._lock:
            try:
                if self._engine is None:
                    self._engine = _load()
                return work(self._engine)
            except Exception as exc:  # of any of the libraries below; costs the text of one image
                raise TextReadingError(f"rapidocr failed with {type(exc).__name__}: {exc}") from exc


def _load() -> Any:
    from rapidocr import RapidOCR

    threads = max(1, (os.cpu_count() or 1) // 2)  # the network of the detector computes at the same time
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _widened(image: RgbImage) -> RgbImage:
    """Return an image whose shorter side has a quarter of the longer one, its last pixels repeated.

    RapidOCR enlarges the shorter side to some hundred pixels, and with it a strip without end.
    """
    height, width = image.shape[:2]
    down, right = (max(0, max(height, width) // MOST_TIMES_AS_LONG - side) for side in (height, width))
    if not down and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _bgr(image: RgbImage) -> RgbImage:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
