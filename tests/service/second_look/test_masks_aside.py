from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.errors import StoreError
from backend.service.second_look.masks_aside import MasksAside


def found(*masks):
    count = len(masks)
    boxes = np.tile(np.float32([1, 2, 11, 9]), (count, 1))
    return Detections(
        ImageSize(40, 30), boxes, np.full(count, 0.5, np.float32), np.zeros(count, np.int64), masks
    )


def patch(seed):
    return MaskPatch(1, 2, np.random.default_rng(seed).random((7, 10)) > 0.5)


def test_masks_are_in_memory_one_at_a_time_and_come_back_as_they_were(tmp_path):
    aside = MasksAside(tmp_path / "found")
    first, second = patch(1), patch(2)
    seen = list(aside.put([("a", found(None)), ("b", found(first, None, second)), ("c", found())]))
    assert [image for image, _ in seen] == ["a", "b", "c"]
    assert all(mask is None for _, detections in seen for mask in detections.masks)
    back = aside.back(1, seen[1][1], 2)
    assert back.masks[:2] == (None, None) and (back.masks[2].left_px, back.masks[2].top_px) == (1, 2)
    assert back.masks[2].bits.dtype == np.bool_
    np.testing.assert_array_equal(back.masks[2].bits, second.bits)
    assert aside.back(1, seen[1][1], 1).masks == (None, None, None)
    assert aside.back(0, seen[0][1], 0).masks == (None,)


def test_a_folder_that_cannot_be_written_or_a_damaged_file_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="make room"):
        list(MasksAside(tmp_path / "file").put([("a", found(patch(1)))]))
    for content in (b"PK\x03\x04 damaged", b"something else"):
        (tmp_path / "0.npz").write_bytes(content)
        with pytest.raises(StoreError, match="start the job anew"):
            MasksAside(tmp_path).back(0, found(None), 0)
