"""How chosen options compare with those that people chose, option by option."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.core.answers.kind import Tally
from backend.core.answers.options import Form, Question


def tally_of_options(
    question: Question, chances: Sequence[float], taught: Sequence[int], threshold: float
) -> Tally:
    """Return the counts of one image; of a path every option that it leads through counts."""
    predicted = _counted(question, question.chosen(chances, threshold))
    given = _counted(question, taught)
    return Tally(*(_by_name(question, some) for some in (predicted & given, predicted, given)))


def _counted(question: Question, positions: Iterable[int]) -> set[int]:
    if question.form is Form.PATH:
        return {step for position in positions for step in question.way_to(position)}
    return set(positions)


def _by_name(question: Question, positions: Iterable[int]) -> dict[str, int]:
    return {" / ".join(question.options[position]): 1 for position in sorted(positions)}
