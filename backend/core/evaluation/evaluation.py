"""What a version does on held-out images, counted for its report: small enough to stand in its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from backend.core.evaluation.judged import NOBODY, Bounds, JudgedImage

Json = dict[str, Any]
LOWEST_SCORE = 0.05
"""From here up calibration is counted."""
BINS = 10
WORST_IMAGES = 8
WORST_OBJECTS = 60
"""So many objects of a worst image are kept, wrong ones first."""


class Size(str, Enum):
    """COCO's sizes, by the area of the box in the pixels of the full image.

    Source: cocodataset.org, detection evaluation: small below 32 * 32, large from 96 * 96.
    """

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"

    @classmethod
    def of(cls, area_px: float) -> Size:
        """Return the size of an area."""
        return cls.SMALL if area_px < 32**2 else cls.MEDIUM if area_px < 96**2 else cls.LARGE


@dataclass(frozen=True)
class Tally:
    """How many objects were drawn, how many were found, and how many of these hit a drawn one."""

    drawn: int = 0
    found: int = 0
    hits: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.drawn + other.drawn, self.found + other.found, self.hits + other.hits)

    @property
    def precision(self) -> float | None:
        """The share of what was found that is right; None where nothing was found."""
        return self.hits / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """The share of what was drawn that was found; None where nothing was drawn."""
        return self.hits / self.drawn if self.drawn else None


@dataclass(frozen=True)
class ScoreBin:
    """What was found with scores in one tenth: how many, their mean score, and how many are right."""

    count: int
    mean_score: float
    hits: int


@dataclass(frozen=True)
class PlacedObject:
    """An object of a worst image; score: None for a drawn one. is_right: found and drawn alike."""

    label: str
    bounds: Bounds
    is_right: bool
    score: float | None = None


@dataclass(frozen=True)
class WorstImage:
    """An image with many mistakes: missed objects and wrong ones; left_out: objects beyond WORST_OBJECTS."""

    task_id: int
    page: int
    width: int
    height: int
    missed: int
    wrong: int
    objects: tuple[PlacedObject, ...]
    left_out: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Counts over held-out images, of what was found from `threshold` up, at an IoU of 0.5.

    tallies: by label and size; a hit counts with the size of the drawn object, what hits nothing with its
    own. confusion: (drawn label, found label) -> count; "" stands for nothing there. bins: by tenths of the
    score, from LOWEST_SCORE up, whatever the threshold. worst: the worst first.
    """

    threshold: float
    images: int
    tallies: Mapping[tuple[str, Size], Tally] = field(default_factory=dict)
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)
    bins: tuple[ScoreBin, ...] = ()
    worst: tuple[WorstImage, ...] = ()

    def of_label(self, label: str) -> Tally:
        """Return the counts of a label over all sizes."""
        return sum((tally for (one, _), tally in self.tallies.items() if one == label), Tally())

    def of_size(self, size: Size) -> Tally:
        """Return the counts of a size over all labels."""
        return sum((tally for (_, one), tally in self.tallies.items() if one is size), Tally())

    @property
    def total(self) -> Tally:
        """The counts of everything."""
        return sum(self.tallies.values(), Tally())

    def as_json(self) -> Json:
        """Return the object that `from_json` reads."""
        return {
            "threshold": self.threshold,
            "images": self.images,
            "tallies": [
                [label, size.value, tally.drawn, tally.found, tally.hits]
                for (label, size), tally in self.tallies.items()
            ],
            "confusion": [[drawn, found, count] for (drawn, found), count in self.confusion.items()],
            "bins": [[one.count, one.mean_score, one.hits] for one in self.bins],
            "worst": [
                {
                    **vars(image),
                    "objects": [
                        [one.label, *one.bounds, int(one.is_right), one.score] for one in image.objects
                    ],
                }
                for image in self.worst
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Evaluation:
        """Read the object of a card. Raises KeyError, TypeError or ValueError."""
        return cls(
            threshold=float(content["threshold"]),
            images=int(content["images"]),
            tallies={
                (str(label), Size(size)): Tally(int(drawn), int(found), int(hits))
                for label, size, drawn, found, hits in content["tallies"]
            },
            confusion={(str(drawn), str(found)): int(n) for drawn, found, n in content["confusion"]},
            bins=tuple(ScoreBin(int(n), float(mean), int(hits)) for n, mean, hits in content["bins"]),
            worst=tuple(_worst_of_json(image) for image in content["worst"]),
        )


def evaluate(images: Sequence[JudgedImage], threshold: float) -> Evaluation:
    """Return the counts over images that were judged down to LOWEST_SCORE or the threshold."""
    tallies: Counter[tuple[str, Size, str]] = Counter()
    confusion: Counter[tuple[str, str]] = Counter()
    for image in images:
        _count(image, threshold, tallies, confusion)
    names = sorted({(label, size) for label, size, _ in tallies}, key=lambda name: (name[0], name[1].value))
    return Evaluation(
        threshold=threshold,
        images=len(images),
        tallies={
            (label, size): Tally(*(tallies[label, size, what] for what in ("drawn", "found", "hits")))
            for label, size in names
        },
        confusion=dict(sorted(confusion.items())),
        bins=_bins(images),
        worst=_worst(images, threshold),
    )


def _count(
    image: JudgedImage,
    threshold: float,
    tallies: Counter[tuple[str, Size, str]],
    confusion: Counter[tuple[str, str]],
) -> None:
    met = set()
    for drawn in image.drawn:
        tallies[drawn.label, Size.of(drawn.area_px), "drawn"] += 1
    for found in image.found:
        if found.score < threshold:
            continue
        is_hit = found.hits != NOBODY
        area_px = image.drawn[found.hits].area_px if is_hit else found.area_px
        tallies[found.label, Size.of(area_px), "found"] += 1
        tallies[found.label, Size.of(area_px), "hits"] += is_hit
        partner = found.hits if is_hit else found.overlaps
        met.add(partner)
        confusion["" if partner == NOBODY else image.drawn[partner].label, found.label] += 1
    for index, drawn in enumerate(image.drawn):
        if index not in met:
            confusion[drawn.label, ""] += 1


def _bins(images: Iterable[JudgedImage]) -> tuple[ScoreBin, ...]:
    scores: list[list[float]] = [[] for _ in range(BINS)]
    hits = [0] * BINS
    for found in (one for image in images for one in image.found if one.score >= LOWEST_SCORE):
        place = min(int(found.score * BINS), BINS - 1)
        scores[place].append(found.score)
        hits[place] += found.hits != NOBODY
    return tuple(
        ScoreBin(len(mine), round(sum(mine) / len(mine), 4) if mine else 0.0, right)
        for mine, right in zip(scores, hits, strict=True)
    )


def _worst(images: Iterable[JudgedImage], threshold: float) -> tuple[WorstImage, ...]:
    """Return the images with most mistakes, of as many the one with the greater share of them first."""
    seen = [_with_mistakes(image, threshold) for image in images]
    seen = [image for image in seen if image.missed + image.wrong]
    seen.sort(key=lambda image: (-(image.missed + image.wrong), len(image.objects), image.task_id))
    return tuple(seen[:WORST_IMAGES])


def _with_mistakes(image: JudgedImage, threshold: float) -> WorstImage:
    kept = [found for found in image.found if found.score >= threshold]
    hit = {found.hits for found in kept}
    drawn = [PlacedObject(one.label, _short(one.bounds), i in hit) for i, one in enumerate(image.drawn)]
    found = [
        PlacedObject(one.label, _short(one.bounds), one.hits != NOBODY, round(one.score, 3)) for one in kept
    ]
    missed = sum(not one.is_right for one in drawn)
    wrong = sum(not one.is_right for one in found)
    objects = sorted([*drawn, *found], key=lambda one: one.is_right)
    size = image.source.size
    return WorstImage(
        task_id=image.source.task_id,
        page=image.source.page,
        width=size.width,
        height=size.height,
        missed=missed,
        wrong=wrong,
        objects=tuple(objects[:WORST_OBJECTS]),
        left_out=max(0, len(objects) - WORST_OBJECTS),
    )


def _short(bounds: Bounds) -> Bounds:
    x1, y1, x2, y2 = (round(share, 4) for share in bounds)
    return x1, y1, x2, y2


def _worst_of_json(content: Mapping[str, Any]) -> WorstImage:
    objects = tuple(
        PlacedObject(
            str(label),
            (float(x1), float(y1), float(x2), float(y2)),
            bool(is_right),
            None if score is None else float(score),
        )
        for label, x1, y1, x2, y2, is_right, score in content["objects"]
    )
    numbers = {name: int(content[name]) for name in _WORST_NUMBERS}
    return WorstImage(**numbers, objects=objects)


_WORST_NUMBERS = ("task_id", "page", "width", "height", "missed", "wrong", "left_out")
