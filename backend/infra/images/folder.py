"""The ImageSource for work without a service: images that lie in a folder, all others from where they are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid
from backend.errors import FetchError, ImageNotFound, ImageTooLarge
from backend.infra.images.decode import (
    decode,
    decode_shrunk,
    orientation_of,
    stretched_range_of,
)
from backend.infra.images.folder_names import FolderNames
from backend.pixel_room import PixelRoom
from backend.service.ports import CacheUse, ImageAccess, ImageSource


class FolderImages:
    """Looks for a task's reference below a folder first; `folder_names` says what fits.

    references: of all tasks, as far as they are known; they help to tell which files are meant.
    unfound: why an image could not be had, by reference, of those that were asked for.
    """

    def __init__(
        self,
        folder: Path,
        others: ImageSource,
        *,
        references: Iterable[str] = (),
        max_bytes: int,
        max_pixels: int,
    ) -> None:
        self._folder = folder.resolve()
        self._others = others
        self._references = tuple(references)
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._room = PixelRoom()
        self.unfound: dict[str, str] = {}

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], turned as a browser turns it. Raises FetchError."""
        try:
            path = self._names.find(reference)
            image = self._from_elsewhere(reference, access) if path is None else self._read(path)
        except FetchError as exc:
            self.unfound[str(reference)[:200]] = str(exc)
            raise
        self.unfound.pop(reference, None)
        return image

    def pyramid(self, reference: str, access: ImageAccess) -> Pyramid:
        """Return the picture of `load_rgb`, only at its own size if it lies in the folder.

        Raises FetchError.
        """
        if self._names.find(reference) is None:
            return self._others.pyramid(reference, access)
        return Pyramid.of(self.load_rgb(reference, access))

    def shrunk(
        self, reference: str, access: ImageAccess, longest_px: int
    ) -> tuple[npt.NDArray[np.uint8], ImageSize]:
        """Return the picture of `load_rgb` at most so large, and its true size. Raises FetchError."""
        path = self._names.find(reference)
        if path is None:
            return self._others.shrunk(reference, access, longest_px)
        return decode_shrunk(self._bytes(path), self._max_pixels, longest_px, room=self._room)

    def stretched_range(self, reference: str, access: ImageAccess) -> tuple[int, int] | None:
        """Return which 16-bit values `load_rgb` shows as 0 and 255, None where it shows their full range.

        Raises FetchError.
        """
        path = self._names.find(reference)
        if path is None:
            return self._others.stretched_range(reference, access)
        return stretched_range_of(self._bytes(path), self._max_pixels, self._room)

    def orientation(self, reference: str, access: ImageAccess) -> int:
        """Return the EXIF orientation by which `load_rgb` turns an image: 1 to 8. Raises FetchError."""
        path = self._names.find(reference)
        return (
            self._others.orientation(reference, access) if path is None else orientation_of(self._bytes(path))
        )

    def _read(self, path: Path) -> npt.NDArray[np.uint8]:
        return decode(self._bytes(path), self._max_pixels, room=self._room).pixels

    def _bytes(self, path: Path) -> bytes:
        try:
            size_bytes = path.stat().st_size
            if size_bytes > self._max_bytes:
                raise ImageTooLarge(
                    f"{path} has {size_bytes} bytes, accepted are {self._max_bytes} (IMAGE_MAX_BYTES)"
                )
            return path.read_bytes()
        except OSError as exc:
            raise ImageNotFound(f"{path} cannot be read: {exc.strerror}") from exc

    def picture_id(self, reference: str, access: ImageAccess) -> str:
        """Return what tells a picture from others that stand or stood at its address. Raises FetchError."""
        known = self.known_picture_id(reference, access)
        return self._others.picture_id(reference, access) if known is None else known

    def known_picture_id(self, reference: str, access: ImageAccess) -> str | None:
        """Return what `picture_id` does, or None where that has to ask the network. Raises FetchError."""
        path = self._names.find(reference)
        if path is None:
            return self._others.known_picture_id(reference, access)
        try:
            stat = path.stat()
        except OSError as exc:
            raise ImageNotFound(f"{path} cannot be read: {exc.strerror}") from exc
        return f"{path} {stat.st_size} {stat.st_mtime_ns}"

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        """Tell whether the picture is on this machine."""
        try:
            return self._names.find(reference) is not None or self._others.is_cached(reference, access)
        except ImageNotFound:
            return True

    def cache_use(self) -> CacheUse:
        """Return how the cache served images that do not lie in the folder."""
        return self._others.cache_use()

    @cached_property
    def _names(self) -> FolderNames:
        return FolderNames(self._folder, self._references)

    def _from_elsewhere(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        try:
            return self._others.load_rgb(reference, access)
        except FetchError as exc:
            if isinstance(reference, str) and reference.startswith("data:"):
                raise
            raise type(exc)(f"no file below {self._folder} is {reference!r:.200}, and {exc}") from exc
