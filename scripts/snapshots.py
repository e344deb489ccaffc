"""Files of public repositories at one commit, and photographs with object masks made of them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.prompting.windows import ByteArray

NOT_JUDGED = 255
MOST_OBJECTS = 254


@dataclass(frozen=True)
class Source:
    """A public repository at a commit, and the licence under which it offers its pictures and masks."""

    repository: str
    commit: str
    licence: str


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture uint8 [H, W, 3] BGR and its index mask uint8 [H, W]."""

    stem: str
    bgr: ByteArray
    owner: ByteArray


class Snapshot:
    """Files of one commit in a bare clone."""

    def __init__(self, root: Path, source: Source) -> None:
        folder = root / source.repository.replace("/", "+")
        git_dir = folder / "repo" if (folder / "repo").is_dir() else folder
        self._git = ["git", f"--git-dir={git_dir}"]
        self._commit = source.commit

    def paths(self, under: str) -> list[str]:
        """Return the paths of all files below a folder, sorted."""
        command = [*self._git, "ls-tree", "-r", "--name-only", "-z", self._commit, "--", f"{under}/"]
        listed = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        return sorted(filter(None, listed.split("\0")))

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None where the clone lacks it."""
        return self.read_all([path])[0]

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """Return the contents of files, read by one process: one each takes minutes for thousands."""
        asked = "".join(f"{self._commit}:{path}\n" for path in paths).encode()
        command = [*self._git, "cat-file", "--batch"]
        answers = io.BytesIO(subprocess.run(command, input=asked, check=True, capture_output=True).stdout)
        contents: list[bytes | None] = []
        for _ in paths:
            # The header of a file that is there: its id, its type, its size in bytes.
            words = answers.readline().split()
            contents.append(answers.read(int(words[2])) if words[1:2] == [b"blob"] else None)
            if contents[-1] is not None:
                answers.read(1)
        return contents

    def picture(self, path: str) -> ByteArray | None:
        """Return a picture uint8 [H, W, 3] BGR, None where it is missing or no picture."""
        return decoded(self.read(path))


def decoded(content: bytes | None) -> ByteArray | None:
    """Return a picture file's pixels uint8 [H, W, 3] BGR, None where it is no picture."""
    if not content:
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else np.asarray(pixels, dtype=np.uint8)


def painted(
    size_hw: tuple[int, int], shapes: Sequence[Sequence[Any]], unjudged: Sequence[Any] = ()
) -> ByteArray:
    """Return the index mask of polygons in pixels (each object a list of rings), small objects on top."""
    masks = []
    for rings in shapes:
        mask = np.zeros(size_hw, np.uint8)
        cv2.fillPoly(mask, [np.round(np.reshape(ring, (-1, 2))).astype(np.int32) for ring in rings], 1)
        if mask.any():
            masks.append(mask > 0)
    owner = np.zeros(size_hw, np.uint8)
    for x, y, width, height in unjudged:
        owner[int(y) : int(y + height), int(x) : int(x + width)] = NOT_JUDGED
    masks.sort(key=lambda mask: -int(np.count_nonzero(mask)))
    for mask in masks[MOST_OBJECTS:]:
        owner[mask] = NOT_JUDGED
    for number, mask in enumerate(masks[:MOST_OBJECTS], 1):
        owner[mask] = number
    return owner


def from_yolo(bgr: ByteArray, text: str) -> ByteArray:
    """Return the index mask of a YOLO segmentation file: a class and a polygon in 0..1 a line."""
    height, width = bgr.shape[:2]
    rows = [np.array(line.split()[1:], dtype=np.float64) for line in text.splitlines()]
    shapes = [[row.reshape(-1, 2) * (width, height)] for row in rows if len(row) >= 6 and len(row) % 2 == 0]
    return painted((height, width), shapes)
