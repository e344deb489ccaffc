"""What more labelled images would bring a project, from what its versions measured on held-out images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backend.core.evaluation.learning_curve import CurvePoint, Forecast, forecast
from backend.core.versions.card import VersionCard
from backend.service.ports import Json
from backend.service.versions.comparison import SAME_IMAGES
from backend.service.versions.metric_names import main_metric, metric_title

MORE_IMAGES = (25, 50, 100)
STEPS = 24
"""Numbers of images at which the curve is drawn."""
OBJECT_SPREAD = 0.45
"""By how much what one held-out object says varies (standard deviation), as `surely_better` in
`backend.training.detector.evaluation` has it."""
TOO_FEW = (
    "A curve needs versions that learned from at least two numbers of images and were measured on images "
    "that they had not learned from; so far there is {count}. Label more images and train again."
)


@dataclass(frozen=True)
class MeasuredVersion:
    """A version as a point of the curve."""

    version: str
    point: CurvePoint


@dataclass(frozen=True)
class ProjectCurve:
    """The learning curve of a project.

    measure: what is drawn, in words; "" where nothing was measured. images: that the newest version learned
    from. now: what it should measure by the curve. ahead: after MORE_IMAGES more. drawn: the curve itself.
    missing: why there is no curve; "" where there is one.
    """

    measure: str
    images: int
    points: tuple[MeasuredVersion, ...]
    now: Forecast | None
    ahead: tuple[Forecast, ...]
    drawn: tuple[Forecast, ...]
    missing: str

    def as_json(self) -> Json:
        """Return it as the API shows it."""
        return {
            "measure": self.measure,
            "images": self.images,
            "versions": [{"version": one.version, **asdict(one.point)} for one in self.points],
            "now": None if self.now is None else asdict(self.now),
            "ahead": [asdict(one) for one in self.ahead],
            "drawn": [asdict(one) for one in self.drawn],
            "missing": self.missing,
        }


def project_curve(cards: Sequence[VersionCard]) -> ProjectCurve:
    """Return the curve of a project from the cards of its versions, newest first.

    Versions that learned other labels than the newest one are left out. The measure is the newest version's
    main one; where fewer than three numbers of images have it, the F1 by which trainings compare their
    version with the serving one counts, if it gives more: it knows small versions, which held nothing back.
    """
    alike = [card for card in cards if card.labels == cards[0].labels and _images_of(card)]
    name = main_metric(alike[0].metrics) if alike else None
    by_metric = [] if name is None else list(_by_metric(alike, name))
    by_f1 = list(_by_f1(alike))
    points, measure = by_metric, "" if name is None else metric_title(name)
    if _counts(by_metric) < 3 and _counts(by_f1) > _counts(by_metric):
        points, measure = by_f1, SAME_IMAGES
    points.sort(key=lambda one: (one.point.images, one.version, one.point.measure))
    newest = max((_images_of(card) or 0 for card in alike), default=0)
    ahead_of = [newest, *(newest + more for more in MORE_IMAGES)]
    first = points[0].point.images if points else 1
    steps = np.unique(np.geomspace(first, max(newest, first) + MORE_IMAGES[-1], STEPS).round().astype(int))
    of_newest = forecast([one.point for one in points], [*ahead_of, *steps.tolist()])
    return ProjectCurve(
        measure=measure,
        images=newest,
        points=tuple(points),
        now=of_newest[0] if of_newest else None,
        ahead=of_newest[1 : len(ahead_of)],
        drawn=of_newest[len(ahead_of) :],
        missing="" if of_newest else TOO_FEW.format(count=_in_words(_counts(points))),
    )


def _by_metric(cards: Sequence[VersionCard], name: str) -> Iterator[MeasuredVersion]:
    for card in cards:
        if name in card.metrics:
            yield _measured(card, float(card.metrics[name]), _objects_held_out(card))


def _by_f1(cards: Sequence[VersionCard]) -> Iterator[MeasuredVersion]:
    """Yield each version once for every comparison that it was in."""
    by_name = {card.version: card for card in cards}
    for card in cards:
        found = card.comparison
        if found is None:
            continue
        objects = max(_objects_held_out(card), float(found.images))
        yield _measured(card, found.f1.challenger, objects)
        if found.champion in by_name:
            yield _measured(by_name[found.champion], found.f1.champion, objects)


def _measured(card: VersionCard, measure: float, objects: float) -> MeasuredVersion:
    error = OBJECT_SPREAD / math.sqrt(max(objects, 1.0))
    return MeasuredVersion(card.version, CurvePoint(_images_of(card) or 0, measure, round(error, 4)))


def _objects_held_out(card: VersionCard) -> float:
    """Return how many objects of one label say as much as those held out; a rare label says less."""
    counts = [float(row["objects"]) for row in card.per_class.values() if row.get("objects")]
    if not counts:
        return float(max(len(card.held_out_tasks), 1))
    return len(counts) ** 2 / sum(1 / count for count in counts)


def _images_of(card: VersionCard) -> int | None:
    learned = card.facts.get("training_images")
    return learned if isinstance(learned, int) and learned > 0 else None


def _counts(points: Sequence[MeasuredVersion]) -> int:
    return len({one.point.images for one in points})


def _in_words(count: int) -> str:
    return "one" if count == 1 else "none"
