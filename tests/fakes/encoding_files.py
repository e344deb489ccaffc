"""The EncodingFiles port without a disk."""

from __future__ import annotations

import contextlib


class FakeEncodingFiles:
    """The EncodingFiles port, in a dict."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.used: list[str] = []

    def lock(self, name: str):
        return contextlib.nullcontext()

    def read(self, name: str) -> bytes | None:
        return self.content.get(name)

    def write(self, name: str, content: bytes) -> None:
        self.content[name] = content

    def mark_used(self, name: str) -> None:
        self.used.append(name)

    def drop(self, name: str) -> None:
        self.content.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self.content
