"""What the answers of a training say beside teaching: which scales they span, and which of them are rare."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from backend.core.answers.asked import read_asked
from backend.core.answers.scales import Scale

Taught = Mapping[str, Any]
"""What is said of one image or region, by control tag."""


def with_scales(asked: Mapping[str, Any], taught: Sequence[Taught]) -> dict[str, Any]:
    """Return what is asked, by control tag; scales without marks get those that the values given span."""
    return {
        control: read.spanned_by([said[control] for said in taught if control in said]).as_json()
        if isinstance(read := read_asked(values), Scale)
        else values
        for control, values in asked.items()
    }


def shown_answers(taught: Taught) -> frozenset[Hashable]:
    """Return the options chosen, and values given, by control tag: rare ones are shown more often."""
    return frozenset(
        (control, one)
        for control, said in taught.items()
        for one in (said if isinstance(said, Sequence) else (said,))
    )
