"""The ImageSource: from the reference in a task to pixels, by way of a cache on disk."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from backend.errors import FetchError, HostAway, ImageDecodeError
from backend.infra.images.cached_picture import CachedPicture, Validators, picture_id_of
from backend.infra.images.decode import decode_rgb, orientation_of
from backend.infra.images.download import Downloader
from backend.infra.images.reference import is_text
from backend.infra.machine.file_cache import FileCache
from backend.infra.network.addresses import AddressRules
from backend.service.ports import CacheUse, ImageAccess
from backend.settings import Settings

logger = logging.getLogger(__name__)

LOCK_STRIPES = 64
ASK_AGAIN_AFTER_S = 30.0
"""For so long a picture is used without asking its host whether it is still the one."""
FETCH_AGAIN_AFTER_S = 600.0
"""The same where the host says nothing to ask with, so that the whole file would come."""
ASKING_TIMEOUT_S = 4.0
CACHE_SLACK = 0.05
LARGEST_SHARE_OF_CACHE = 0.25
_IDS_IN_MEMORY = 10_000


class ImageFetcher:
    """The ImageSource of `backend.service.ports`. Threads may share one.

    Two threads that want the same image at once fetch it once. A picture in the cache is used for
    ASK_AGAIN_AFTER_S; then its host is asked whether it has another by now. A host that is away costs nothing
    but the asking: what is here goes on being used.
    """

    def __init__(self, downloader: Downloader, cache: FileCache | None, *, max_pixels: int) -> None:
        self._downloader = downloader
        self._cache = cache
        self._max_pixels = max_pixels
        self._locks = [threading.Lock() for _ in range(LOCK_STRIPES)]
        self._use = CacheUse()
        self._memory_lock = threading.Lock()
        # Saves reading a file only to tell which picture it is: key -> (time of its confirmation, id).
        self._ids: LRUCache[str, tuple[float, str]] = LRUCache(_IDS_IN_MEMORY)

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
        cache = FileCache(
            settings.data_dir / "cache" / "images",
            settings.image_cache_bytes,
            slack=CACHE_SLACK,
            largest=LARGEST_SHARE_OF_CACHE,
        )
        return cls(downloader, cache, max_pixels=settings.image_max_pixels)

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], turned as browsers turn it. Raises FetchError."""
        if self._cache is None or not _is_cacheable(reference):
            return decode_rgb(self._fetch(reference, access).content, self._max_pixels)
        picture, was_here = self._current(self._cache, reference, access)
        try:
            return decode_rgb(picture.content, self._max_pixels)
        except ImageDecodeError:
            # An error page or a half file is not worth keeping: the next try may bring the image.
            self._cache.drop(cache_key(reference, access))
            if not was_here:
                raise
        return decode_rgb(self._fetch(reference, access).content, self._max_pixels)

    def orientation(self, reference: str, access: ImageAccess) -> int:
        """Return the EXIF orientation by which `load_rgb` turns an image: 1 to 8. Raises FetchError."""
        if self._cache is None or not _is_cacheable(reference):
            return orientation_of(self._fetch(reference, access).content)
        return orientation_of(self._current(self._cache, reference, access)[0].content)

    def picture_id(self, reference: str, access: ImageAccess) -> str:
        """Return what tells a picture from others that stand or stood at its address. Raises FetchError."""
        known = self.known_picture_id(reference, access)
        if known is not None:
            return known
        if self._cache is None or not _is_cacheable(reference):
            return self._fetch(reference, access).picture_id
        return self._current(self._cache, reference, access)[0].picture_id

    def known_picture_id(self, reference: str, access: ImageAccess) -> str | None:
        """Return what `picture_id` does, or None where that has to ask the host."""
        if is_text(reference) and reference.startswith("data:"):
            return picture_id_of(reference.encode())
        if self._cache is None or not _is_cacheable(reference):
            return None
        key = cache_key(reference, access)
        confirmed_at = self._cache.confirmed_at(key)
        if confirmed_at is None:
            return None
        with self._memory_lock:
            noted_at, picture_id = self._ids.get(key, (None, ""))
        if noted_at == confirmed_at and _age_s(confirmed_at) < ASK_AGAIN_AFTER_S:
            return picture_id
        held = self._read(self._cache, key)
        return held.picture_id if held is not None and not _is_due(held, confirmed_at) else None

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        """Tell whether the picture is here, so that `load_rgb` has little to ask for."""
        if not is_text(reference) or reference.startswith("data:"):
            return True
        return self._cache is not None and cache_key(reference, access) in self._cache

    def cache_use(self) -> CacheUse:
        """Return how many images came from the cache since the process began; data URIs do not count."""
        return self._use

    def _fetch(self, reference: str, access: ImageAccess) -> CachedPicture:
        picture = self._downloader.fetch(reference, access)
        if picture is None:
            raise AssertionError("without validators no host says that nothing has changed")
        return picture

    def _current(self, cache: FileCache, reference: str, access: ImageAccess) -> tuple[CachedPicture, bool]:
        """Return the picture that is at an address now, and whether it was here. Raises FetchError."""
        key = cache_key(reference, access)
        with self._locks[int(key[:8], 16) % LOCK_STRIPES]:
            confirmed_at = cache.confirmed_at(key)
            held = None if confirmed_at is None else self._read(cache, key)
            if held is None or confirmed_at is None:
                picture = self._fetch(reference, access)
                cache.write(key, picture.packed())
            elif _is_due(held, confirmed_at):
                picture = self._asked_again(cache, key, held, reference, access)
            else:
                picture = held
        was_here = picture is held
        self._count(hits=int(was_here), misses=int(not was_here))
        return picture, was_here

    def _asked_again(
        self, cache: FileCache, key: str, held: CachedPicture, reference: str, access: ImageAccess
    ) -> CachedPicture:
        try:
            picture = self._downloader.fetch(
                reference, access, known=held.validators, timeout_s=ASKING_TIMEOUT_S
            )
        except HostAway as exc:
            logger.warning("an image is used as it was fetched before: %s", exc)
            picture = None
        except FetchError:
            cache.drop(key)
            raise
        if picture is None or picture.picture_id == held.picture_id:
            cache.confirm(key)
            return held
        cache.write(key, picture.packed())
        return picture

    def _read(self, cache: FileCache, key: str) -> CachedPicture | None:
        confirmed_at = cache.confirmed_at(key)
        kept = cache.read(key)
        if kept is None or confirmed_at is None:
            return None
        picture = CachedPicture.unpacked(kept)
        with self._memory_lock:
            self._ids[key] = confirmed_at, picture.picture_id
        return picture

    def _count(self, *, hits: int, misses: int) -> None:
        with self._memory_lock:
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


def _is_due(held: CachedPicture, confirmed_at: float) -> bool:
    """Tell whether the host of a picture is to be asked again."""
    can_ask = held.validators != Validators()
    return _age_s(confirmed_at) >= (ASK_AGAIN_AFTER_S if can_ask else FETCH_AGAIN_AFTER_S)


def _age_s(confirmed_at: float) -> float:
    # A clock that was set back must not keep a picture for good.
    return abs(time.time() - confirmed_at)
