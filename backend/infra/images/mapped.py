"""Large pictures decoded once a machine: their pixels lie in files that every process maps into its memory.

What is mapped is the system's to drop and to read again, so a picture of any size costs a process no memory
of its own. One file holds all levels of a pyramid, so a part of the picture at any scale is a short read.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid, halved_rows, level_sizes, size_of
from backend.infra.images.decode import Allocate, Decoded, Pixels
from backend.infra.machine.file_cache import FileCache

logger = logging.getLogger(__name__)

SMALLEST_LEVEL_PX = 512
_HEADER_BYTES = 4096  # a page, so that the pixels begin at one
_FORMAT = "1"
"""Part of each file's name: to be changed with the layout, and with what decoding makes of a file."""


@dataclass(frozen=True, eq=False)
class DecodedPyramid:
    """pyramid: one level where the picture was not worth a file. stretched: as `Decoded` has it."""

    pyramid: Pyramid
    stretched: tuple[int, int] | None


class MappedPictures:
    """Decoded pictures by their ids, within the cache's bound. Threads and processes may share it."""

    def __init__(self, cache: FileCache) -> None:
        self._cache = cache

    def open(self, picture_id: str) -> DecodedPyramid | None:
        """Return a picture that was kept; None where it was not, or not for long enough."""
        name = _name_of(picture_id)
        try:
            with open(self._cache.path(name), "rb") as file:
                header = json.loads(file.read(_HEADER_BYTES).rstrip(b"\0"))
                mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
            sizes = [ImageSize(*size_wh) for size_wh in header["sizes_wh"]]
            stretched = (
                None if header["stretched"] is None else (header["stretched"][0], header["stretched"][1])
            )
            self._cache.mark_used(name)
            return DecodedPyramid(Pyramid.of(*_levels(mapped, sizes)), stretched)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, IndexError, TypeError) as exc:
            logger.warning("a decoded picture is damaged and is made again: %s", exc)
            self._cache.drop(name)
            return None

    def made(self, picture_id: str, decode: Callable[[Allocate], Decoded]) -> DecodedPyramid:
        """Return a picture, decoded and kept if it is not here yet; in memory where there is no room for it.

        decode gets the function that allocates the pixels. Its errors are raised.
        """
        name = _name_of(picture_id)
        with self._cache.lock(name):
            return self.open(picture_id) or self._decoded(name, decode)

    def _decoded(self, name: str, decode: Callable[[Allocate], Decoded]) -> DecodedPyramid:
        part: Path | None = None
        with contextlib.ExitStack() as file:

            def allocate(height: int, width: int) -> Pixels:
                nonlocal part
                sizes = level_sizes(ImageSize(width, height), SMALLEST_LEVEL_PX)
                total_bytes = _HEADER_BYTES + sum(_bytes_of(size) for size in sizes)
                try:
                    with contextlib.ExitStack() as trial:
                        lent = trial.enter_context(self._cache.written(name, total_bytes))
                        with open(lent, "xb", opener=_for_nobody_else) as empty:
                            # A disk that fills up must not be noticed by writing to mapped memory.
                            os.posix_fallocate(empty.fileno(), 0, total_bytes)
                        pixels = _levels(_mapped(lent), sizes[:1])[0]
                        file.push(trial.pop_all())  # what fails up to here leaves no file behind
                except OSError as exc:
                    logger.warning("a picture is decoded into memory: %s", exc.strerror or exc)
                    return np.empty((height, width, 3), np.uint8)
                part = lent
                return pixels

            decoded = decode(allocate)
            if part is not None:
                return _completed(part, decoded)
        return DecodedPyramid(Pyramid.of(decoded.pixels), decoded.stretched)


def _completed(part: Path, decoded: Decoded) -> DecodedPyramid:
    """Write the smaller levels and the header beside the pixels that a file has already."""
    sizes = level_sizes(size_of(decoded.pixels), SMALLEST_LEVEL_PX)
    mapped = _mapped(part)
    levels = _levels(mapped, sizes)
    for larger, smaller in itertools.pairwise(levels):
        for first, rows in halved_rows(larger):
            smaller[first : first + len(rows)] = rows
    sizes_wh = [[size.width, size.height] for size in sizes]
    header = json.dumps({"sizes_wh": sizes_wh, "stretched": decoded.stretched}).encode()
    mapped[: len(header)] = np.frombuffer(header, np.uint8)
    mapped.flags.writeable = False
    return DecodedPyramid(Pyramid.of(*_levels(mapped, sizes)), decoded.stretched)


def _name_of(picture_id: str) -> str:
    return hashlib.blake2b(f"{_FORMAT} {picture_id}".encode(), digest_size=20).hexdigest()


def _bytes_of(size: ImageSize) -> int:
    return size.width * size.height * 3


def _mapped(path: Path) -> Pixels:
    return np.memmap(path, np.uint8, "r+").view(np.ndarray)


def _levels(mapped: Pixels, sizes: list[ImageSize]) -> tuple[Pixels, ...]:
    """Return the levels that lie one after another behind the header. Raises ValueError for a short file."""
    levels, at = [], _HEADER_BYTES
    for size in sizes:
        levels.append(mapped[at : at + _bytes_of(size)].reshape(size.height, size.width, 3))
        at += _bytes_of(size)
    return tuple(levels)


def _for_nobody_else(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
