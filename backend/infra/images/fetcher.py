"""The ImageSource: from the reference in a task to pixels, by way of a cache on disk."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid
from backend.errors import FetchError, HostAway, ImageDecodeError
from backend.infra.images.cached_picture import CachedPicture, Validators, picture_id_of
from backend.infra.images.decode import (
    Allocate,
    Decoded,
    decode,
    decode_shrunk,
    orientation_of,
    size_in_header,
    stretched_range_of,
)
from backend.infra.images.download import Downloader
from backend.infra.images.mapped import DecodedPyramid, MappedPictures
from backend.infra.images.reference import is_text
from backend.infra.machine.file_cache import FileCache
from backend.infra.network.addresses import AddressRules
from backend.pixel_room import PixelRoom
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
LARGE_PIXELS = 16_000_000
"""From here up a picture's pixels are kept in a file for all: decoding them is what takes long."""
SMALL_SIDE_PX = 1600
"""Up to here a picture is its own pyramid: what would be cut from it is decoded as fast."""
_IDS_IN_MEMORY = 10_000
_T = TypeVar("_T")


class ImageFetcher:
    """The ImageSource of `backend.service.ports`. Threads may share one.

    Two threads that want the same image at once fetch it once. A picture in the cache is used for
    ASK_AGAIN_AFTER_S; then its host is asked whether it has another by now. A host that is away costs nothing
    but the asking: what is here goes on being used.
    """

    def __init__(
        self,
        downloader: Downloader,
        cache: FileCache | None,
        *,
        max_pixels: int,
        decoded: FileCache | None = None,
    ) -> None:
        """Join the collaborators; decoded keeps the pixels of large pictures, None keeps none."""
        self._downloader = downloader
        self._cache = cache
        self._mapped = None if decoded is None else MappedPictures(decoded)
        self._max_pixels = max_pixels
        self._room = PixelRoom()
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
        # With slack, as files are written without the lock that no slack needs.
        decoded = FileCache(
            settings.data_dir / "cache" / "decoded", settings.decoded_cache_bytes, slack=CACHE_SLACK
        )
        return cls(downloader, cache, max_pixels=settings.image_max_pixels, decoded=decoded)

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], turned as browsers turn it. Raises FetchError.

        A large picture's pixels lie in a file that is mapped into memory: nobody writes to them.
        """
        return self._decoded(reference, access, _is_large).pyramid.levels[0]

    def pyramid(self, reference: str, access: ImageAccess) -> Pyramid:
        """Return the picture of `load_rgb` at halving sizes; at its own alone where it is small."""
        return self._decoded(reference, access, _is_not_small).pyramid

    def shrunk(
        self, reference: str, access: ImageAccess, longest_px: int
    ) -> tuple[npt.NDArray[np.uint8], ImageSize]:
        """Return the picture of `load_rgb` at most so large, and its true size. Raises FetchError.

        What is decoded already is not decoded again, and a large JPEG is decoded at a part of its size.
        """
        kept = self._kept(reference, access)
        if kept is not None:
            return kept.pyramid.shrunk(longest_px), kept.pyramid.size
        return self._read_by(
            lambda picture: decode_shrunk(picture.content, self._max_pixels, longest_px, room=self._room),
            reference,
            access,
        )

    def stretched_range(self, reference: str, access: ImageAccess) -> tuple[int, int] | None:
        """Return which 16-bit values `load_rgb` shows as 0 and 255, None where it shows their full range.

        Raises FetchError.
        """
        kept = self._kept(reference, access)
        if kept is not None:
            return kept.stretched
        return self._read_by(
            lambda picture: stretched_range_of(picture.content, self._max_pixels, self._room),
            reference,
            access,
        )

    def orientation(self, reference: str, access: ImageAccess) -> int:
        """Return the EXIF orientation by which `load_rgb` turns an image: 1 to 8. Raises FetchError."""
        if self._cache is None or not _is_cacheable(reference):
            return orientation_of(self._fetch(reference, access).content)
        return orientation_of(self._current(self._cache, reference, access)[0].content)

    def _decoded(
        self, reference: str, access: ImageAccess, is_worth: Callable[[ImageSize], bool]
    ) -> DecodedPyramid:
        kept = self._kept(reference, access)
        if kept is not None:
            self._count(hits=1, misses=0)
            return kept
        return self._read_by(partial(self._decode, is_worth=is_worth), reference, access)

    def _decode(self, picture: CachedPicture, is_worth: Callable[[ImageSize], bool]) -> DecodedPyramid:
        def into(allocate: Allocate) -> Decoded:
            return decode(picture.content, self._max_pixels, allocate=allocate, room=self._room)

        size = size_in_header(picture.content) if self._mapped is not None else None
        if self._mapped is not None and size is not None and is_worth(size):
            return self._mapped.made(picture.picture_id, into)
        decoded = decode(picture.content, self._max_pixels, room=self._room)
        return DecodedPyramid(Pyramid.of(decoded.pixels), decoded.stretched)

    def _kept(self, reference: str, access: ImageAccess) -> DecodedPyramid | None:
        """Return what is decoded already of the picture that is known to be at an address."""
        if self._mapped is None or self._cache is None or not _is_cacheable(reference):
            return None
        picture_id = self.known_picture_id(reference, access)
        return None if picture_id is None else self._mapped.open(picture_id)

    def _read_by(self, use: Callable[[CachedPicture], _T], reference: str, access: ImageAccess) -> _T:
        """Return what is made of the picture at an address; a broken one that was kept is fetched again."""
        if self._cache is None or not _is_cacheable(reference):
            return use(self._fetch(reference, access))
        picture, was_here = self._current(self._cache, reference, access)
        try:
            return use(picture)
        except ImageDecodeError:
            # An error page or a half file is not worth keeping: the next try may bring the image.
            self._cache.drop(cache_key(reference, access))
            if not was_here:
                raise
        return use(self._fetch(reference, access))

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


def _is_large(size: ImageSize) -> bool:
    return size.width * size.height >= LARGE_PIXELS


def _is_not_small(size: ImageSize) -> bool:
    return max(size.width, size.height) > SMALL_SIDE_PX


def _is_cacheable(reference: object) -> TypeGuard[str]:
    return is_text(reference) and bool(reference.strip()) and not reference.startswith("data:")


def _is_due(held: CachedPicture, confirmed_at: float) -> bool:
    """Tell whether the host of a picture is to be asked again."""
    can_ask = held.validators != Validators()
    return _age_s(confirmed_at) >= (ASK_AGAIN_AFTER_S if can_ask else FETCH_AGAIN_AFTER_S)


def _age_s(confirmed_at: float) -> float:
    # A clock that was set back must not keep a picture for good.
    return abs(time.time() - confirmed_at)
