from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.infra.machine.file_cache import STALE_PART_S, FileCache, Held, least_used
from backend.written_whole import PART

NAMES = [f"{number:08x}{number:032x}" for number in range(2000)]
ROOT = Path(__file__).resolve().parents[3]


def put_aged(shared, folder, name, content, age_s):
    shared.write(name, content)
    path = folder / name[:2] / name
    if path.exists():
        os.utime(path, (time.time() - age_s,) * 2)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_there_and_back(tmp_path):
    shared = FileCache(tmp_path / "not" / "yet", 1000)
    assert shared.read(NAMES[0]) is None and NAMES[0] not in shared
    shared.write(NAMES[0], b"abc")
    assert shared.read(NAMES[0]) == b"abc" and NAMES[0] in shared
    shared.drop(NAMES[0])
    shared.drop(NAMES[0])
    assert NAMES[0] not in shared


def test_a_file_is_as_old_as_its_writing_or_confirmation(tmp_path):
    cache = FileCache(tmp_path, 1000)
    assert cache.confirmed_at(NAMES[0]) is None
    put_aged(cache, tmp_path, NAMES[0], b"abc", 500)
    cache.read(NAMES[0]), cache.mark_used(NAMES[0])
    assert time.time() - cache.confirmed_at(NAMES[0]) > 499, "to be used makes a file no younger"
    cache.confirm(NAMES[0]), cache.confirm("ff")
    assert time.time() - cache.confirmed_at(NAMES[0]) < 10


def test_what_has_to_go_is_the_least_used_and_no_more():
    held = [Held(float(at), 10, Path(name)) for at, name in ((3, "c"), (1, "a"), (2, "b"))]
    assert [one.path.name for one in least_used(held, 30)] == []
    assert [one.path.name for one in least_used(held, 29)] == ["a"]
    assert [one.path.name for one in least_used(held, 10)] == ["a", "b"]
    assert [one.path.name for one in least_used(held, 0)] == ["a", "b", "c"]


def test_the_bound_holds_through_two_thousand_images(tmp_path):
    shared = FileCache(tmp_path, 1000)
    most = 0
    for number, name in enumerate(NAMES):
        shared.write(name, b"x" * (20 + number % 50))
        if number % 10 == 0:
            most = max(most, shared.bytes_held())
    assert 900 < most <= 1000
    assert NAMES[-1] in shared and NAMES[0] not in shared


def test_what_was_used_stays_longer(tmp_path):
    shared = FileCache(tmp_path, 300)
    for age, name in enumerate(NAMES[:3]):
        put_aged(shared, tmp_path, name, b"x" * 100, 1000 - age)
    shared.read(NAMES[0])
    shared.mark_used(NAMES[1])
    shared.mark_used("ff")
    shared.write(NAMES[3], b"x" * 100)
    assert [name in shared for name in NAMES[:4]] == [True, True, False, True]


def test_what_is_larger_than_the_bound_is_not_shared_and_drives_nothing_out(tmp_path):
    shared = FileCache(tmp_path, 100)
    shared.write(NAMES[0], b"x" * 50)
    shared.write(NAMES[1], b"x" * 101)
    assert NAMES[0] in shared and NAMES[1] not in shared


def test_a_half_written_file_of_a_dead_process_goes_with_the_next_writing(tmp_path):
    (tmp_path / "left-over.part").write_bytes(b"x" * 90)
    shared = FileCache(tmp_path, 100)
    shared.write(NAMES[0], b"x" * 80)
    assert NAMES[0] in shared and shared.bytes_held() == 80


