"""Whether this machine computes faster in bfloat16: measured, since no flag says so reliably."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch

from backend.nn.runtime.threads import one_thread

Module = TypeVar("Module", bound=torch.nn.Module)


@lru_cache(maxsize=4)
def is_bf16_faster(device: str) -> bool:
    """Return whether convolutions in bfloat16 beat float32 on this device, by a measurement of ~0.2 s."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.device(device).type != "cpu":
        return False
    conv = in_channels_last(torch.nn.Conv2d(128, 128, 3, padding=1, bias=False))
    image = torch.randn(2, 128, 40, 52).to(memory_format=torch.channels_last)
    narrow_conv, narrow_image = copy.deepcopy(conv).bfloat16(), image.bfloat16()
    with torch.inference_mode(), one_thread():
        wide_s, narrow_s = fastest_runs_s(lambda: conv(image), lambda: narrow_conv(narrow_image))
    # Casting to and fro costs something too, so a hair's breadth is no gain.
    return narrow_s < 0.85 * wide_s


def fastest_runs_s(*works: Callable[[], object], rounds: int = 8) -> list[float]:
    """Return the shortest time of each work; they take turns, so that a busy moment hits them all alike."""
    best = [math.inf] * len(works)
    for _ in range(rounds):
        for k, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def in_channels_last(module: Module) -> Module:
    """Lay a module's weights out channels last, in place, and return it."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
