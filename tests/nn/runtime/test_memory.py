import pytest

from backend.nn.runtime.memory import is_out_of_memory


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
