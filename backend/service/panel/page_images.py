"""The images of tasks as the browser gets them: decoded, turned upright and encoded again by us.

Encoding again means that nothing but pixels reaches the browser, whatever the file was, and that it is
drawn the way the network sees it (EXIF orientation applied). A large picture comes as a preview, and its own
pixels as tiles of halving sizes.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from backend.core.geometry.instances import ImageSize
from backend.errors import ImageDecodeError, NotFoundError
from backend.service.ports import ImageAccess, ImageSource, SmallFiles
from backend.service.projects.connections import Connections
from backend.service.projects.task_index import TaskIndex

THUMBNAIL_PX, REPORT_PX, PREVIEW_PX, TILE_PX = 192, 800, 2048, 512
_DECODES_AT_ONCE, _TILES_AT_ONCE = 2, 4
_IMAGE_QUALITY, _THUMBNAIL_QUALITY = 92, 80
_FORMAT = "1"
"""Part of each thumbnail's name: to be changed with what is kept, and with what decoding makes of a file."""


@dataclass(frozen=True)
class JpegImage:
    """A JPEG file; width and height are those of the original, upright."""

    data: bytes
    width: int
    height: int

    def packed(self) -> bytes:
        """Return the bytes to keep."""
        return b"%dx%d\n%s" % (self.width, self.height, self.data)

    @classmethod
    def unpacked(cls, kept: bytes) -> JpegImage | None:
        """Return what `packed` gave; None for anything else."""
        head, _, data = kept.partition(b"\n")
        width, _, height = head.partition(b"x")
        if not (width.isdigit() and height.isdigit() and data.endswith(b"\xff\xd9")):
            return None
        return cls(data, int(width), int(height))


@dataclass(frozen=True)
class _Place:
    """One image of a task as it stands at its address now."""

    reference: str
    access: ImageAccess
    picture_id: str


class PageImages:
    """Images and thumbnails of the tasks of a project, the latest kept in memory up to a bound."""

    def __init__(
        self,
        images: ImageSource,
        index: TaskIndex,
        connections: Connections,
        thumbnails: SmallFiles,
        *,
        most_bytes: int = 48 * 1024**2,
    ) -> None:
        """Join the collaborators; thumbnails: those of all web processes of this machine."""
        self._images = images
        self._index = index
        self._connections = connections
        self._thumbnails = thumbnails
        # The image that somebody looks at never waits behind a strip of thumbnails.
        self._looking = threading.Semaphore(_DECODES_AT_ONCE)
        self._listing = threading.Semaphore(_DECODES_AT_ONCE)
        self._cutting = threading.Semaphore(_TILES_AT_ONCE)
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[str, ...], JpegImage] = LRUCache(
            most_bytes, getsizeof=lambda encoded: len(encoded.data)
        )

    def image(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return one image of a task, at most 2048 px large. Raises NotFoundError, FetchError."""
        return self._shrunk(self._place(key, task_id, page), PREVIEW_PX, _IMAGE_QUALITY)

    def for_report(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return one image of a task at the size of a report. Raises NotFoundError, FetchError."""
        return self._shrunk(self._place(key, task_id, page), REPORT_PX, _THUMBNAIL_QUALITY)

    def _shrunk(self, place: _Place, longest_px: int, quality: int) -> JpegImage:
        name = (place.picture_id, f"at most {longest_px} px")
        if (kept := self._in_memory(name)) is not None:
            return kept
        with self._looking:
            pixels, size = self._images.shrunk(place.reference, place.access, longest_px)
            return self._keep(name, _encode(pixels, size, quality))

    def thumbnail(self, key: str, task_id: int, page: int) -> JpegImage:
        """Return a small picture of one image of a task. Raises NotFoundError, FetchError."""
        place = self._place(key, task_id, page)
        name = (place.picture_id, "thumbnail")
        if (kept := self._in_memory(name)) is not None:
            return kept
        file = hashlib.blake2b(f"{_FORMAT} {place.picture_id}".encode(), digest_size=20).hexdigest()
        with self._listing:
            content = self._thumbnails.read(file)
            found = None if content is None else JpegImage.unpacked(content)
            if found is None:
                pixels, size = self._images.shrunk(place.reference, place.access, THUMBNAIL_PX)
                found = _encode(pixels, size, _THUMBNAIL_QUALITY)
                self._thumbnails.write(file, found.packed())
        return self._keep(name, found)

    def tile(self, key: str, task_id: int, page: int, level: int, column: int, row: int) -> JpegImage:
        """Return a tile of 512 x 512 px, smaller at the right and lower border, of the image at 1 / 2^level.

        Raises NotFoundError, also beyond the level at which one tile shows the whole image, and FetchError.
        """
        place = self._place(key, task_id, page)
        name = (place.picture_id, f"tile {level} {column} {row}")
        if (kept := self._in_memory(name)) is not None:
            return kept
        with self._cutting:
            picture = self._images.pyramid(place.reference, place.access)
            size, side = picture.size, TILE_PX << min(level, 32)
            left, top = column * side, row * side
            if left >= size.width or top >= size.height or side >= 2 * max(size.width, size.height, TILE_PX):
                shape = f"{size.width} x {size.height} px"
                raise NotFoundError(f"an image of {shape} has no tile {column}, {row} at level {level}")
            right, bottom = min(left + side, size.width), min(top + side, size.height)
            target = ImageSize(-(-(right - left) >> level), -(-(bottom - top) >> level))
            pixels = picture.part(left, top, right, bottom, target)
        return self._keep(name, _encode(pixels, size, _IMAGE_QUALITY))

    def _place(self, key: str, task_id: int, page: int) -> _Place:
        pages = self._index.row(key, task_id).pages
        if not 0 <= page < len(pages):
            raise NotFoundError(f"task {task_id} has {len(pages)} images, there is no number {page}")
        reference, access = pages[page].reference, self._connections.image_access(key, task_id)
        return _Place(reference, access, self._images.picture_id(reference, access))

    def _in_memory(self, name: tuple[str, ...]) -> JpegImage | None:
        with self._lock:
            return self._kept.get(name)

    def _keep(self, name: tuple[str, ...], encoded: JpegImage) -> JpegImage:
        if len(encoded.data) <= self._kept.maxsize:
            with self._lock:
                self._kept[name] = encoded
        return encoded


def _encode(pixels: npt.NDArray[np.uint8], size: ImageSize, quality: int) -> JpegImage:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ImageDecodeError(
            f"an image of {size.width}x{size.height} pixels could not be encoded for the browser"
        )
    return JpegImage(data.tobytes(), size.width, size.height)
