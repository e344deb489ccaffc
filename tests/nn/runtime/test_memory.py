import ctypes
import resource
from pathlib import Path

import pytest

from backend.nn.runtime.memory import give_back_freed_memory, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("shape mismatch"), False),
    ],
    ids=["python", "torch-class", "cuda-words", "cpu-linux", "cpu-windows", "another-error"],
)
def test_out_of_memory_is_recognised_without_torch(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
def test_freed_memory_goes_back_to_the_system():
    blocks = [bytes([1]) * 32_000 for _ in range(3000)]
    last = bytes([1]) * 32_000  # behind the others, so that the C library does not give them back by itself
    held = resident_bytes()
    blocks.clear()
    give_back_freed_memory()
    assert held - resident_bytes() > 60_000_000
    assert len(last) == 32_000


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
