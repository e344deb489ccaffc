from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.service.engine.shared_cache import SharedCache, run_in_thread


class Maker:
    """Makes one text per key, and counts; it waits while its gate is shut."""

    def __init__(self):
        self.made, self.gate, self.failure = [], threading.Event(), None
        self.gate.set()

    def __call__(self, key):
        self.made.append(key)
        assert self.gate.wait(5)
        if self.failure is not None:
            raise self.failure
        return f"value of {key}"


@pytest.fixture
def make():
    return Maker()


def ask(cache, make, key):
    return cache.ask(key, lambda: make(key)).result(5)


def test_a_value_is_made_once_for_all_who_ask_at_the_same_time(make):
    cache = SharedCache(4)
    make.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, cache, make, "a") for _ in range(8)]
        while "a" not in cache:
            time.sleep(0.001)
        assert not cache.is_kept("a")
        make.gate.set()
        assert {future.result(5) for future in asked} == {"value of a"}
    assert make.made == ["a"] and cache.is_kept("a")


def test_values_of_other_keys_are_made_meanwhile(make):
    cache = SharedCache(4)
    make.gate.clear()
    slow = cache.ask("slow", lambda: make("slow"), run_in_thread("slow"))
    assert cache.ask("fast", lambda: 7).result(5) == 7
    assert not slow.done()
    make.gate.set()
    assert slow.result(5) == "value of slow"


def test_the_least_recently_used_ones_go(make):
    cache = SharedCache(2)
    for key in ("a", "b", "a", "c"):
        ask(cache, make, key)
    assert [key for key, _ in cache.kept()] == ["a", "c"]
    assert len(cache) == cache.size_held == 2
    ask(cache, make, "b")
    assert make.made == ["a", "b", "c", "b"]


def test_the_bound_counts_sizes_and_too_large_a_value_is_not_kept():
    cache = SharedCache(10, size_of=len)
    for text in ("four", "three", "x"):
        cache.ask(text, lambda text=text: text)
    assert cache.size_held == 10
    assert cache.ask("large", lambda: "l" * 11).result(5) == "l" * 11
    assert [key for key, _ in cache.kept()] == ["four", "three", "x"]
    cache.ask("sixsix", lambda: "sixsix")
    assert [key for key, _ in cache.kept()] == ["x", "sixsix"] and cache.size_held == 7


@pytest.mark.parametrize("failure", [ValueError("odd"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_goes_to_all_who_wait_and_the_next_one_tries_again(make, failure):
    cache = SharedCache(4)
    make.failure = failure
    make.gate.clear()
    first = cache.ask("a", lambda: make("a"), run_in_thread("first"))
    second = cache.ask("a", lambda: make("a"))
    make.gate.set()
    for future in (first, second):
        with pytest.raises(type(failure)):
            future.result(5)
    assert "a" not in cache
    make.failure = None
    assert ask(cache, make, "a") == "value of a"
    assert make.made == ["a", "a"]
