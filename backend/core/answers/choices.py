"""Choices: `choices`, a list of names; below each other (`<Choice>` in `<Choice>`) a list of paths.

Source: Label Studio 1.23 tag reference, Choices and Choice. A choice is stored under its `alias`, if it has
one; one that stands in another as the list of the names on the way to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.answers.kind import Answer, AnswerKind, Json, NotAsked, WrittenControl
from backend.core.answers.options import HEAD, MOST_OPTIONS, Chances, Form, Question
from backend.core.regions.unusable import UnusableRegion

FIELD = "choices"


class ChoicesKind(AnswerKind):
    """One of some names for an image, or several."""

    tag = "choices"
    title = "Choices"
    head = HEAD
    check_text = "choices are predicted, each with its chance as score"

    def asked(self, written: WrittenControl) -> Json:
        """Return the question. Raises NotAsked."""
        if written.is_true("perregion"):
            raise NotAsked("its choices belong to regions (perRegion): those of whole images are learned")
        if written.attributes.get("value", "").startswith("$") and not written.options:
            raise NotAsked("its choices come from the task's data: write them as <Choice> tags")
        if not written.options:
            raise NotAsked("it has no <Choice>: give it some")
        if len(written.options) > MOST_OPTIONS:
            raise NotAsked(f"it has {len(written.options)} choices, at most {MOST_OPTIONS} are learned")
        takes_several = written.attributes.get("choice", "").strip().lower() == "multiple"
        is_nested = any(len(path) > 1 for path in written.options)
        form = Form.MULTIPLE if takes_several else Form.PATH if is_nested else Form.SINGLE
        is_open = takes_several and written.may_stay_open
        return Question(form, written.options, is_open, leaves_only=is_nested).as_json()

    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return the positions of the choices. Raises UnusableRegion."""
        question = Question.from_json(asked)
        if not values:
            return [] if question.is_open else None
        positions = {_position(question, name) for value in values for name in _names(value)}
        if question.form is not Form.MULTIPLE and len(positions) > 1:
            raise UnusableRegion("several_choices")
        if not positions and not question.is_open:
            return None
        return sorted(positions)

    def answers(self, asked: Json, found: Chances, threshold: float) -> list[Answer]:
        """Return one result with the choices that are likely enough; its score is that of the surest."""
        question = Question.from_json(asked)
        chances = found.of(question)
        chosen = question.chosen(chances, threshold)
        if not chosen:
            return []
        names = [_written(question.options[position]) for position in chosen]
        return [Answer({FIELD: names}, max(chances[position] for position in chosen))]

    def joined(self, found: Sequence[Chances]) -> Chances:
        """Return the mean of the chances."""
        return Chances.mean(found)

    def names(self, asked: Json) -> list[str]:
        """Return the choices."""
        return list(Question.from_json(asked).names)

    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return the choices."""
        return Question.from_json(asked).names_of(taught)

    def predicted(self, asked: Json, found: Chances, threshold: float) -> list[str]:
        """Return the choices."""
        question = Question.from_json(asked)
        return question.names_of(question.chosen(found.of(question), threshold))


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


def _written(path: tuple[str, ...]) -> Json:
    return path[0] if len(path) == 1 else list(path)


CHOICES = ChoicesKind()
