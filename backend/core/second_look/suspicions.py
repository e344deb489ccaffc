"""Where annotations and versions that did not learn from them differ, and how likely the annotation is wrong.

Four steps. What is usual in the project is counted (`evidence.Habits`). Errors are planted into copies of the
annotations (`planting`). From their evidence it is learned what errors look like (`odds`), several times:
what seems to be an error, though nobody planted it, counts less and less as sound. Then the annotations as
they are get their chances, with errors as frequent as they seem to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, IntArray, TrainingTarget
from backend.core.second_look.drawn import Drawn
from backend.core.second_look.evidence import (
    NEAR_IOU,
    SAME_IOU,
    Habits,
    evidence_of_missing,
    evidence_of_objects,
    missing_candidates,
)
from backend.core.second_look.kinds import SUSPICIONS_OF_OBJECTS, SuspicionKind
from backend.core.second_look.odds import Odds
from backend.core.second_look.planting import plant

Array = npt.NDArray[np.float64]

LEAST_PROBABILITY = 0.03
"""What is less likely an error than this is no suspicion."""
_PLANTED_OBJECTS = 2500
_MOST_COPIES = 24
EXPECTED_OF_KIND = 0.02
"""Which share of the drawn objects is expected to be wrong in each way, before anything was compared."""
EXPECTED_MISSING = 0.05
"""How many objects are expected to be missing, as a share of those drawn."""
_TRUST = 0.1
_TRUST_MISSING = 1.0
"""How much expectations count beside what seems to be so. Objects that are
missing and detections that are none look alike, so how frequent each is shows less clearly."""
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Compared:
    """One image: what was drawn, and what a version that did not learn from it found, down to a low score."""

    target: TrainingTarget
    found: Detections


@dataclass(frozen=True)
class Suspicion:
    """One place of one image.

    picture: its position among those compared. probability: that something is wrong there, 0..1.
    target_row: the first row of the drawn object, None for a missing one. found_index: the detection that is
    proposed instead, None where nothing is. label_index: the label it should have, None where nothing should
    stand there.
    """

    picture: int
    kind: SuspicionKind
    probability: float
    target_row: int | None
    found_index: int | None
    label_index: int | None


def suspect(pictures: Sequence[Compared], label_count: int, seed: int = 0) -> list[Suspicion]:
    """Return the suspicions of all pictures, the likeliest first; none where no object is drawn at all.

    Nothing then shows what the objects of the project are like.
    """
    if not any(len(picture.target) for picture in pictures):
        return []
    found = [picture.found for picture in pictures]
    drawn = [
        Drawn.of_target(picture.target, label_count, with_turned=picture.found.turned_boxes_px is not None)
        for picture in pictures
    ]
    habits = Habits.of(drawn, found, label_count)
    judge = _learned_judge(drawn, found, habits, seed)
    suspicions: list[Suspicion] = []
    for number, (objects, seen) in enumerate(zip(drawn, found, strict=True)):
        suspicions += judge.of_objects(number, objects, seen)
        suspicions += judge.of_missing(number, objects, seen)
    return sorted(suspicions, key=lambda one: -one.probability)


@dataclass(frozen=True, eq=False)
class _Judge:
    """What was learned about the errors of one project."""

    habits: Habits
    objects: Odds
    missing: Odds

    def of_objects(self, number: int, drawn: Drawn, found: Detections) -> list[Suspicion]:
        """Return what the objects of an image are suspected of; of two drawings of one, the worse."""
        chances = self.objects.chances(evidence_of_objects(drawn, found, self.habits))
        wrong, ious = 1 - chances[:, 0], drawn.ious_with(found)
        among = drawn.ious_among()
        suspicions, accused = [], np.zeros(len(drawn), dtype=np.bool_)
        for k in np.argsort(-wrong, kind="stable").tolist():
            if wrong[k] < LEAST_PROBABILITY:
                break
            kind = SUSPICIONS_OF_OBJECTS[int(chances[k, 1:].argmax())]
            if kind is SuspicionKind.DRAWN_TWICE and accused[among[k] >= SAME_IOU].any():
                continue
            accused[k] = True
            proposal = _proposal(kind, drawn.labels[k], ious[k], found)
            label = None
            if kind is SuspicionKind.OTHER_LABEL and proposal is not None:
                label = int(found.label_indices[proposal])
            elif kind is SuspicionKind.BADLY_PLACED:
                label = int(drawn.labels[k].argmax())
            suspicions.append(Suspicion(number, kind, float(wrong[k]), int(drawn.rows[k]), proposal, label))
        return suspicions

    def of_missing(self, number: int, drawn: Drawn, found: Detections) -> list[Suspicion]:
        """Return the objects that may be missing in an image."""
        candidates = missing_candidates(drawn, found)
        rows = evidence_of_missing(drawn, found, candidates, self.habits, found.size)
        chances = self.missing.chances(rows)[:, 1]
        return [
            Suspicion(
                number,
                SuspicionKind.MISSING_OBJECT,
                float(chance),
                None,
                int(index),
                int(found.label_indices[index]),
            )
            for index, chance in zip(candidates, chances, strict=True)
            if chance >= LEAST_PROBABILITY
        ]


def _proposal(
    kind: SuspicionKind, labels: npt.NDArray[np.bool_], ious: npt.NDArray[np.floating], found: Detections
) -> int | None:
    """Return the detection that should stand in an object's place; None where nothing should."""
    if kind in (SuspicionKind.OBJECT_TOO_MANY, SuspicionKind.DRAWN_TWICE) or not len(found):
        return None
    usable = np.where(ious >= NEAR_IOU, np.sqrt(ious) * found.scores, 0.0)
    is_same = labels[found.label_indices]
    usable = np.where(is_same if kind is SuspicionKind.BADLY_PLACED else ~is_same, usable, 0.0)
    best = int(usable.argmax())
    return best if usable[best] > 0 else None


