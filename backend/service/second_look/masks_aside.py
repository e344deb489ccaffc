"""Masks of what was found, in files meanwhile: those of thousands of images would fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from backend.core.geometry.instances import Detections, MaskPatch
from backend.errors import StoreError

Of = TypeVar("Of")
_PLACES = "places"


@dataclass(frozen=True)
class MasksAside:
    """The masks of numbered images in a folder, one file for each image that has any.

    Every method raises StoreError where the disk is full or a file cannot be read.
    """

    folder: Path

    def put(self, found: Iterable[tuple[Of, Detections]]) -> Iterator[tuple[Of, Detections]]:
        """Yield what was found without its masks; images are numbered from 0 up as they come."""
        for number, (image, detections) in enumerate(found):
            if any(mask is not None for mask in detections.masks):
                self._write(number, detections.masks)
            yield image, replace(detections, masks=(None,) * len(detections))

    def back(self, number: int, found: Detections, index: int) -> Detections:
        """Return what was found in an image with the mask of one detection, where it has one."""
        path = self._path(number)
        try:
            if not path.exists():
                return found
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(index) not in file:
                    return found
                left, top = file[_PLACES][index].tolist()
                mask = MaskPatch(left, top, file[str(index)])
        except (OSError, ValueError, BadZipFile) as exc:
            raise StoreError(
                f"the masks of an image cannot be read again ({exc}); start the job anew"
            ) from exc
        return replace(found, masks=(*found.masks[:index], mask, *found.masks[index + 1 :]))

    def _write(self, number: int, masks: Sequence[MaskPatch | None]) -> None:
        places = [(0, 0) if mask is None else (mask.left_px, mask.top_px) for mask in masks]
        arrays: dict[str, Any] = {str(k): mask.bits for k, mask in enumerate(masks) if mask is not None}
        arrays[_PLACES] = np.array(places, np.int64)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(self._path(number), **arrays)
        except OSError as exc:
            raise StoreError(
                f"the masks that were found cannot be written ({exc.strerror or exc}); make room in DATA_DIR"
            ) from exc

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npz"
