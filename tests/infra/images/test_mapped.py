"""Large pictures are decoded once a machine: their pixels lie in files that all processes map."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from backend.errors import ImageDecodeError
from backend.infra.images.decode import Decoded
from backend.infra.images.mapped import MappedPictures
from backend.infra.machine.file_cache import FileCache

PICTURE = np.random.default_rng(3).integers(0, 256, (700, 901, 3), np.uint8)


def cache_in(folder, max_bytes=20_000_000):
    return FileCache(folder / "decoded", max_bytes, slack=0.05)


def decoding(pixels=PICTURE, calls=None, stretched=None):
    def decode(allocate):
        if calls is not None:
            calls.append(1)
        target = allocate(*pixels.shape[:2])
        target[:] = pixels
        return Decoded(target, stretched)

    return decode


def test_another_process_finds_the_pixels_and_their_smaller_levels(tmp_path):
    calls = []
    made = MappedPictures(cache_in(tmp_path)).made("a", decoding(calls=calls, stretched=(3, 900)))
    other = MappedPictures(cache_in(tmp_path))
    found = other.open("a")
    assert found is not None and found.stretched == made.stretched == (3, 900)
    assert np.array_equal(found.pyramid.levels[0], PICTURE)
    assert [level.shape for level in found.pyramid.levels] == [(700, 901, 3), (350, 451, 3)]
    assert abs(float(found.pyramid.levels[1].mean()) - float(PICTURE.mean())) < 1
    assert other.made("a", decoding(calls=calls)).pyramid.size == found.pyramid.size and calls == [1]


def test_nobody_writes_to_what_all_see(tmp_path):
    mapped = MappedPictures(cache_in(tmp_path))
    for shared in (mapped.made("a", decoding()), mapped.open("a")):
        with pytest.raises(ValueError, match="read-only"):
            shared.pyramid.levels[0][0, 0] = 0


def test_a_picture_stays_readable_when_its_file_makes_room(tmp_path):
    cache = cache_in(tmp_path, 3_000_000)
    mapped = MappedPictures(cache)
    first = mapped.made("a", decoding())
    os.utime(next((tmp_path / "decoded").glob("*/*")), (1, 1))
    mapped.made("b", decoding())
    assert mapped.open("a") is None and mapped.open("b") is not None
    assert cache.bytes_held() <= 3_000_000
    assert np.array_equal(first.pyramid.levels[0], PICTURE)


def test_a_picture_too_large_for_the_cache_is_decoded_into_memory(tmp_path):
    mapped = MappedPictures(cache_in(tmp_path, 100_000))
    assert np.array_equal(mapped.made("a", decoding()).pyramid.levels[0], PICTURE)
    assert mapped.open("a") is None


def test_a_full_disk_leaves_nothing_half_written(tmp_path, caplog):
    mapped = MappedPictures(cache_in(tmp_path))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        made = mapped.made("a", decoding(stretched=(3, 900)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert np.array_equal(made.pyramid.levels[0], PICTURE) and made.stretched == (3, 900)
    assert mapped.open("a") is None and "damaged" not in caplog.text


def test_a_broken_picture_leaves_nothing_behind(tmp_path):
    def decode(allocate):
        allocate(50, 50)
        raise ImageDecodeError("cut off")

    mapped = MappedPictures(cache_in(tmp_path))
    with pytest.raises(ImageDecodeError):
        mapped.made("a", decode)
    assert mapped.open("a") is None and cache_in(tmp_path).bytes_held() == 0


def test_a_damaged_file_is_made_again(tmp_path):
    mapped = MappedPictures(cache_in(tmp_path))
    mapped.made("a", decoding())
    (path,) = (tmp_path / "decoded").glob("*/*")
    path.write_bytes(path.read_bytes()[:10_000])
    assert mapped.open("a") is None
    assert np.array_equal(mapped.made("a", decoding()).pyramid.levels[0], PICTURE)
