import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.infra.images.cache import PART, STALE_PART_S, ImageCache

KEYS = [f"{number:02x}{number:062x}" for number in range(40)]
ROOT = Path(__file__).resolve().parents[3]


def kept(cache):
    return [key for key in KEYS if key in cache]


def put_aged(cache, folder, key, content, age_s):
    cache.put(key, content)
    path = folder / key[:2] / key
    if path.exists():
        os.utime(path, (time.time() - age_s,) * 2)


def test_there_and_back(tmp_path):
    cache = ImageCache(tmp_path, 1000)
    assert cache.get(KEYS[0]) is None and KEYS[0] not in cache
    cache.put(KEYS[0], b"abc")
    assert cache.get(KEYS[0]) == b"abc" and KEYS[0] in cache
    cache.drop(KEYS[0])
    cache.drop(KEYS[0])
    assert cache.get(KEYS[0]) is None


def test_the_least_recently_used_go_first(tmp_path):
    cache = ImageCache(tmp_path, 1000)
    for age, key in enumerate(KEYS[:9]):
        put_aged(cache, tmp_path, key, b"x" * 100, 10_000 - age)
    assert cache.get(KEYS[0]) is not None
    for key in KEYS[9:14]:
        cache.put(key, b"x" * 100)
    left = kept(cache)
    assert KEYS[0] in left and KEYS[13] in left and KEYS[1] not in left
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 1000


def test_an_image_too_large_for_the_cache_is_not_kept(tmp_path):
    cache = ImageCache(tmp_path, 1000)
    cache.put(KEYS[0], b"x" * 300)
    assert KEYS[0] not in cache


def test_parts_that_nobody_writes_any_more_go(tmp_path):
    cache = ImageCache(tmp_path, 1000)
    (tmp_path / "aa").mkdir()
    old, new = tmp_path / "aa" / f"old{PART}", tmp_path / "aa" / f"new{PART}"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - STALE_PART_S - 1,) * 2)
    cache.put(KEYS[0], b"abc")
    assert not old.exists() and new.exists()


def test_a_full_disk_costs_the_cache_and_not_the_caller(tmp_path):
    cache = ImageCache(tmp_path, 10_000)
    for age, key in enumerate(KEYS[:8]):
        put_aged(cache, tmp_path, key, b"x" * 1000, 10_000 - age)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        cache.put(KEYS[20], b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert KEYS[20] not in cache
    assert 1 <= len(kept(cache)) <= 4 and KEYS[7] in cache, "it made room, oldest first"
    assert not list(tmp_path.glob(f"??/*{PART}"))
    cache.put(KEYS[20], b"x" * 2000)
    assert KEYS[20] in cache


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = ImageCache(tmp_path / "file", 1000)
    cache.put(KEYS[0], b"abc")
    assert cache.get(KEYS[0]) is None


def test_processes_share_it(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from backend.infra.images.cache import ImageCache\n"
        "cache = ImageCache(pathlib.Path(sys.argv[1]), 100_000)\n"
        "for number in range(300):\n"
        "    key = f'{number % 40:02x}{number % 40:062x}'\n"
        "    cache.put(key, bytes([number % 40]) * 5000)\n"
        "    got = cache.get(key)\n"
        "    assert got is None or got == bytes([number % 40]) * 5000, len(got)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [writer.communicate(timeout=60)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    cache = ImageCache(tmp_path, 100_000)
    cache.put("ff" * 32, b"x")
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 100_001


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_files(tmp_path, content):
    cache = ImageCache(tmp_path, 1000)
    cache.put(KEYS[0], content)
    assert cache.get(KEYS[0]) == content