def _learned_judge(drawn: Sequence[Drawn], found: Sequence[Detections], habits: Habits, seed: int) -> _Judge:
    rng = np.random.default_rng(seed)
    count = sum(len(objects) for objects in drawn)
    copies = int(np.clip(np.ceil(_PLANTED_OBJECTS / max(count, 1)), 1, _MOST_COPIES))
    models = [objects for objects in drawn if len(objects)]
    rows, classes, origin = [], [], []
    missing_rows, is_missing, missing_origin = [], [], []
    for _ in range(copies):
        for number, (objects, seen) in enumerate(zip(drawn, found, strict=True)):
            spoilt = plant(objects, seen.size, models, rng)
            rows.append(evidence_of_objects(spoilt.drawn, seen, habits))
            classes.append(spoilt.wrong)
            origin += [(number, int(row)) for row in spoilt.drawn.rows]
            candidates = missing_candidates(spoilt.drawn, seen)
            missing_rows.append(evidence_of_missing(spoilt.drawn, seen, candidates, habits, seen.size))
            is_missing.append(_is_dropped(spoilt.dropped, seen, candidates))
            missing_origin += [(number, int(index)) for index in candidates]
    objects_odds = _learned_from_doubt(
        np.concatenate(rows),
        np.concatenate(classes),
        1 + len(SUSPICIONS_OF_OBJECTS),
        [evidence_of_objects(o, f, habits) for o, f in zip(drawn, found, strict=True)],
        [[int(row) for row in o.rows] for o in drawn],
        origin,
        EXPECTED_OF_KIND,
        _TRUST,
    )
    own_candidates = [missing_candidates(o, f) for o, f in zip(drawn, found, strict=True)]
    missing_odds = _learned_from_doubt(
        np.concatenate(missing_rows),
        np.concatenate(is_missing),
        2,
        [
            evidence_of_missing(o, f, c, habits, f.size)
            for o, f, c in zip(drawn, found, own_candidates, strict=True)
        ],
        [[int(index) for index in c] for c in own_candidates],
        missing_origin,
        float(np.clip(EXPECTED_MISSING * count / max(sum(map(len, own_candidates)), 1), 1e-3, 0.5)),
        _TRUST_MISSING,
    )
    return _Judge(habits, objects_odds, missing_odds)


def _is_dropped(dropped: Drawn, found: Detections, candidates: IntArray) -> IntArray:
    """Return 1 for candidates [K] that are an object which was taken away, else 0."""
    covered = dropped.ious_with(found)[:, candidates].max(axis=0, initial=0.0)
    dropped_ones: IntArray = (covered >= SAME_IOU).astype(np.int64)
    return dropped_ones


def _learned_from_doubt(
    rows: Array,
    classes: IntArray,
    class_count: int,
    own_rows: Sequence[Array],
    own_names: Sequence[Sequence[int]],
    origin: Sequence[tuple[int, int]],
    expected: float,
    trust: float,
) -> Odds:
    """Return the odds learned from planted rows [N, F], adapted to the rows as they are, image by image.

    own_names: what each of an image's own rows is called in `origin` [N], beside the image. expected, trust:
    how frequent each error is thought to be, and how much that counts beside what the rows say. A row where
    nothing was planted counts as sound only so far as it is, for nobody knows that either: the odds say it,
    and are learned again with what they said.
    """
    own = np.concatenate(own_rows)
    wanted = np.full(class_count, expected)
    wanted[0] = 1 - expected * (class_count - 1)
    names = {
        (number, name): row
        for row, (number, name) in enumerate((n, name) for n, some in enumerate(own_names) for name in some)
    }
    of_own = np.array([names.get(name, -1) for name in origin], dtype=np.int64)
    counts: Array = np.ones(len(rows))
    for _ in range(_ROUNDS):
        odds = Odds.learned(rows, classes, class_count, counts)
        adapted, _ = odds.adapted(own, wanted, trust * len(own) + 1)
        sound = np.append(adapted.chances(own)[:, 0], 1.0)
        counts = np.where(classes == 0, sound[of_own], 1.0)
    return adapted
