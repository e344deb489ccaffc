"""The kinds of answers: a new one is its module, and its name in this tuple."""

from __future__ import annotations

from backend.core.answers.choices import CHOICES
from backend.core.answers.kind import AnswerKind
from backend.core.answers.number import NUMBER
from backend.core.answers.rating import RATING
from backend.core.answers.taxonomy import TAXONOMY

ANSWER_KINDS: tuple[AnswerKind, ...] = (CHOICES, TAXONOMY, RATING, NUMBER)
ANSWER_HEADS = frozenset(kind.head for kind in ANSWER_KINDS)
"""The names of the heads that answers about whole images teach; others learn what regions bring."""


def answer_kind(tag: str) -> AnswerKind | None:
    """Return the kind whose control tag is called that, in whatever case; else None."""
    return next((kind for kind in ANSWER_KINDS if kind.tag == tag.lower()), None)
