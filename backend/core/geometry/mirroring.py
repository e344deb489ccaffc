"""What a mirror does to named points: a left ear becomes a right one; some bodies have no mirror image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from backend.core.geometry.points import LabelledPoint

SIDES = (("left", "right"), ("l", "r"))
"""Words of the two sides; the short ones count only where they stand alone."""
LEAST_OBJECTS = 8
"""Fewer objects cannot tell that three points always turn the same way."""
ONE_WAY = 0.8
"""Three points turn one way where the mean of their signs (1 or -1) reaches this."""
MOST_LABELS = 12
"""Triples of more labels are too many to look at; the first labels tell."""

Triple = tuple[int, int, int]


def mirrored_indices(labels: Sequence[str]) -> tuple[int, ...]:
    """Return for each label the index of its other side's, which it becomes in a mirror; else its own."""
    index_of = {label.lower(): index for index, label in enumerate(labels)}
    return tuple(
        next((index_of[name] for name in _other_sides(label.lower()) if name in index_of), index)
        for index, label in enumerate(labels)
    )


def _other_sides(label: str) -> Iterable[str]:
    for one, other in (*SIDES, *((right, left) for left, right in SIDES)):
        word = one if len(one) > 1 else rf"(?<![a-z]){one}(?![a-z])"
        swapped, count = re.subn(word, other, label)
        if count:
            yield swapped


def has_mirror_images(images: Sequence[Sequence[LabelledPoint]]) -> bool:
    """Tell whether the points of mirrored images are like those of others, as far as these images tell.

    Of three labels whose points go round clockwise on (nearly) every object, the mirrored labels must go
    round the other way, else a mirrored object is one that does not exist: snout, left ear and right ear do;
    three numbered corners of a part do not.
    """
    signs: dict[Triple, list[float]] = defaultdict(list)
    for points in images:
        for mine in _by_object(points):
            indices = sorted(mine)[:MOST_LABELS]
            for triple in combinations(indices, 3):
                signs[triple].append(_turn(*(mine[index] for index in triple)))
    mirrored = {point.label_index: point.mirrored_index for points in images for point in points}
    return not any(_is_broken(triple, mirrored, signs) for triple in signs)


def _is_broken(triple: Triple, mirrored: dict[int, int], signs: dict[Triple, list[float]]) -> bool:
    own = _mean_sign(triple, signs)
    a, b, c = (mirrored[index] for index in triple)
    return abs(own) >= ONE_WAY and _mean_sign((a, b, c), signs) * own > 0


def _mean_sign(triple: Triple, signs: dict[Triple, list[float]]) -> float:
    """Return the mean way round of three labels in any order; 0 where too few objects show them."""
    a, b, c = sorted(triple)
    mine = signs.get((a, b, c), [])
    if len(mine) < LEAST_OBJECTS:
        return 0.0
    order = [sorted(triple).index(index) for index in triple]
    is_odd = sum(order[i] > order[j] for i, j in combinations(range(3), 2)) % 2
    return float(np.mean(mine)) * (-1 if is_odd else 1)


def _turn(a: LabelledPoint, b: LabelledPoint, c: LabelledPoint) -> float:
    """Return 1 where a, b, c go round clockwise on the screen, -1 where they go the other way, else 0."""
    cross = (b.x_px - a.x_px) * (c.y_px - a.y_px) - (b.y_px - a.y_px) * (c.x_px - a.x_px)
    return float(np.sign(cross))


def _by_object(points: Sequence[LabelledPoint]) -> list[dict[int, LabelledPoint]]:
    """Return the points of each object by label; labels that an object shows twice are left out."""
    objects: dict[int, dict[int, list[LabelledPoint]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        objects[point.object_index][point.label_index].append(point)
    return [
        {label: same[0] for label, same in labels.items() if len(same) == 1} for labels in objects.values()
    ]
