"""What the cache keeps of a picture: its file, and what asks its host whether there is another by now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

_MAGIC = b"picture 1\n"


@dataclass(frozen=True)
class Validators:
    """What a host said of a file's state, to be sent back in a conditional request (RFC 9110, section 13)."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def request_headers(self) -> dict[str, str]:
        """Headers that ask for the file only if it is another by now; none where the host said nothing."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class CachedPicture:
    """The file of a picture; picture_id tells it from every other."""

    content: bytes
    validators: Validators
    picture_id: str

    @classmethod
    def of(cls, content: bytes, validators: Validators) -> CachedPicture:
        """Return a picture as it was fetched."""
        return cls(content, validators, picture_id_of(content))

    def packed(self) -> bytes:
        """Return the bytes to keep."""
        header = [self.picture_id, self.validators.etag, self.validators.last_modified]
        return b"%s%s\n%s" % (_MAGIC, json.dumps(header).encode(), self.content)

    @classmethod
    def unpacked(cls, kept: bytes) -> CachedPicture:
        """Return what `packed` gave; a file without header, as earlier releases kept, is taken as it is."""
        header, end, content = kept.removeprefix(_MAGIC).partition(b"\n")
        if not kept.startswith(_MAGIC) or not end:
            return cls.of(kept, Validators())
        picture_id, etag, last_modified = json.loads(header)
        return cls(content, Validators(etag, last_modified), picture_id)


def picture_id_of(content: bytes) -> str:
    """Return a name that only these bytes have."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
