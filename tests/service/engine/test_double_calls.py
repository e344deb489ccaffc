from __future__ import annotations

import threading
import time

from backend.service.engine.double_calls import OverlappingCalls

KEY = ("7.1", 3, "v1")


def run_all(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_the_later_of_two_learns_that_the_earlier_answered():
    calls, seen = OverlappingCalls(storing_s=0.0), []

    def call():
        with calls.enter(KEY, 5.0) as call:
            seen.append(call.is_answered)
            time.sleep(0.1)
            call.succeed()

    run_all(call, call, call)
    assert sorted(seen) == [False, True, True]


def test_the_later_takes_the_turn_where_the_earlier_failed():
    calls, seen = OverlappingCalls(storing_s=0.0), []

    def failing():
        try:
            with calls.enter(KEY, 5.0):
                time.sleep(0.1)
                raise ValueError("no image")
        except ValueError:
            pass

    def call():
        with calls.enter(KEY, 5.0) as call:
            seen.append(call.is_answered)

    run_all(failing, call)
    assert seen == [False]


def test_one_call_after_the_other_both_get_the_prediction():
    calls = OverlappingCalls(storing_s=0.05)
    for _ in range(2):
        with calls.enter(KEY, 5.0) as call:
            assert not call.is_answered
            call.succeed()
        time.sleep(0.1)


def test_a_call_learns_of_an_answer_that_may_not_be_stored_yet():
    calls = OverlappingCalls(storing_s=0.3)
    with calls.enter(KEY, 5.0) as call:
        call.succeed()
    ended = time.monotonic()
    with calls.enter(KEY, 5.0) as call:
        assert call.is_answered
    assert time.monotonic() - ended >= 0.25
    with calls.enter(KEY, 5.0) as call:
        assert not call.is_answered


def test_after_a_call_that_found_nothing_the_next_has_an_ordinary_turn():
    calls = OverlappingCalls(storing_s=5.0)
    for _ in range(2):
        with calls.enter(KEY, 5.0) as call:
            assert not call.is_answered


def test_another_task_or_version_does_not_wait():
    calls = OverlappingCalls(storing_s=0.0)
    with (
        calls.enter(KEY, 5.0),
        calls.enter(("7.1", 4, "v1"), 0.0) as a,
        calls.enter(("7.1", 3, "v2"), 0.0) as b,
    ):
        assert not a.is_answered
        assert not b.is_answered


def test_nobody_waits_for_ever():
    calls = OverlappingCalls(storing_s=0.0)
    with calls.enter(KEY, 5.0):
        started = time.monotonic()
        with calls.enter(KEY, 0.05) as call:
            assert not call.is_answered
        assert time.monotonic() - started < 1.0
