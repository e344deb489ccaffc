from __future__ import annotations

import re
import zlib

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.prompting.encoded_image import pack_image, unpack_image

SIZE = ImageSize(64, 48)


def image(height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def found(*masks: MaskPatch | None) -> Detections:
    count = len(masks)
    rng = np.random.default_rng(1)
    return Detections(
        SIZE,
        rng.random((count, 4)).astype(np.float32),
        rng.random(count).astype(np.float32),
        np.arange(count),
        masks,
        image_score=0.25,
        has_boxes=False,
    )


def patch(height: int, width: int) -> MaskPatch:
    return MaskPatch(3, 5, np.random.default_rng(2).random((height, width)) > 0.5)


def kept_maps() -> MaskMaps:
    rng = np.random.default_rng(3)
    shapes = ((5, 4, 6), (5, 2, 3), (2, 4, 6))
    return MaskMaps(ImageSize(24, 16), *(rng.normal(size=shape).astype(np.float16) for shape in shapes))


@pytest.mark.parametrize(
    "detections",
    [None, found(), found(patch(7, 9)), found(patch(8, 8), None, patch(1, 1))],
    ids=["before training", "nothing found", "one mask", "some without a mask"],
)
def test_there_and_back(detections):
    got_image, got_size, got, maps, features = unpack_image(pack_image(image(), SIZE, detections, None))
    assert np.array_equal(got_image, image()) and got_image.flags.writeable
    assert got_size == SIZE and maps is None and features == ()
    if detections is None:
        assert got is None
        return
    assert got.size == SIZE and got.image_score == detections.image_score
    assert got.has_boxes is detections.has_boxes is False
    for name in ("boxes_xyxy_px", "scores", "label_indices"):
        before, after = getattr(detections, name), getattr(got, name)
        assert np.array_equal(before, after) and after.dtype == before.dtype
    for before, after in zip(detections.masks, got.masks, strict=True):
        assert (before is None) == (after is None)
        if before is not None:
            assert (after.left_px, after.top_px) == (before.left_px, before.top_px)
            assert np.array_equal(after.bits, before.bits)


def test_the_detectors_maps_there_and_back():
    before = kept_maps()
    *_, after, _ = unpack_image(pack_image(image(), SIZE, found(patch(3, 3)), before))
    assert after.net_size == before.net_size
    for name in ("fine", "coarse", "semantic"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == np.float16


@pytest.mark.parametrize("maps", [None, kept_maps()], ids=["alone", "beside a detector's maps"])
def test_another_networks_features_there_and_back(maps):
    rng = np.random.default_rng(4)
    before = [rng.normal(size=shape).astype(np.float16) for shape in ((2, 10, 8), (6, 5, 4))]
    *_, after = unpack_image(pack_image(image(), SIZE, None, maps, before))
    for got, kept in zip(after, before, strict=True):
        assert np.array_equal(got, kept) and got.dtype == np.float16


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:3],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "a few bytes", "cut short", "too long", "one bit", "zeros"],
)
def test_damage_is_noticed(damage):
    with pytest.raises(ValueError, match="encode it again"):
        unpack_image(damage(pack_image(image(), SIZE, found(patch(4, 4)), kept_maps())))


def test_what_another_release_wrote_is_encoded_again():
    body = re.sub(rb'"format": \d', b'"format": 1', pack_image(image(), SIZE, None, None)[4:])
    with pytest.raises(ValueError, match="another release"):
        unpack_image(zlib.crc32(body).to_bytes(4, "little") + body)
