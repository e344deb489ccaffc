"""The ImageSource for work without a service: images that lie in a folder, all others from where they are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from backend.errors import ImageNotFound, ImageTooLarge
from backend.infra.images.decode import decode_rgb
from backend.service.ports import CacheUse, ImageAccess, ImageSource


class FolderImages:
    """Looks for a task's reference below a folder first: by its path, then by its bare name.

    Exports name uploads `/data/upload/7/3f2a91c0-cat.jpg`; the same image is often at hand as
    `3f2a91c0-cat.jpg` or `cat.jpg`.
    """

    def __init__(self, folder: Path, others: ImageSource, *, max_bytes: int, max_pixels: int) -> None:
        self._folder = folder.resolve()
        self._others = others
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], EXIF orientation applied. Raises FetchError."""
        path = self._find(reference)
        if path is None:
            return self._others.load_rgb(reference, access)
        if path.stat().st_size > self._max_bytes:
            raise ImageTooLarge(f"{path.name} has {path.stat().st_size} bytes, IMAGE_MAX_BYTES allows fewer")
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise ImageNotFound(f"{path} cannot be read: {exc.strerror}") from exc
        return decode_rgb(content, self._max_pixels)

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        """Tell whether `load_rgb` would need no network."""
        return self._find(reference) is not None or self._others.is_cached(reference, access)

    def cache_use(self) -> CacheUse:
        """Return how the cache served images that do not lie in the folder."""
        return self._others.cache_use()

    def _find(self, reference: str) -> Path | None:
        if not isinstance(reference, str) or reference.startswith("data:"):
            return None
        relative = unquote(urlsplit(reference).path).lstrip("/")
        bare = relative.rpartition("/")[2]
        for name in (relative, bare, bare.partition("-")[2]):
            path = (self._folder / name).resolve() if name else self._folder
            if path.is_file() and path.is_relative_to(self._folder):
                return path
        return None
