"""What kinds of control tags share whose answer is a value on a scale."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from backend.core.answers.kind import Answer, AnswerKind, Json
from backend.core.answers.scales import Estimate, Scale
from backend.core.regions.unusable import UnusableRegion


class MeasuringKind(AnswerKind):
    """One value; its tag is also the field of a value that holds it."""

    @abstractmethod
    def read(self, scale: Scale, value: Json) -> float:
        """Return a value. Raises UnusableRegion."""

    @abstractmethod
    def written(self, value: float) -> Json:
        """Return a value as it is stored."""

    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return the value. Raises UnusableRegion."""
        scale = Scale.from_json(asked)
        read = {self.read(scale, value.get(self.tag)) for value in values}
        if len(read) > 1:
            raise UnusableRegion("several_values")
        return read.pop() if read else None

    def answers(self, asked: Json, found: Estimate, threshold: float) -> list[Answer]:
        """Return the value that was found, if its score is high enough."""
        if found.score < threshold:
            return []
        return [Answer({self.tag: self.written(found.value)}, found.score)]

    def joined(self, found: Sequence[Estimate]) -> Estimate:
        """Return the mean of the chances."""
        return Estimate.mean(found)

    def agreement(
        self, asked: Json, taught: Json, found: Estimate | None, threshold: float
    ) -> list[tuple[float, float, float]]:
        """Return a hit for a value that is right, part of one for a value that is near."""
        given = self.given(asked, taught)
        is_said = found is not None and found.score >= threshold
        hit = found.scale.nearness(found.value, taught) if found is not None and is_said else 0.0
        return [
            (hit, float(is_said), 1.0) if name in given else (0.0, 0.0, 0.0) for name in self.names(asked)
        ]

    def predicted(self, asked: Json, found: Estimate, threshold: float) -> list[str]:
        """Return the value that was found, if its score is high enough."""
        return self.given(asked, found.value) if found.score >= threshold else []
