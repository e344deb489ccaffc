"""Taxonomy: `taxonomy`, a list of paths through a tree of `<Choice>`, each a list of names from the top.

Source: Label Studio 1.23 tag reference, Taxonomy. Several paths may be given; the likeliest one is predicted,
as deep as it is sure enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.answers.choosing import ChoosingKind, written_options
from backend.core.answers.kind import Json, NotAsked, Path, WrittenControl
from backend.core.answers.options import Form, Question
from backend.core.regions.unusable import UnusableRegion

FIELD = "taxonomy"


class TaxonomyKind(ChoosingKind):
    """A path through a tree."""

    tag = FIELD
    title = "Taxonomy"
    check_text = "the likeliest path is predicted, as deep as it is sure enough"

    def asked(self, written: WrittenControl) -> Json:
        """Return the question. Raises NotAsked."""
        if written.attributes.get("apiurl"):
            raise NotAsked("its tree comes from elsewhere (apiUrl): write it as <Choice> tags")
        options = written_options(written, "write the tree as <Choice> tags")
        leaves_only = written.is_true("leafsonly")
        return Question(Form.PATH, options, leaves_only=leaves_only).as_json()

    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return the positions at which the paths end; None without any. Raises UnusableRegion."""
        question = Question.from_json(asked)
        positions = {_position(question, path) for value in values for path in _paths(value)}
        return sorted(positions) or None

    def written(self, question: Question, path: Path) -> Json:
        """Return the names from the top."""
        return list(path)


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
