"""The slots of the network's output: one for each option or mark of a scale, and one where a path may end.

Siblings of which one is chosen share a group, and their slots are weighed against each other (softmax); where
several may be chosen every slot stands for itself (sigmoid). The marks of a scale are weighed as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.answers.asked import Asked, read_asked
from backend.core.answers.options import Form, Question
from backend.core.answers.scales import Scale
from backend.core.geometry.mirroring import mirrored_indices

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """Slots that belong together: options, their positions in what is asked, slots, where they lie.

    parent: the option below which they stand, -1 at the top. end_slot: says that the path ends at the parent;
    None where it cannot.
    """

    control: str
    asked: Asked
    options: tuple[int, ...]
    slots: tuple[int, ...]
    parent: int = -1
    end_slot: int | None = None

    @property
    def is_exclusive(self) -> bool:
        """Whether one of them is chosen."""
        return isinstance(self.asked, Scale) or self.asked.form is not Form.MULTIPLE

    @property
    def all_slots(self) -> tuple[int, ...]:
        """The slots of the options, and that of the end."""
        return self.slots if self.end_slot is None else (*self.slots, self.end_slot)

    def wanted(self, taught: Any) -> Array | None:
        """Return what the slots should say, float32 [slots], where this is taught: options, or a value.

        Of exclusive ones a distribution; None where it says nothing of them.
        """
        if isinstance(self.asked, Scale):
            return self.asked.wanted(taught).astype(np.float32)
        if not self.is_exclusive:
            return np.array([option in taught for option in self.options], dtype=np.float32)
        ways = [self.asked.way_to(position) for position in taught]
        if self.parent >= 0:
            ways = [way for way in ways if self.parent in way]
        wanted = np.zeros(len(self.all_slots), dtype=np.float32)
        for way in ways:
            step = way.index(self.parent) + 1 if self.parent >= 0 else 0
            if step < len(way):
                wanted[self.options.index(way[step])] += 1
            elif self.end_slot is not None:
                wanted[-1] += 1
        total = float(wanted.sum())
        return wanted / total if total else None


@dataclass(frozen=True)
class Layout:
    """All groups of all that is asked, by control tag; scales without marks have none."""

    groups: tuple[Group, ...]
    slot_count: int

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Layout:
        """Return the layout of what the labeling config asks. Raises KeyError, TypeError or ValueError."""
        groups: list[Group] = []
        count = 0
        for control, values in asked.items():
            for group in _groups(control, read_asked(values), count):
                groups.append(group)
                count += len(group.all_slots)
        return cls(tuple(groups), count)

    def in_mirror(self, taught: Mapping[str, Any]) -> dict[str, Any]:
        """Return what would be said of the mirrored image or region: left and right are exchanged."""
        return {
            control: [self._mirrored[control][position] for position in said]
            if control in self._mirrored
            else said
            for control, said in taught.items()
        }

    @property
    def is_its_own_mirror_image(self) -> bool:
        """Whether the same is said of an image and of its mirror image: no option is another one's side."""
        return all(swapped == tuple(range(len(swapped))) for swapped in self._mirrored.values())

    @cached_property
    def _mirrored(self) -> dict[str, tuple[int, ...]]:
        """Return for each option of a question the one that it is in a mirror, by control tag."""
        return {
            group.control: mirrored_indices(group.asked.names)
            for group in self.groups
            if isinstance(group.asked, Question)
        }

    def of_control(self) -> Iterator[tuple[str, Asked, list[Group]]]:
        """Yield each control tag with what it asks and its groups, parents before children."""
        by_control: dict[str, list[Group]] = {}
        for group in self.groups:
            by_control.setdefault(group.control, []).append(group)
        for control, groups in by_control.items():
            yield control, groups[0].asked, groups


def _groups(control: str, asked: Asked, first_slot: int) -> Iterator[Group]:
    if isinstance(asked, Scale):
        positions = tuple(range(asked.size))
        if positions:
            yield Group(control, asked, positions, tuple(first_slot + position for position in positions))
        return
    yield from _families(control, asked, first_slot)


def _families(control: str, question: Question, first_slot: int) -> Iterator[Group]:
    slot = first_slot
    for options in question.families if question.form is not Form.MULTIPLE else [_all_of(question)]:
        parent = question.parents[options[0]] if question.form is Form.PATH else -1
        slots = tuple(range(slot, slot + len(options)))
        slot += len(options)
        end_slot = None
        if parent >= 0 and not question.leaves_only:
            end_slot, slot = slot, slot + 1
        yield Group(control, question, options, slots, parent, end_slot)


def _all_of(question: Question) -> tuple[int, ...]:
    return tuple(range(len(question.options)))
