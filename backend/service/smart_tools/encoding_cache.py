"""Encodings of images for the smart tools: made once for all who ask, kept within a bound of bytes.

Two tiers. What this process used last is kept in memory; below it lie files that all web processes of the
machine use, so that a second process reads what the first one made. `ENCODING_CACHE_BYTES` bounds both
together for the whole machine: half is for the files, half for the memory of all processes.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple, Protocol

from backend.service.engine.shared_cache import SharedCache, Start
from backend.service.ports import EncodingFiles

logger = logging.getLogger(__name__)

_FORMAT = "2"
"""Part of each file's name: to be changed with the meaning of what is packed."""


class EncodingKey(NamedTuple):
    """What one encoding belongs to; version is NOT_TRAINED before any training.

    picture_id: of what stands at the image's address now, as another picture there has its own encoding.
    embedder: the name of the network whose features are kept with it, empty without one.
    """

    project_key: str
    version: str
    picture_id: str
    embedder: str = ""

    @property
    def file_name(self) -> str:
        """Name of the shared file, hexadecimal."""
        framed = "".join(f"{len(part)}:{part}" for part in (_FORMAT, *self))
        return hashlib.blake2b(framed.encode(), digest_size=20).hexdigest()


class Sized(Protocol):
    """What the cache keeps."""

    @property
    def bytes_held(self) -> int:
        """Most memory this value may come to take."""


class EncodingCache:
    """The last used encodings; all who ask for the same one wait for one making.

    In one process that is a matter of threads, on one machine of the files' locks. pack and unpack make a
    file's bytes of a value and back; unpack raises ValueError for damaged bytes, which are made anew.
    """

    def __init__(
        self,
        memory_bytes: int,
        files: EncodingFiles,
        pack: Callable[[Sized], bytes],
        unpack: Callable[[bytes], Sized],
    ) -> None:
        """memory_bytes: bound of this process; the files have their own."""
        self._files = files
        self._pack = pack
        self._unpack = unpack
        self._memory: SharedCache[EncodingKey, Sized] = SharedCache(
            memory_bytes, size_of=lambda value: value.bytes_held
        )
        self.made = 0

    def ask(self, key: EncodingKey, make: Callable[[], Sized], start: Start) -> Future[Sized]:
        """Return the encoding of `key` as a future, already done if it is in memory.

        start: runs the reading or making that the first caller causes, here or in another thread. An error
        of `make` goes to everybody who waits for it, and the next caller tries again.
        """
        if self._memory.is_kept(key):
            self._files.mark_used(key.file_name)
        return self._memory.ask(key, partial(self._shared, key, make), start)

    def keys(self) -> list[EncodingKey]:
        """Return what is kept in memory, the least recently used first."""
        return [key for key, _ in self._memory.kept()]

    @property
    def bytes_held(self) -> int:
        """Memory that the encodings of this process take."""
        return self._memory.size_held

    def __contains__(self, key: EncodingKey) -> bool:
        """Tell whether an encoding is kept by any process of the machine, or made by this one."""
        return key in self._memory or key.file_name in self._files

    def __len__(self) -> int:
        return len(self._memory)

    def _shared(self, key: EncodingKey, make: Callable[[], Sized]) -> Sized:
        """Return the encoding from its file, else made and written to it for the other processes."""
        name = key.file_name
        value = self._read(name)
        if value is not None:
            return value
        with self._files.lock(name):
            value = self._read(name)  # another process may just have made it
            if value is None:
                value = make()
                self.made += 1
                self._files.write(name, self._pack(value))
        return value

    def _read(self, name: str) -> Sized | None:
        content = self._files.read(name)
        if content is None:
            return None
        try:
            return self._unpack(content)
        except ValueError as exc:
            logger.warning("%s", exc)
            self._files.drop(name)
            return None
