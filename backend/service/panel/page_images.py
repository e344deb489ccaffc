"""The images of tasks as the browser gets them: decoded, turned upright and encoded again by us.

Encoding again means that nothing but pixels reaches the browser, whatever the file was, and that it is
drawn the way the network sees it (EXIF orientation applied).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from backend.errors import ImageDecodeError, NotFoundError
from backend.service.ports import ImageSource
from backend.service.projects.connections import Connections
from backend.service.projects.task_index import TaskIndex

THUMBNAIL_PX = 192
REPORT_PX = 800
LONGEST_SIDE_PX = 4096
_DECODES_AT_ONCE = 2
_IMAGE_QUALITY = 92
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class JpegImage:
    """A JPEG file; width and height are those of the original, upright."""

    data: bytes
    width: int
    height: int


class PageImages:
    """Images and thumbnails of the tasks of a project, the latest kept in memory up to a bound."""

    def __init__(
        self,
        images: ImageSource,
        index: TaskIndex,
        connections: Connections,
        *,
        most_bytes: int = 48 * 1024**2,
    ) -> None:
        self._images = images
        self._index = index
        self._connections = connections
        # The image that somebody looks at never waits behind a strip of thumbnails.
        self._decoding = {
            size: threading.Semaphore(_DECODES_AT_ONCE) for size in (THUMBNAIL_PX, REPORT_PX, LONGEST_SIDE_PX)
        }
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[str, int, int, int, str], JpegImage] = LRUCache(
            most_bytes, getsizeof=lambda encoded: len(encoded.data)
        )

    def image(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return one image of a task at its full size (at most 4096 px). Raises NotFoundError, FetchError."""
        return self._encoded(key, task_id, page, LONGEST_SIDE_PX)

    def thumbnail(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return a small picture of one image of a task. Raises NotFoundError, FetchError."""
        return self._encoded(key, task_id, page, THUMBNAIL_PX)

    def for_report(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return one image of a task at the size of a report. Raises NotFoundError, FetchError."""
        return self._encoded(key, task_id, page, REPORT_PX)

    def _encoded(self, key: str, task_id: int, page: int, longest_px: int) -> JpegImage:
        pages = self._index.row(key, task_id).pages
        if not 0 <= page < len(pages):
            raise NotFoundError(f"task {task_id} has {len(pages)} images, there is no number {page}")
        reference, access = pages[page].reference, self._connections.image_access(key, task_id)
        place = (key, task_id, page, longest_px, self._images.picture_id(reference, access))
        with self._lock:
            kept = self._kept.get(place)
        if kept is not None:
            return kept
        with self._decoding[longest_px]:
            pixels = self._images.load_rgb(reference, access)
            encoded = _encode(pixels, longest_px)
        if len(encoded.data) <= self._kept.maxsize:
            with self._lock:
                self._kept[place] = encoded
        return encoded


def _encode(pixels: npt.NDArray[np.uint8], longest_px: int) -> JpegImage:
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    if scale < 1.0:
        target_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, target_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    quality = _IMAGE_QUALITY if longest_px == LONGEST_SIDE_PX else _THUMBNAIL_QUALITY
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ImageDecodeError(f"an image of {width}x{height} pixels could not be encoded for the browser")
    return JpegImage(data.tobytes(), width, height)
