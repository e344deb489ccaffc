"""A question with given options: one of them, several, or a path through a tree of them.

The wire between the labeling config, the annotations and the head that learns to choose. What an image
teaches is the list of the options' positions that were chosen; what a head finds are `Chances`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

MOST_OPTIONS = 2000


class Form(str, Enum):
    """How many options are an answer."""

    SINGLE = "single"
    MULTIPLE = "multiple"
    PATH = "path"


@dataclass(frozen=True)
class Question:
    """options: each as the names on the way to it, parents before children.

    is_open: whether an annotation without an answer says that no option applies. leaves_only: a path ends
    where the tree does. are_paths: results list every option as the names on the way to it, one on top too.
    """

    form: Form
    options: tuple[tuple[str, ...], ...]
    is_open: bool = False
    leaves_only: bool = False
    are_paths: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready values; `are_paths` where it is so, since cards of old do not have it."""
        return {
            **({"are_paths": True} if self.are_paths else {}),
            "form": self.form.value,
            "options": [list(path) for path in self.options],
            "is_open": self.is_open,
            "leaves_only": self.leaves_only,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Question:
        """Read what `as_json` wrote. Raises KeyError, TypeError or ValueError for something else."""
        return cls(
            Form(values["form"]),
            tuple(tuple(str(name) for name in path) for path in values["options"]),
            bool(values["is_open"]),
            bool(values["leaves_only"]),
            bool(values.get("are_paths", False)),
        )

    @cached_property
    def position_of(self) -> dict[tuple[str, ...], int]:
        """The position of each option."""
        return {path: position for position, path in enumerate(self.options)}

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The position of each option's parent, -1 at the top."""
        return tuple(self.position_of.get(path[:-1], -1) for path in self.options)

    @cached_property
    def families(self) -> tuple[tuple[int, ...], ...]:
        """The positions of siblings, one tuple for each parent, those at the top first."""
        by_parent: dict[int, list[int]] = {}
        for position, parent in enumerate(self.parents):
            by_parent.setdefault(parent, []).append(position)
        return tuple(tuple(by_parent[parent]) for parent in sorted(by_parent))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each option is called where it is counted."""
        return tuple(" / ".join(path) for path in self.options)

    @property
    def size(self) -> int:
        """How many chances are found of it."""
        return len(self.options)

    def found(self, chances: Iterable[float]) -> Chances:
        """Return what was found of it: a chance for every option."""
        return Chances(self, tuple(float(chance) for chance in chances))

    def names_of(self, positions: Iterable[int]) -> list[str]:
        """Return the names of chosen options; of a path every option that it leads through."""
        if self.form is Form.PATH:
            positions = {step for position in positions for step in self.way_to(position)}
        return [self.names[position] for position in sorted(positions)]

    def is_leaf(self, position: int) -> bool:
        """Tell whether no option lies below one."""
        return position not in self._inner

    @cached_property
    def _inner(self) -> frozenset[int]:
        return frozenset(self.parents)

    def way_to(self, position: int) -> list[int]:
        """Return the positions from the top down to an option, itself included."""
        way = [position]
        while self.parents[way[0]] >= 0:
            way.insert(0, self.parents[way[0]])
        return way

    def ends(self, positions: Iterable[int]) -> set[int]:
        """Return those of some positions that lie on the way to no other of them."""
        given = set(positions)
        passed = {step for position in given for step in self.way_to(position)[:-1]}
        return given - passed

    def chosen(self, chances: Sequence[float], threshold: float) -> list[int]:
        """Return the positions that are an answer from a chance up, the likeliest first.

        Of several one: the likeliest. Of a path its end: as deep as it stays likely enough.
        """
        if self.form is Form.MULTIPLE:
            likely = [
                position
                for position, chance in enumerate(chances)
                if chance >= threshold and (not self.leaves_only or self.is_leaf(position))
            ]
            return sorted(likely, key=lambda position: -chances[position])
        if self.form is Form.SINGLE:
            best = max(range(len(chances)), key=lambda position: chances[position], default=None)
            return [] if best is None or chances[best] < threshold else [best]
        return self._end_of_path(chances, threshold)

    def _end_of_path(self, chances: Sequence[float], threshold: float) -> list[int]:
        if self.leaves_only:
            leaves = [position for position in range(len(chances)) if self.is_leaf(position)]
            best = max(leaves, key=lambda position: chances[position], default=None)
            return [] if best is None or chances[best] < threshold else [best]
        end = -1
        while True:
            below = [position for position, parent in enumerate(self.parents) if parent == end]
            best = max(below, key=lambda position: chances[position], default=None)
            if best is None or chances[best] < threshold:
                break
            # It may as well end here: then only what is likelier than that leads on.
            goes_on = sum(chances[position] for position in below)
            if end >= 0 and chances[best] <= chances[end] - goes_on:
                break
            end = best
        return [] if end < 0 else [end]


@dataclass(frozen=True)
class Chances:
    """What was found about a question: for every option a chance from 0 to 1.

    In a tree that is the chance that the path leads through the option.
    """

    question: Question
    values: tuple[float, ...]

    def of(self, question: Question) -> tuple[float, ...]:
        """Return the chances of the options of another question, by their names; 0 for those not known.

        Labeling configs change after a training.
        """
        if question.options == self.question.options:
            return self.values
        known = dict(zip(self.question.options, self.values, strict=True))
        return tuple(known.get(path, 0.0) for path in question.options)

    @classmethod
    def mean(cls, several: Sequence[Chances]) -> Chances:
        """Return the mean of what was found in several images about one question."""
        values = zip(*(one.values for one in several), strict=True)
        return cls(several[0].question, tuple(sum(of_option) / len(several) for of_option in values))
