"""What the pictures of a project look like, as rows of numbers, kept in documents of some hundred pictures.

They come from the encoder that is shipped, so they outlast every training: a picture is looked at once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray
from backend.service.label_next.ranking import folder_of
from backend.service.ports import DocumentStore

PER_DOCUMENT = 500


class PictureEmbedder(Protocol):
    """Says what pictures look like; threads may share it."""

    @property
    def name(self) -> str:
        """What tells its rows from those of another one, which cannot be compared with them."""

    def embed(self, picture: npt.NDArray[np.uint8]) -> FloatArray:
        """Return float32 [D] of an RGB picture uint8 [H, W, 3]; alike pictures have close rows."""


@dataclass(frozen=True)
class Embedded:
    """The row of one picture; digest: of the reference under which it was found."""

    digest: str
    row: FloatArray


def digest_of(reference: str) -> str:
    """Return what tells a reference from others, in few characters."""
    return hashlib.sha256(reference.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class KeptPictures:
    """The rows of all projects' pictures, by the id of their task; every method may raise StoreError."""

    documents: DocumentStore

    def read(self, key: str, embedder_name: str) -> dict[int, Embedded]:
        """Return what is known of a project's pictures; rows of another embedder are passed over."""
        found: dict[int, Embedded] = {}
        for path in sorted(self.documents.list(_folder(key))):
            content = self.documents.read(path)
            if content is None or content["embedder"] != embedder_name:
                continue
            values = np.frombuffer(base64.b64decode(content["rows_float16"]), "<f2")
            rows = values.astype(np.float32).reshape(len(content["task_ids"]), -1)
            for task_id, digest, row in zip(content["task_ids"], content["digests"], rows, strict=True):
                found[int(task_id)] = Embedded(str(digest), row)
        return found

    def replace_all(self, key: str, embedder_name: str, pictures: Mapping[int, Embedded]) -> None:
        """Keep these alone."""
        paths = list(_pages(key, pictures))
        for path, ids in paths:
            rows = np.stack([pictures[task_id].row for task_id in ids]).astype("<f2")
            self.documents.write(
                path,
                {
                    "embedder": embedder_name,
                    "task_ids": ids,
                    "digests": [pictures[task_id].digest for task_id in ids],
                    "rows_float16": base64.b64encode(rows.tobytes()).decode(),
                },
            )
        for path in set(self.documents.list(_folder(key))) - {path for path, _ in paths}:
            self.documents.delete(path)


def _pages(key: str, pictures: Iterable[int]) -> Iterable[tuple[str, list[int]]]:
    ids = sorted(pictures)
    for start in range(0, len(ids), PER_DOCUMENT):
        yield f"{_folder(key)}{start // PER_DOCUMENT:06}.json", ids[start : start + PER_DOCUMENT]


def _folder(key: str) -> str:
    return f"{folder_of(key)}pictures/"
