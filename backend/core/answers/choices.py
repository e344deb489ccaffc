"""Choices: `choices`, a list of names; with `allowNested="true"` a list of paths through `<Choice>` tags.

Source: Label Studio 1.23 tag reference, Choices and Choice, and its editor. A choice is stored under its
`alias`, if it has one. With allowNested every choice is stored as the list of the names on the way to it, and
one with others below it only beside all of them; without, only those on top can be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.answers.choosing import ChoosingKind, written_options
from backend.core.answers.kind import Json, NotAsked, Path, WrittenControl
from backend.core.answers.options import Form, Question
from backend.core.regions.unusable import UnusableRegion

FIELD = "choices"


class ChoicesKind(ChoosingKind):
    """One of some names, or several."""

    tag = FIELD
    title = "Choices"
    check_text = "choices are predicted, each with its chance as score"

    def asked(self, written: WrittenControl) -> Json:
        """Return the question. Raises NotAsked."""
        if written.attributes.get("value", "").startswith("$") and not written.options:
            raise NotAsked("its choices come from the task's data: write them as <Choice> tags")
        options = written_options(written, "give it some")
        are_paths = written.is_true("allownested")
        if not are_paths:
            options = tuple(path for path in options if len(path) == 1)
        takes_several = written.attributes.get("choice", "").strip().lower() == "multiple"
        is_nested = any(len(path) > 1 for path in options)
        form = Form.MULTIPLE if takes_several else Form.PATH if is_nested else Form.SINGLE
        is_open = takes_several and written.may_stay_open
        return Question(form, options, is_open, leaves_only=is_nested, are_paths=are_paths).as_json()

    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return the positions of the choices. Raises UnusableRegion."""
        question = Question.from_json(asked)
        if not values:
            return [] if question.is_open else None
        positions = question.ends(_position(question, name) for value in values for name in _names(value))
        if question.form is not Form.MULTIPLE and len(positions) > 1:
            raise UnusableRegion("several_choices")
        if not positions and not question.is_open:
            return None
        return sorted(positions)

    def written(self, question: Question, path: Path) -> Json:
        """Return a name, or the names on the way to it where the editor stores those."""
        return list(path) if question.are_paths else path[0]


def _names(value: Mapping[str, Json]) -> list[Json]:
    names = value.get(FIELD)
    if isinstance(names, str):  # converters write a single one so
        return [names]
    if not isinstance(names, list):
        raise UnusableRegion("bad_answer")
    return names


def _position(question: Question, name: Json) -> int:
    """Return the position of a choice; one below another also by its own name, where that is only one."""
    path = (name,) if isinstance(name, str) else tuple(name) if isinstance(name, list) else ()
    if not path or not all(isinstance(part, str) for part in path):
        raise UnusableRegion("bad_answer")
    position = question.position_of.get(path)
    if position is None:
        ends = [k for k, option in enumerate(question.options) if len(path) == 1 and option[-1] == path[0]]
        position = ends[0] if len(ends) == 1 else None
    if position is None:
        raise UnusableRegion("unknown_choice", (" / ".join(path),))
    return position


CHOICES = ChoicesKind()
