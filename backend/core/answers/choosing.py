"""What kinds of control tags share whose options are written below them, as `<Choice>` elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from backend.core.answers.kind import Answer, AnswerKind, Json, NotAsked, Path, WrittenControl
from backend.core.answers.options import MOST_OPTIONS, Chances, Question


class ChoosingKind(AnswerKind):
    """Some of the options of a question; its tag is also the field of a value that lists them."""

    @abstractmethod
    def written(self, question: Question, path: Path) -> Json:
        """Return an option of a question as a value lists it."""

    def answers(self, asked: Json, found: Chances, threshold: float) -> list[Answer]:
        """Return one answer with the options that are likely enough; its score is that of the surest."""
        question = Question.from_json(asked)
        chances = found.of(question)
        chosen = question.chosen(chances, threshold)
        if not chosen:
            return []
        named = [self.written(question, question.options[position]) for position in chosen]
        return [Answer({self.tag: named}, max(chances[position] for position in chosen))]

    def joined(self, found: Sequence[Chances]) -> Chances:
        """Return the mean of the chances."""
        return Chances.mean(found)

    def names(self, asked: Json) -> list[str]:
        """Return the options."""
        return list(Question.from_json(asked).names)

    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return the options; of a path every step."""
        return Question.from_json(asked).names_of(taught)

    def predicted(self, asked: Json, found: Chances, threshold: float) -> list[str]:
        """Return the options; of a path every step."""
        question = Question.from_json(asked)
        return question.names_of(question.chosen(found.of(question), threshold))


def written_options(written: WrittenControl, advice: str) -> tuple[Path, ...]:
    """Return the options of a tag. Raises NotAsked where it has none, or too many; advice: for none."""
    if not written.options:
        raise NotAsked(f"it has no <Choice>: {advice}")
    if len(written.options) > MOST_OPTIONS:
        raise NotAsked(f"it has {len(written.options)} choices, at most {MOST_OPTIONS} are learned")
    return written.options
