"""Pictures that show what others show already, found by their thumbnails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.prompting.windows import ByteArray

SIDE_PX = 24
LEAST_CORRELATION = 0.97
ENDINGS = (".jpg", ".jpeg", ".png")


class NearCopies:
    """Thumbnails of known pictures: grey, 24 x 24, of no mean and unit length."""

    def __init__(self, folders: list[Path]) -> None:
        """Read every picture below the folders, masks left out."""
        pictures = (cv2.imread(str(path)) for folder in folders for path in _pictures(folder))
        rows = [thumbnail(np.asarray(bgr, dtype=np.uint8)) for bgr in pictures if bgr is not None]
        self._known = np.stack(rows) if rows else np.zeros((0, SIDE_PX * SIDE_PX), np.float32)

    def has_like(self, bgr: ByteArray) -> bool:
        """Tell whether a picture, or its mirror image, correlates with a known one."""
        rows = np.stack([thumbnail(bgr), thumbnail(np.ascontiguousarray(bgr[:, ::-1]))])
        return bool((self._known @ rows.T > LEAST_CORRELATION).any())


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.parent.name != "masks":
            yield path


def thumbnail(bgr: ByteArray) -> Any:
    """Return a picture's thumbnail float32 [576], zeros where it is of one grey."""
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-3)
