"""How labels are written in results: not always as the labeling config spells them.

Converters write a label alone without its list, the number of a class as a number, a name without its blanks.
macOS writes an accent as a character of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any


def read_names(labels: Any) -> list[str]:
    """Return the names in what stands where a list of labels belongs, in order; [] where there is none."""
    names: list[str] = []
    for name in labels if isinstance(labels, list) else [labels]:
        written = int(name) if isinstance(name, float) and name.is_integer() else name
        if isinstance(written, str | int) and not isinstance(written, bool) and written != "":
            names.append(str(written))
    return names


def spelling(label: str) -> str:
    """Return what two labels share that differ only in blanks, or in Unicode's form of their letters."""
    return " ".join(unicodedata.normalize("NFC", label).split())


def by_spelling(labels: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the label that a spelling means, where it means one; labels: as written, and as stored."""
    meant: dict[str, set[str]] = {}
    for written, stored in labels:
        meant.setdefault(spelling(written), set()).add(stored)
    return {spelled: stored.pop() for spelled, stored in meant.items() if len(stored) == 1}