def test_a_folder_that_cannot_be_used_costs_nothing_but_the_sharing(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    shared = FileCache(tmp_path / "file", 100)
    with shared.lock(NAMES[0]):
        shared.write(NAMES[0], b"abc")
    assert shared.read(NAMES[0]) is None and shared.bytes_held() == 0
    assert "cannot be shared" in caplog.text


def test_threads_take_turns_too(tmp_path):
    shared, inside, most = FileCache(tmp_path, 100), [], []

    def work():
        with shared.lock(NAMES[0]):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


MAKE_ONE = """
import sys, time
from pathlib import Path
from backend.infra.machine.file_cache import FileCache
from backend.service.smart_tools.encoding_cache import EncodingCache, EncodingKey

class Value:
    bytes_held = 10

def make():
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    time.sleep(0.3)
    return Value()

cache = EncodingCache(100, FileCache(Path(sys.argv[1]), 1000), lambda v: b"value", lambda c: Value())
for number in range(3):
    cache.ask(EncodingKey("7.1", "v1", f"{number}.png"), make, lambda work: work()).result()
print(cache.made)
"""


def test_two_processes_that_want_the_same_images_at_once_make_each_once(tmp_path):
    log = tmp_path / "log"
    both = [run_python(MAKE_ONE, tmp_path / "shared", log) for _ in range(2)]
    made = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(made) == 3
    assert log.read_text().count("made") == 3


TAKE_AND_DIE = """
import os, sys
from pathlib import Path
from backend.infra.machine.file_cache import FileCache

with FileCache(Path(sys.argv[1]), 1000).lock(sys.argv[2]):
    print("mine", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_process_that_dies_in_its_turn_lets_go_of_it(tmp_path):
    process = run_python(TAKE_AND_DIE, tmp_path, NAMES[0])
    assert process.communicate(timeout=60)[0] == "mine\n"
    with FileCache(tmp_path, 1000).lock(NAMES[0]):
        pass


WRITE_MANY = """
import sys
from pathlib import Path
from backend.infra.machine.file_cache import FileCache

shared, most = FileCache(Path(sys.argv[1]), 1000), 0
for number in range(300):
    shared.write(f"{int(sys.argv[2]):08x}{number:032x}", b"x" * (20 + number % 50))
    most = max(most, shared.bytes_held())
print(most)
"""


def test_two_processes_that_write_at_once_keep_the_bound_together(tmp_path):
    both = [run_python(WRITE_MANY, tmp_path, number) for number in range(2)]
    assert all(int(process.communicate(timeout=60)[0]) <= 1000 for process in both)


KEYS = [f"{number:02x}{number:062x}" for number in range(40)]


def loose(folder, max_bytes):
    """Return a cache that looks at all files now and then, as the one of images."""
    return FileCache(folder, max_bytes, slack=0.05, largest=0.25)


def kept(cache):
    return [key for key in KEYS if key in cache]


def test_with_slack_the_least_recently_used_go_first_too(tmp_path):
    cache = loose(tmp_path, 1000)
    for age, key in enumerate(KEYS[:9]):
        put_aged(cache, tmp_path, key, b"x" * 100, 10_000 - age)
    assert cache.read(KEYS[0]) is not None
    for key in KEYS[9:14]:
        cache.write(key, b"x" * 100)
    left = kept(cache)
    assert KEYS[0] in left and KEYS[13] in left and KEYS[1] not in left
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 1000


def test_a_file_of_more_than_the_largest_share_is_not_kept(tmp_path):
    cache = loose(tmp_path, 1000)
    cache.write(KEYS[0], b"x" * 300)
    assert KEYS[0] not in cache


def test_parts_that_nobody_writes_any_more_go(tmp_path):
    cache = loose(tmp_path, 1000)
    (tmp_path / "aa").mkdir()
    old, new = tmp_path / "aa" / f"old{PART}", tmp_path / "aa" / f"new{PART}"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - STALE_PART_S - 1,) * 2)
    cache.write(KEYS[0], b"abc")
    assert not old.exists() and new.exists()


def test_a_full_disk_costs_the_cache_and_not_the_caller(tmp_path):
    cache = loose(tmp_path, 10_000)
    for age, key in enumerate(KEYS[:8]):
        put_aged(cache, tmp_path, key, b"x" * 1000, 10_000 - age)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        cache.write(KEYS[20], b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert KEYS[20] not in cache
    assert 1 <= len(kept(cache)) <= 4 and KEYS[7] in cache, "it made room, oldest first"
    assert not list(tmp_path.glob(f"??/*{PART}"))
    cache.write(KEYS[20], b"x" * 2000)
    assert KEYS[20] in cache


def test_a_folder_that_cannot_be_written_is_no_error_with_slack_either(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = loose(tmp_path / "file", 1000)
    cache.write(KEYS[0], b"abc")
    assert cache.read(KEYS[0]) is None


def test_processes_share_it(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from backend.infra.machine.file_cache import FileCache\n"
        "cache = FileCache(pathlib.Path(sys.argv[1]), 100_000, slack=0.05)\n"
        "for number in range(300):\n"
        "    key = f'{number % 40:02x}{number % 40:062x}'\n"
        "    cache.write(key, bytes([number % 40]) * 5000)\n"
        "    got = cache.read(key)\n"
        "    assert got is None or got == bytes([number % 40]) * 5000, len(got)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [writer.communicate(timeout=60)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    cache = loose(tmp_path, 100_000)
    cache.write("ff" * 32, b"x")
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 100_001


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_files(tmp_path, content):
    cache = loose(tmp_path, 1000)
    cache.write(KEYS[0], content)
    assert cache.read(KEYS[0]) == content
