"""Fetched image files on disk, shared by all processes of a machine; the least recently used go first."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
import time
from pathlib import Path

logger = logging.getLogger(__name__)

TOUCH_AFTER_S = 60.0
STALE_PART_S = 3600.0
SHRINK_TO = 0.9
SHRINK_WHEN_FULL_TO = 0.5
PART = ".part"


class ImageCache:
    """Files by key (hexadecimal), together at most `max_bytes`, a few per cent more between two clean-ups.

    It never fails its caller: what cannot be written is not cached.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._unaccounted_bytes = max_bytes  # so that the first write of a process cleans up

    def get(self, key: str) -> bytes | None:
        """Return the file, or None; marks it as used."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > TOUCH_AFTER_S:
                os.utime(path)
            return content
        return None

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def put(self, key: str, content: bytes) -> None:
        """Store a file; drops old ones when over the limit, or when the disk is full."""
        if len(content) > self._max_bytes // 4:
            return
        try:
            self._write(key, content)
        except OSError as exc:
            logger.warning("image cache: %s; dropping half of it", exc.strerror or exc)
            self._shrink(int(self._used_bytes() * SHRINK_WHEN_FULL_TO))
            try:
                self._write(key, content)
            except OSError as again:
                logger.warning("image cache: still %s; going on without", again.strerror or again)
                return
        with self._lock:
            self._unaccounted_bytes += len(content)
            is_due = self._unaccounted_bytes > self._max_bytes // 20
            if is_due:
                self._unaccounted_bytes = 0
        if is_due:
            self._shrink(self._max_bytes)

    def drop(self, key: str) -> None:
        """Remove a file, such as one that turned out not to be an image."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _write(self, key: str, content: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(suffix=PART, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (time of use, bytes, path) of every file, oldest first; removes parts that nobody writes."""
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.suffix != PART:
                    found.append((stat.st_mtime, stat.st_size, path))
                elif time.time() - stat.st_mtime > STALE_PART_S:
                    path.unlink()
        return sorted(found)

    def _used_bytes(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _shrink(self, limit_bytes: int) -> None:
        """Delete the least recently used files until well below the limit, if it is exceeded."""
        files = self._files()
        used = sum(size for _, size, _ in files)
        if used <= limit_bytes:
            return
        for _, size, path in files:
            if used <= limit_bytes * SHRINK_TO:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                used -= size
