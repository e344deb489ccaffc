"""The face of a kind of answer: what a control tag says of an image as a whole, or of each region in it.

A kind is one module beside this one, and makes one object of a subclass of `AnswerKind`: what its tag asks,
what its results teach, how what a head found is written, what the connection check says. `kinds.ANSWER_KINDS`
lists them. Configs, annotations, predictions, the judge of two versions and the checks loop over that tuple
and name no kind. `head` and `region_head` name the heads of the network that learn it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
"""Plain values that JSON could hold."""
Path = tuple[str, ...]
REGION_SELECTED = "region-selected"
"""The `visibleWhen` of a tag that is there as long as a region is selected."""


class NotAsked(Exception):
    """A control tag cannot be learned; the message says why, as a sentence to go on with."""


@dataclass(frozen=True)
class WrittenControl:
    """A control tag as it stands in a labeling config.

    attributes: by name in lower case. options: the `<Choice>` elements below it, each as the names on the way
    to it, parents before children.
    """

    attributes: Mapping[str, str]
    options: tuple[Path, ...] = ()

    def is_true(self, name: str) -> bool:
        """Tell whether an attribute is set to a true value."""
        return self.attributes.get(name, "").strip().lower() in ("true", "1", "yes")

    @property
    def is_of_regions(self) -> bool:
        """Whether its answers are about each region (`perRegion`), not about the whole image."""
        return self.is_true("perregion")

    @property
    def may_stay_open(self) -> bool:
        """Whether no answer says that nothing applies: the tag was seen, and may be left open."""
        when = self.attributes.get("visiblewhen")
        is_seen = when is None or (self.is_of_regions and when == REGION_SELECTED)
        return is_seen and not self.is_true("required")


@dataclass(frozen=True)
class Answer:
    """An answer to be written: the `value` of its result, and its score from 0 to 1."""

    value: Mapping[str, Json]
    score: float


class AnswerKind(ABC):
    """One kind of answer."""

    tag: str
    """Its control tag in lower case, which is also the `type` of its results."""
    title: str
    """That tag as it is written."""
    head: str = "choices"
    """The name of the head that learns it of whole images."""
    region_head: str = "attributes"
    """The name of the head that learns it of regions."""
    check_text: str
    """What the connection check says of such a tag."""

    def __repr__(self) -> str:
        return f"<{self.title}>"

    @abstractmethod
    def asked(self, written: WrittenControl) -> Json:
        """Return what its head is told of a tag, and keeps in the version's card. Raises NotAsked."""

    @abstractmethod
    def taught(self, asked: Json, values: Sequence[Mapping[str, Json]]) -> Json | None:
        """Return what the results of a tag on an annotated image, or of a region, teach; None for nothing.

        values: the `value` of each result, none where there is none. Raises UnusableRegion.
        """

    @abstractmethod
    def answers(self, asked: Json, found: Any, threshold: float) -> list[Answer]:
        """Return what is written of what the head found, from a score up."""

    @abstractmethod
    def joined(self, found: Sequence[Any]) -> Any:
        """Return what the head found in several images together, where one answer is asked of all."""

    @abstractmethod
    def names(self, asked: Json) -> list[str]:
        """Return the answers that are counted, by name."""

    @abstractmethod
    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return what people said, by the names of `names`."""

    @abstractmethod
    def predicted(self, asked: Json, found: Any, threshold: float) -> list[str]:
        """Return what is said of what the head found, by the names of `names`, from a score up."""

    def is_same(self, asked: Json, learned: Json) -> bool:
        """Tell whether what a version has learned of a tag is what the tag asks now."""
        return bool(asked == learned)

    def agreement(
        self, asked: Json, taught: Json, found: Any, threshold: float
    ) -> list[tuple[float, float, float]]:
        """Return for each of `names` how much was hit, said and given; found: None where nothing was."""
        given = self.given(asked, taught)
        said = [] if found is None else self.predicted(asked, found, threshold)
        return [
            (float(name in given and name in said), float(name in said), float(name in given))
            for name in self.names(asked)
        ]
