"""One image, ready for prompts: its pixels, what a detector saw in it, and remembered answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from cachetools import LRUCache

from backend.core.geometry.instances import Detections, FloatArray, ImageSize
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.pyramid import Pyramid
from backend.core.prompting.windows import ByteArray, Window, cut_window
from backend.nn.prompts.belief import Belief
from backend.nn.prompts.network import NET_SIDE

WORK_SIDE_MAX_PX = 1600
"""Images are kept at most this large; windows of larger ones are cut from the picture itself."""
REMEMBERED_STEPS = 24


@dataclass(eq=False)
class Encoding:
    """One image, ready for prompts; shared by threads.

    image uint8 [h, w, 3]: the picture, at most WORK_SIDE_MAX_PX large; size: of the orig frame; detections in
    the orig frame, None before any training; maps: what the detector kept of the image, None before any
    training and without masks; features: what another network's image encoder made of it, maps float16
    [C, h, w]; none without one; larger: the picture itself where `image` is a shrunk one, None where it is
    not at hand: then things small in it are seen less sharply.
    """

    image: ByteArray
    size: ImageSize
    detections: Detections | None
    maps: MaskMaps | None = None
    features: tuple[FloatArray, ...] = ()
    larger: Pyramid | None = None
    _beliefs: LRUCache[bytes, Belief] = field(default_factory=lambda: LRUCache(REMEMBERED_STEPS), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_shrunk(self) -> bool:
        """Tell whether `image` is smaller than the picture."""
        return self.image.shape[:2] != (self.size.height, self.size.width)

    def window(self, window: Window, net_side: int) -> ByteArray:
        """Return a window (orig frame) of the picture as it is, resized to uint8 [net_side, net_side, 3]."""
        return cut_window(self.larger or Pyramid((self.image,), self.size), window, net_side)

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
    return encode_picture(Pyramid.of(image), detections, maps, features)


def encode_picture(
    picture: Pyramid,
    detections: Detections | None,
    maps: MaskMaps | None = None,
    features: tuple[FloatArray, ...] = (),
) -> Encoding:
    """Return the encoding of a picture at several sizes; see `encode_image`."""
    image = picture.shrunk(WORK_SIDE_MAX_PX)
    encoding = Encoding(image, picture.size, detections, maps, features)
    return replace(encoding, larger=picture) if encoding.is_shrunk else encoding
