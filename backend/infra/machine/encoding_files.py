"""Prepared images as files that all web processes of a machine share; the least recently used go first."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

TURNS = 64
KEEP_WHEN_FULL = 0.5
_PART = ".part"
_TURN = ".turn"
_WRITING = "writing.lock"


class SharedEncodings:
    """Files by name (hexadecimal), at no time more than `max_bytes` together, whoever writes.

    Readers take a file whole rather than by memory map: one that is cut short meanwhile then costs them a
    failed checksum, not the process. Locks are the kernel's, so a process that dies lets go of its own. It
    never fails its caller: what cannot be locked or written is not shared.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Share through `folder`, which is made when it is first needed."""
        self._folder = folder
        self._max_bytes = max_bytes

    @contextlib.contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Wait until nobody else on this machine makes the same one; hold the turn to make it.

        Names share a few locks, so now and then somebody waits for a stranger's image.
        """
        with self._locked(f"{int(name[:8], 16) % TURNS:02d}{_TURN}"):
            yield

    def read(self, name: str) -> bytes | None:
        """Return a file, or None; marks it as used."""
        path = self._folder / name
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            os.utime(path)
            return content
        return None

    def mark_used(self, name: str) -> None:
        """Let a file be among the last to go, as one whose copy in memory was used."""
        with contextlib.suppress(OSError):
            os.utime(self._folder / name)

    def write(self, name: str, content: bytes) -> None:
        """Store a file; the ones unused for longest make room first."""
        if len(content) > self._max_bytes:
            return
        with self._locked(_WRITING):
            try:
                self._make_room(self._max_bytes - len(content))
                self._replace(name, content)
            except OSError as exc:
                logger.warning("prepared images: %s; dropping half of them", exc.strerror or exc)
                with contextlib.suppress(OSError):
                    self._make_room(int(self.bytes_held() * KEEP_WHEN_FULL))

    def drop(self, name: str) -> None:
        """Remove a file, such as one that turned out to be damaged."""
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()

    def __contains__(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def bytes_held(self) -> int:
        """Return the bytes of all files, those being written included."""
        return sum(size for _, size, _ in self._files())

    @contextlib.contextmanager
    def _locked(self, lock: str) -> Iterator[None]:
        descriptor = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            logger.warning("prepared images cannot be shared: %s: %s", self._folder, exc.strerror or exc)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (time of use, bytes, path) of every file, oldest first."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(_TURN) or entry.name == _WRITING:
                    continue
                with contextlib.suppress(OSError):
                    stat = entry.stat()
                    found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
        return sorted(found)

    def _make_room(self, limit_bytes: int) -> None:
        """Delete files until they hold at most `limit_bytes`; only under the lock for writing.

        A half-written file is one whose writer died, as nobody else writes now: it goes in any case.
        """
        files = self._files()
        used = sum(size for _, size, path in files if path.suffix != _PART)
        for _, size, path in files:
            if path.suffix == _PART:
                path.unlink(missing_ok=True)
            elif used > limit_bytes:
                path.unlink(missing_ok=True)
                used -= size

    def _replace(self, name: str, content: bytes) -> None:
        descriptor, part = tempfile.mkstemp(suffix=_PART, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            os.replace(part, self._folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
