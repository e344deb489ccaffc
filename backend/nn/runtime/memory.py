"""When memory ran out, on a GPU or a CPU. Knows torch's words, not torch: a web process asks too."""

from __future__ import annotations

_CLASSES = {"MemoryError", "OutOfMemoryError"}
# torch's allocator for CPUs raises a plain RuntimeError and says it in words, which differ between releases.
_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the machine or of its GPU did not suffice."""
    if _CLASSES & {kind.__name__ for kind in type(error).__mro__}:
        return True
    text = str(error).lower()
    return any(words in text for words in _WORDS)
