from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from backend.service.smart_tools.encoding_cache import EncodingCache, EncodingKey
from tests.fakes.encoding_files import FakeEncodingFiles

KEYS = [EncodingKey("7.1", "v1", f"{number}.png") for number in range(10)]


@dataclass(frozen=True)
class Value:
    text: str
    bytes_held: int = 100


def pack(value: Value) -> bytes:
    return value.text.encode()


def unpack(content: bytes) -> Value:
    if content == b"damaged":
        raise ValueError("it is damaged")
    return Value(content.decode())


def make(memory_bytes: int = 1000, files: FakeEncodingFiles | None = None) -> EncodingCache:
    return EncodingCache(memory_bytes, files or FakeEncodingFiles(), pack, unpack)


def now(work) -> None:
    work()


def in_a_thread(work) -> None:
    threading.Thread(target=work).start()


def never():
    raise AssertionError("it is there already")


def test_all_who_ask_at_once_wait_for_one_making():
    cache, made = make(), []

    def slowly() -> Value:
        time.sleep(0.1)
        made.append(1)
        return Value("a")

    futures = [cache.ask(KEYS[0], slowly, in_a_thread) for _ in range(6)]
    assert KEYS[0] in cache
    assert {future.result(5).text for future in futures} == {"a"}
    assert made == [1] and cache.made == 1


def test_what_is_in_memory_is_answered_at_once_and_marked_as_used():
    files = FakeEncodingFiles()
    cache = make(files=files)
    cache.ask(KEYS[0], lambda: Value("a"), now)
    future = cache.ask(KEYS[0], never, lambda work: never())
    assert future.done() and future.result().text == "a"
    assert files.used == [KEYS[0].file_name]


def test_what_one_process_made_another_reads():
    files = FakeEncodingFiles()
    make(files=files).ask(KEYS[0], lambda: Value("a"), now)
    other = make(files=files)
    assert KEYS[0] in other and KEYS[1] not in other
    assert other.ask(KEYS[0], never, now).result() == Value("a")
    assert other.made == 0


def test_who_waited_for_another_process_reads_what_it_made():
    class TurnTakenByAnother(FakeEncodingFiles):
        def lock(self, name):
            self.content[name] = b"theirs"
            return super().lock(name)

    cache = make(files=TurnTakenByAnother())
    assert cache.ask(KEYS[0], never, now).result() == Value("theirs")


def test_a_damaged_file_costs_a_making():
    files = FakeEncodingFiles()
    files.content[KEYS[0].file_name] = b"damaged"
    assert make(files=files).ask(KEYS[0], lambda: Value("a"), now).result() == Value("a")
    assert files.content[KEYS[0].file_name] == b"a"


def test_an_error_reaches_all_who_wait_and_the_next_one_tries_again():
    cache = make()
    with pytest.raises(OSError, match="away"):
        cache.ask(KEYS[0], lambda: (_ for _ in ()).throw(OSError("away")), now).result()
    assert KEYS[0] not in cache
    assert cache.ask(KEYS[0], lambda: Value("a"), now).result() == Value("a")


def test_the_ones_unused_for_longest_leave_the_memory():
    cache = make(memory_bytes=350)
    for key in KEYS[:3]:
        cache.ask(key, lambda: Value("a"), now)
    cache.ask(KEYS[0], never, now)
    cache.ask(KEYS[3], lambda: Value("a"), now)
    assert len(cache) == 3 and cache.bytes_held == 300
    started = []
    cache.ask(KEYS[0], never, started.append)
    assert started == []
    cache.ask(KEYS[1], never, started.append)
    assert len(started) == 1  # it comes from the file again


def test_what_breaks_the_bound_alone_is_not_kept_in_memory():
    cache = make(memory_bytes=50)
    assert cache.ask(KEYS[0], lambda: Value("a"), now).result() == Value("a")
    assert len(cache) == 0 and cache.bytes_held == 0


def test_names_tell_project_version_and_image_apart():
    keys = [
        EncodingKey("7", "v1", "a"),
        EncodingKey("7", "v", "1a"),
        EncodingKey("71", "v", "a"),
        EncodingKey("7", "v1", "b"),
        EncodingKey("7", "v1", "a", "another network"),
    ]
    assert len({key.file_name for key in keys}) == len(keys)
    assert all(int(key.file_name, 16) >= 0 for key in keys)
