"""The ImageSource: from the reference in a task to pixels, by way of a cache on disk."""

from __future__ import annotations

import hashlib
import threading
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from backend.errors import ImageDecodeError
from backend.infra.images.cache import ImageCache
from backend.infra.images.decode import decode_rgb
from backend.infra.images.download import Downloader
from backend.infra.images.reference import is_text
from backend.infra.network.addresses import AddressRules
from backend.service.ports import CacheUse, ImageAccess
from backend.settings import Settings

LOCK_STRIPES = 64


class ImageFetcher:
    """The ImageSource of `backend.service.ports`. Threads may share one.

    Two threads that want the same image at once fetch it once.
    """

    def __init__(self, downloader: Downloader, cache: ImageCache | None, *, max_pixels: int) -> None:
        self._downloader = downloader
        self._cache = cache
        self._max_pixels = max_pixels
        self._locks = [threading.Lock() for _ in range(LOCK_STRIPES)]
        self._use = CacheUse()
        self._use_lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> ImageFetcher:
        """Return the fetcher that the settings describe; touches neither disk nor network."""
        rules = AddressRules(settings.image_hosts, settings.allow_private_addresses)
        downloader = Downloader(
            rules,
            max_bytes=settings.image_max_bytes,
            timeout_s=settings.image_timeout_s,
            ca_bundle=settings.ca_bundle,
        )
        cache = ImageCache(settings.data_dir / "cache" / "images", settings.image_cache_bytes)
        return cls(downloader, cache, max_pixels=settings.image_max_pixels)

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], EXIF orientation applied. Raises FetchError."""
        if self._cache is None or not _is_cacheable(reference):
            return decode_rgb(self._downloader.fetch(reference, access), self._max_pixels)
        key = cache_key(reference, access)
        with self._locks[int(key[:8], 16) % LOCK_STRIPES]:
            content = self._cache.get(key)
            is_new = content is None
            self._count(hits=int(not is_new), misses=int(is_new))
            if content is None:
                content = self._downloader.fetch(reference, access)
                self._cache.put(key, content)
        try:
            return decode_rgb(content, self._max_pixels)
        except ImageDecodeError:
            # An error page or a half file is not worth keeping: the next try may bring the image.
            self._cache.drop(key)
            if is_new:
                raise
        return decode_rgb(self._downloader.fetch(reference, access), self._max_pixels)

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        """Tell whether `load_rgb` would need no network."""
        if not is_text(reference) or reference.startswith("data:"):
            return True
        return self._cache is not None and cache_key(reference, access) in self._cache

    def cache_use(self) -> CacheUse:
        """Return how many images came from the cache since the process began; data URIs do not count."""
        return self._use

    def _count(self, *, hits: int, misses: int) -> None:
        with self._use_lock:
            self._use = CacheUse(self._use.hits + hits, self._use.misses + misses)


def cache_key(reference: str, access: ImageAccess) -> str:
    """Return a key that only the same reference with the same rights has.

    A project must not read from the cache what its own credentials would not get it.
    """
    parts = (access.hostname, access.token, access.login, access.password, reference)
    framed = b"".join(
        b"-" if part is None else b"%d:%s" % (len(part.encode()), part.encode()) for part in parts
    )
    return hashlib.sha256(framed).hexdigest()


def _is_cacheable(reference: object) -> TypeGuard[str]:
    return is_text(reference) and bool(reference.strip()) and not reference.startswith("data:")
