from __future__ import annotations

import itertools
import time

import pytest
import torch

from backend.nn.runtime.precision import fastest_runs_s, is_bf16_faster


def test_a_busy_moment_does_not_decide_which_of_two_is_faster():
    calls = itertools.count()

    def lasting(seconds: float) -> None:
        # The machine is busy for the first half of all runs, whoever has them.
        time.sleep(seconds * (10 if next(calls) < 8 else 1))

    slow, fast = fastest_runs_s(lambda: lasting(0.004), lambda: lasting(0.002), rounds=8)
    assert fast < 0.85 * slow
    assert slow < 0.02


@pytest.mark.parametrize("threads", [1, 2])
def test_the_measurement_leaves_the_threads_as_they_were(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert isinstance(is_bf16_faster.__wrapped__("cpu"), bool)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_device_of_another_kind_stays_in_float32():
    assert is_bf16_faster("meta") is False
