"""Files that are there whole or not at all: written aside, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

PART = ".part"
"""Ending of a file that is being written, or whose writer died."""


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Lend a path beside `path` to write to; it takes the place of `path` once the block has ended well.

    Readers see the old file or the new one, and writers do not meet. A block that fails leaves nothing
    behind; a process that dies leaves a file that ends with PART. The folder is made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
