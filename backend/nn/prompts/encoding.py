"""One image, ready for prompts: its pixels, what a detector saw in it, and remembered answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import cv2
import numpy as np
from cachetools import LRUCache

from backend.core.geometry.instances import Detections, FloatArray, ImageSize
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.prompting.windows import ByteArray
from backend.nn.prompts.belief import Belief
from backend.nn.prompts.network import NET_SIDE

WORK_SIDE_MAX_PX = 1600
"""Images are kept at most this large: a window shows no more than NET_SIDE pixels of its side anyway."""
REMEMBERED_STEPS = 24


@dataclass(eq=False)
class Encoding:
    """One image, ready for prompts; shared by threads.

    image uint8 [h, w, 3] in the work frame (orig times `scale`); detections in the orig frame, None before
    any training; maps: what the detector kept of the image, None before any training and without masks;
    features: what another network's image encoder made of it, maps float16 [C, h, w]; none without one.
    """

    image: ByteArray
    size: ImageSize
    detections: Detections | None
    maps: MaskMaps | None = None
    features: tuple[FloatArray, ...] = ()
    _beliefs: LRUCache[bytes, Belief] = field(default_factory=lambda: LRUCache(REMEMBERED_STEPS), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def scale(self) -> float:
        """Work pixels per orig pixel, at most 1."""
        return self.image.shape[1] / self.size.width

    @property
    def bytes_held(self) -> int:
        """Memory this encoding takes at most, the remembered steps included."""
        masks = () if self.detections is None else self.detections.masks
        mask_bytes = sum(mask.bits.nbytes for mask in masks if mask is not None)
        map_bytes = 0 if self.maps is None else self.maps.nbytes
        feature_bytes = sum(values.nbytes for values in self.features)
        step_bytes = REMEMBERED_STEPS * NET_SIDE * NET_SIDE * 2
        return self.image.nbytes + mask_bytes + map_bytes + feature_bytes + step_bytes + 4096

    def recall(self, key: bytes) -> Belief | None:
        """Return a remembered step."""
        with self._lock:
            return self._beliefs.get(key)

    def remember(self, key: bytes, belief: Belief) -> None:
        """Keep a step; the one unused for longest goes."""
        with self._lock:
            self._beliefs[key] = belief


def encode_image(
    image: ByteArray,
    detections: Detections | None,
    maps: MaskMaps | None = None,
    features: tuple[FloatArray, ...] = (),
) -> Encoding:
    """Return the encoding of an RGB image uint8 [H, W, 3], what the detector found and kept, and features."""
    height, width = image.shape[:2]
    shrink = WORK_SIDE_MAX_PX / max(height, width)
    work = image
    if shrink < 1.0:
        size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        work = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Encoding(np.ascontiguousarray(work), ImageSize(width, height), detections, maps, features)
