"""Images prepared for the smart tools: made once for all who ask, kept within a bound of bytes.

Two tiers. What this process used last is kept in memory; below it lie files that all web processes of the
machine share, so that a second process reads what the first one made. `ENCODING_CACHE_BYTES` bounds both
together for the whole machine: half is for the files, half for the memory of all processes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from backend.service.ports import EncodingFiles

logger = logging.getLogger(__name__)

_FORMAT = "1"
"""Part of each file's name: to be changed with the meaning of what is packed."""


class EncodingKey(NamedTuple):
    """What one encoding belongs to; version is NOT_TRAINED before any training.

    embedder: the name of the network whose features are kept with it, empty without one.
    """

    project_key: str
    version: str
    reference: str
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

    In one process that is a matter of threads, on one machine of the files' turns. pack and unpack turn a
    value into a file's bytes and back; unpack raises ValueError for damaged bytes, which are made anew.
    """

    def __init__(
        self,
        memory_bytes: int,
        files: EncodingFiles,
        pack: Callable[[Sized], bytes],
        unpack: Callable[[bytes], Sized],
    ) -> None:
        """memory_bytes: bound of this process; the files have their own."""
        self._memory_bytes = memory_bytes
        self._files = files
        self._pack = pack
        self._unpack = unpack
        self._lock = threading.Lock()
        self._kept: OrderedDict[EncodingKey, tuple[Sized, int]] = OrderedDict()
        self._making: dict[EncodingKey, Future[Sized]] = {}
        self.bytes_held = 0
        self.made = 0

    def ask(
        self,
        key: EncodingKey,
        make: Callable[[], Sized],
        start: Callable[[Callable[[], None]], object],
    ) -> Future[Sized]:
        """Return the encoding of `key` as a future, already done if it is in memory.

        start: runs the reading or making that the first caller causes, here or in another thread. An error
        of `make` goes to everybody who waits for it, and the next caller tries again.
        """
        future: Future[Sized] = Future()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                future.set_result(self._kept[key][0])
            elif key in self._making:
                return self._making[key]
            else:
                self._making[key] = future
        if future.done():
            self._files.mark_used(key.file_name)
        else:
            start(lambda: self._fill(key, make, future))
        return future

    def __contains__(self, key: EncodingKey) -> bool:
        """Tell whether an encoding is kept by any process of the machine, or made by this one."""
        with self._lock:
            if key in self._kept or key in self._making:
                return True
        return key.file_name in self._files

    def __len__(self) -> int:
        return len(self._kept)

    def _fill(self, key: EncodingKey, make: Callable[[], Sized], future: Future[Sized]) -> None:
        try:
            value = self._shared(key, make)
        except BaseException as exc:
            with self._lock:
                self._making.pop(key, None)
            future.set_exception(exc)
            return
        with self._lock:
            self._making.pop(key, None)
            self._keep(key, value)
        future.set_result(value)

    def _shared(self, key: EncodingKey, make: Callable[[], Sized]) -> Sized:
        """Return the encoding from its file, else made and written to it for the other processes."""
        name = key.file_name
        value = self._read(name)
        if value is not None:
            return value
        with self._files.turn(name):
            value = self._read(name)  # another process may just have had its turn
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

    def _keep(self, key: EncodingKey, value: Sized) -> None:
        """Keep a value unless it alone breaks the bound; the ones unused for longest go."""
        size = value.bytes_held
        if size > self._memory_bytes:
            return
        while self._kept and self.bytes_held + size > self._memory_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self.bytes_held -= freed
        self._kept[key] = (value, size)
        self.bytes_held += size
