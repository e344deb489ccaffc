"""What acts of annotators cost in seconds, and so what predictions save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.core.ledger.acts import Act
from backend.core.regions.kind import Teaches

MOST_CLICKS = 6
"""Of a smart tool, after which a mask that is wrong is taken to be right."""


@dataclass(frozen=True)
class Costs:
    """Seconds of each act.

    box: drawn by its extreme points (Papadopoulos et al. 2017). mask: painted or outlined by hand (COCO: 22
    hours for 1,000). The others are assumptions: click: of a point or of a smart tool; adjust: a box; look:
    at a region that is proposed.
    """

    box: float = 7.0
    mask: float = 79.0
    click: float = 3.0
    adjust: float = 4.0
    delete: float = 1.5
    relabel: float = 2.0
    look: float = 0.5

    def by_hand(self, what: Teaches) -> float:
        """Return the seconds that one region takes without a proposal."""
        return {Teaches.BOX: self.box, Teaches.MASK: self.mask, Teaches.POINT: self.click}[what]

    def moved(self, what: Teaches) -> float:
        """Return the seconds that repairing one takes: a mask as many clicks as a smart tool gets."""
        repair = {Teaches.BOX: self.adjust, Teaches.MASK: MOST_CLICKS * self.click, Teaches.POINT: self.click}
        return min(repair[what], self.by_hand(what))


@dataclass(frozen=True)
class Work:
    """Seconds of labelling: all by hand, and as it was done."""

    by_hand_s: float = 0.0
    done_s: float = 0.0

    @property
    def saved_s(self) -> float:
        """What the predictions saved; below 0 where they cost more than they brought."""
        return self.by_hand_s - self.done_s

    def __add__(self, other: Work) -> Work:
        return Work(self.by_hand_s + other.by_hand_s, self.done_s + other.done_s)


def work_of(acts: Mapping[tuple[str, Teaches, Act], int], costs: Costs, accepted_right: float = 1.0) -> Work:
    """Return what labelling took; opening images takes the same either way and is not counted.

    accepted_right: the share 0..1 of the regions accepted in a batch that is expected to be right. Nobody
    would have drawn the others.
    """
    by_hand_s = done_s = 0.0
    for (_, what, act), count in acts.items():
        if act is not Act.DELETED:
            by_hand_s += count * costs.by_hand(what) * (accepted_right if act is Act.ACCEPTED else 1.0)
        if act not in (Act.ADDED, Act.ACCEPTED):
            done_s += count * costs.look
        done_s += (
            count
            * {
                Act.KEPT: 0.0,
                Act.MOVED: costs.moved(what),
                Act.RELABELLED: costs.relabel,
                Act.DELETED: costs.delete,
                Act.ADDED: costs.by_hand(what),
                Act.ACCEPTED: 0.0,
                Act.REPAIRED: costs.click,
            }[act]
        )
    return Work(by_hand_s, done_s)
