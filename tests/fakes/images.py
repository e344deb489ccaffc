"""The ImageSource port without a network or a disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid
from backend.errors import ImageNotFound
from backend.service.ports import CacheUse, ImageAccess


class FakeImages:
    """The ImageSource port: arrays or errors by reference; unknown references are not found."""

    def __init__(self, images: Mapping[str, Any] | None = None, seconds: float = 0.0) -> None:
        self.images: dict[str, Any] = dict(images or {})
        self.seconds = seconds
        self.asked: list[tuple[str, ImageAccess]] = []
        self.cached: set[str] = set()
        self.orientations: dict[str, int] = {}
        self.stretched: dict[str, tuple[int, int]] = {}
        self._use = CacheUse()

    def load_rgb(self, reference: str, access: ImageAccess) -> np.ndarray:
        self.asked.append((reference, access))
        if self.seconds:
            time.sleep(self.seconds)
        is_cached = self.is_cached(reference, access)
        self._use = CacheUse(self._use.hits + is_cached, self._use.misses + (not is_cached))
        found = self.images.get(reference, ImageNotFound(f"there is no image {reference}"))
        if isinstance(found, Exception):
            raise found
        self.cached.add(reference)
        return found

    def pyramid(self, reference: str, access: ImageAccess) -> Pyramid:
        return Pyramid.of(self.load_rgb(reference, access))

    def shrunk(self, reference: str, access: ImageAccess, longest_px: int) -> tuple[np.ndarray, ImageSize]:
        pyramid = self.pyramid(reference, access)
        return pyramid.shrunk(longest_px), pyramid.size

    def stretched_range(self, reference: str, access: ImageAccess) -> tuple[int, int] | None:
        return self.stretched.get(reference)

    def orientation(self, reference: str, access: ImageAccess) -> int:
        found = self.images.get(reference)
        if isinstance(found, Exception):
            raise found
        return self.orientations.get(reference, 1)

    def picture_id(self, reference: str, access: ImageAccess) -> str:
        found = self.images.get(reference)
        if isinstance(found, Exception):
            raise found
        return reference if found is None else hashlib.sha256(found.tobytes()).hexdigest()

    def known_picture_id(self, reference: str, access: ImageAccess) -> str | None:
        return self.picture_id(reference, access)

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        return reference in self.cached

    def cache_use(self) -> CacheUse:
        return self._use
