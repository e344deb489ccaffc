"""Bitmasks there and back, and as others read them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.regions.mask_png import decode_mask_url, encode_patch_url
from tests.editor_masks import mask_url


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.02, 1))
def test_a_mask_comes_back_as_it_went(width, height, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    patch = MaskPatch.from_full(mask)
    if patch is None:
        return
    size = ImageSize(width, height)
    url = encode_patch_url(patch, size)
    np.testing.assert_array_equal(decode_mask_url(url, size), mask * np.uint8(255))
    np.testing.assert_array_equal(decode_mask_url(mask_url(mask), size), mask * np.uint8(255))
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert picture.size == (width, height)
    pixels = np.asarray(picture.convert("RGBA"))
    assert not pixels[..., :3].any()  # black, as the editor writes it
    np.testing.assert_array_equal(pixels[..., 3] == 255, mask)
    np.testing.assert_array_equal(pixels[..., 3] == 0, ~mask)


def test_a_large_picture_is_a_short_text():
    size = ImageSize(4000, 3000)
    url = encode_patch_url(MaskPatch(1000, 900, np.ones((700, 900), dtype=bool)), size)
    assert len(url) < 20_000
    assert int((decode_mask_url(url, size) > 0).sum()) == 700 * 900


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", " DATA:image/PNG;charset=utf-8;base64,"])
def test_the_head_of_a_data_url_is_read_in_whatever_case(prefix):
    mask = np.eye(9, dtype=bool)
    url = prefix + mask_url(mask).partition(",")[2] + "\n"
    np.testing.assert_array_equal(decode_mask_url(url, ImageSize(9, 9)) > 0, mask)
