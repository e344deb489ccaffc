"""Taxonomy: `taxonomy`, a list of paths through a tree of `<Choice>`, each a list of names from the top.

Source: Label Studio 1.23 tag reference, Taxonomy. Several paths may be given; the likeliest one is predicted,
as deep as it is sure enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.answers.kind import Answer, AnswerKind, Json, NotAsked, WrittenControl
from backend.core.answers.options import HEAD, MOST_OPTIONS, Chances, Form, Question
from backend.core.regions.unusable import UnusableRegion

FIELD = "taxonomy"


class TaxonomyKind(AnswerKind):
    """A path through a tree."""

    tag = "taxonomy"
    title = "Taxonomy"
    head = HEAD
    check_text = "the likeliest path is predicted, as deep as it is sure enough"

    def asked(self, written: WrittenControl) -> Json:
        """Return the question. Raises NotAsked."""
        if written.is_true("perregion"):
            raise NotAsked("its paths belong to regions (perRegion): those of whole images are learned")
        if written.attributes.get("apiurl"):
            raise NotAsked("its tree comes from elsewhere (apiUrl): write it as <Choice> tags")
        if not written.options:
            raise NotAsked("it has no <Choice>: write the tree as <Choice> tags")
        if len(written.options) > MOST_OPTIONS:
            raise NotAsked(f"it has {len(written.options)} choices, at most {MOST_OPTIONS} are learned")
        leaves_only = written.is_true("leafsonly")
        return Question(Form.PATH, written.options, leaves_only=leaves_only).as_json()

    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return the positions at which the paths end; None without any. Raises UnusableRegion."""
        question = Question.from_json(asked)
        positions = {_position(question, path) for value in values for path in _paths(value)}
        return sorted(positions) or None

    def answers(self, asked: Json, found: Chances, threshold: float) -> list[Answer]:
        """Return the likeliest path."""
        question = Question.from_json(asked)
        chances = found.of(question)
        return [
            Answer({FIELD: [list(question.options[end])]}, chances[end])
            for end in question.chosen(chances, threshold)
        ]

    def joined(self, found: Sequence[Chances]) -> Chances:
        """Return the mean of the chances."""
        return Chances.mean(found)

    def names(self, asked: Json) -> list[str]:
        """Return the paths."""
        return list(Question.from_json(asked).names)

    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return the steps of the paths."""
        return Question.from_json(asked).names_of(taught)

    def predicted(self, asked: Json, found: Chances, threshold: float) -> list[str]:
        """Return the steps of the paths."""
        question = Question.from_json(asked)
        return question.names_of(question.chosen(found.of(question), threshold))


def _paths(value: Mapping[str, Json]) -> list[Json]:
    paths = value.get(FIELD)
    if not isinstance(paths, list):
        raise UnusableRegion("bad_answer")
    # A single path that a converter did not put into a list.
    return [paths] if paths and all(isinstance(name, str) for name in paths) else paths


def _position(question: Question, path: Json) -> int:
    if not isinstance(path, list) or not path or not all(isinstance(name, str) for name in path):
        raise UnusableRegion("bad_answer")
    position = question.position_of.get(tuple(path))
    if position is None:
        raise UnusableRegion("unknown_path", (" / ".join(path),))
    if question.leaves_only and not question.is_leaf(position):
        raise UnusableRegion("path_too_short", (" / ".join(path),))
    return position


TAXONOMY = TaxonomyKind()
