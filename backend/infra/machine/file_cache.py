"""A cache of files that all processes of a machine share; the least recently used go first."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.written_whole import PART, written_whole

logger = logging.getLogger(__name__)

TURNS = 64
KEEP_WHEN_FULL = 0.5
STALE_PART_S = 3600.0
_TOUCH_AFTER_S = 10.0
_LOCK = ".lock"


@dataclass(frozen=True, order=True)
class Held:
    """Something that a cache holds: a file, or a folder."""

    used_at: float
    size_bytes: int
    path: Path


def least_used(held: Iterable[Held], limit_bytes: float) -> list[Held]:
    """Return what has to go for the rest to take at most `limit_bytes`, the least recently used first."""
    oldest_first = sorted(held)
    excess = sum(one.size_bytes for one in oldest_first) - limit_bytes
    going = []
    for one in oldest_first:
        if excess <= 0:
            break
        going.append(one)
        excess -= one.size_bytes
    return going


class FileCache:
    """Files by name (hexadecimal), together at most `max_bytes`.

    slack: share of the bound that each process may write between two looks at all files. Without any, the
    bound holds at every time, whoever writes; with some, writing costs less, and several processes may pass
    the bound together by their shares. largest: share of the bound that one file may have.

    Readers take a file whole rather than by memory map: one that is cut short meanwhile then costs them a
    failed checksum, not the process. Locks are the kernel's, so a process that dies lets go of its own. It
    never fails its caller: what cannot be locked or written is not kept.
    """

    def __init__(self, folder: Path, max_bytes: int, *, slack: float = 0.0, largest: float = 1.0) -> None:
        """Keep files in `folder`, which is made when it is first needed."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._largest_bytes = int(max_bytes * largest)
        self._slack_bytes = int(max_bytes * slack)
        self._unseen_bytes = self._slack_bytes  # written since the last look; the first write looks
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes | None:
        """Return a file, or None; marks it as used."""
        path = self.path(name)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            self.mark_used(name)
            return content
        return None

    def write(self, name: str, content: bytes) -> None:
        """Keep a file; the ones unused for longest make room first, half of all where the disk is full."""
        if len(content) > self._largest_bytes:
            return
        with self._writing():
            if self._is_look_due(len(content)):
                self._make_room(self._max_bytes - max(len(content), self._slack_bytes))
            try:
                self._replace(name, content)
            except OSError as exc:
                logger.warning("cache %s: %s; dropping half of it", self._folder, exc.strerror or exc)
                self._make_room(self.bytes_held() * KEEP_WHEN_FULL)
                with contextlib.suppress(OSError):
                    self._replace(name, content)

    @contextlib.contextmanager
    def written(self, name: str, size_bytes: int) -> Iterator[Path]:
        """Lend a path to write a file of so many bytes to, which is kept once the block has ended well.

        For what is too large to be handed over as bytes. Raises OSError, also where it would be too large.
        """
        if size_bytes > self._largest_bytes:
            raise OSError(errno.EFBIG, f"{size_bytes} bytes are too many for the cache {self._folder}")
        with self._writing():
            self._make_room(self._max_bytes - size_bytes)
        with written_whole(self.path(name)) as part:
            yield part

    def mark_used(self, name: str) -> None:
        """Let a file be among the last to go."""
        path = self.path(name)
        with contextlib.suppress(OSError):
            stat = path.stat()
            if time.time() - stat.st_atime > _TOUCH_AFTER_S:
                os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))

    def confirm(self, name: str) -> None:
        """Note that the content is what it has to be now."""
        with contextlib.suppress(OSError):
            os.utime(self.path(name))

    def confirmed_at(self, name: str) -> float | None:
        """Return the unix time at which a file was written or confirmed; None where there is none."""
        with contextlib.suppress(OSError):
            return self.path(name).stat().st_mtime
        return None

    def drop(self, name: str) -> None:
        """Remove a file, such as one that turned out to be damaged."""
        with contextlib.suppress(OSError):
            self.path(name).unlink()

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()

    def bytes_held(self) -> int:
        """Return the bytes of all files, those being written included."""
        return sum(one.size_bytes for one in self._held())

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait until nobody else on this machine makes the same file; and keep others from making it.

        Names share a few locks, so now and then somebody waits for a stranger's file.
        """
        with self._locked(f"turn-{int(name[:8], 16) % TURNS:02d}"):
            yield

    @contextlib.contextmanager
    def _locked(self, lock: str) -> Iterator[None]:
        descriptor = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._folder / f"{lock}{_LOCK}", flags, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            logger.warning("cache %s cannot be shared: %s", self._folder, exc.strerror or exc)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def path(self, name: str) -> Path:
        """Return where a file is, or would be."""
        return self._folder / name[:2] / name

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._slack_bytes else self._locked("writing")

    def _is_look_due(self, added_bytes: int) -> bool:
        with self._lock:
            self._unseen_bytes += added_bytes
            is_due = self._unseen_bytes >= self._slack_bytes
            if is_due:
                self._unseen_bytes = added_bytes
            return is_due

    def _held(self) -> list[Held]:
        held = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                if name.endswith(_LOCK):
                    continue
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    held.append(Held(stat.st_atime, stat.st_size, path))
        return held

    def _make_room(self, limit_bytes: float) -> None:
        """Delete files until they take at most `limit_bytes`, and half-written ones whose writer died.

        Under the lock for writing nobody else writes, so every half-written file is such a one.
        """
        parts: list[Held] = []
        whole: list[Held] = []
        for one in self._held():
            (parts if one.path.suffix == PART else whole).append(one)
        stale_s = STALE_PART_S if self._slack_bytes else 0.0
        dead = [part for part in parts if time.time() - part.used_at >= stale_s]
        for one in [*dead, *least_used(whole, limit_bytes)]:
            with contextlib.suppress(OSError):
                one.path.unlink()

    def _replace(self, name: str, content: bytes) -> None:
        with written_whole(self.path(name)) as part, open(part, "wb", opener=_for_nobody_else) as stream:
            stream.write(content)


def _for_nobody_else(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
