"""When memory ran out, on a GPU or a CPU, and how what is freed goes back to the system.

Knows torch's words, not torch: a web process asks too.
"""

from __future__ import annotations

import ctypes
import gc
import sys

_CLASSES = {"MemoryError", "OutOfMemoryError"}
# torch's allocator for CPUs raises a plain RuntimeError and says it in words, which differ between releases.
_WORDS = ("out of memory", "can't allocate memory", "not enough memory")

LARGE_PICTURE_PIXELS = 16_000_000
"""What a picture from here up took while it was read is worth giving back at once."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the machine or of its GPU did not suffice."""
    if _CLASSES & {kind.__name__ for kind in type(error).__mro__}:
        return True
    text = str(error).lower()
    return any(words in text for words in _WORDS)


def give_back_device_memory() -> None:
    """Give back what torch keeps of a GPU for later, and what only garbage still holds."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    give_back_freed_memory()


def give_back_freed_memory() -> None:
    """Give the system what was freed here and what the C library keeps for later.

    glibc keeps the memory of large pictures and of a network's layers in an arena for each thread that had
    them, where other threads do not find it. Where there is another library, nothing happens.
    Source: malloc_trim(3).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
