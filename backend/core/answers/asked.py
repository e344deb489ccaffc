"""What a head is asked by a control tag: a question with options, or a value on a scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.core.answers.options import Chances, Question
from backend.core.answers.scales import Estimate, Scale

Asked = Question | Scale
FoundAnswer = Chances | Estimate
Answered = tuple[Mapping[str, FoundAnswer], Mapping[str, Any]]
"""Of one image or region what was found and what was said, by control tag."""


def read_asked(values: Mapping[str, Any]) -> Asked:
    """Return what a kind wrote as JSON. Raises KeyError, TypeError or ValueError for something else."""
    return Scale.from_json(values) if "marks" in values else Question.from_json(values)
