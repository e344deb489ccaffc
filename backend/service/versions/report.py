"""The evaluation report of a version: what its training measured on held-out images, and what changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from backend.core.evaluation.evaluation import Evaluation, Size, Tally, WorstImage
from backend.core.versions.card import VersionCard
from backend.service.ports import Json, ListedVersion
from backend.service.versions.comparison import VersionComparison, compare_versions
from backend.training.recipe import RECIPE

SURE = 1.2815515655
"""Standard errors on each side of a range that holds the true share in 80 of 100 cases."""

NOT_HELD_OUT = (
    "No image was held back from this training, so nothing could be measured: {wanted} annotated images are "
    "needed for that, and some that no version it started from has learned from."
)
EARLIER_RELEASE = (
    "This version was trained by an earlier release, which kept its scores alone: sizes, confusion, "
    "calibration and the worst images are missing. Train again to have them."
)
NO_OBJECTS = (
    "This version finds no objects with scores, so sizes, confusion, calibration and worst images are not "
    "counted; its measures stand above."
)


@dataclass(frozen=True)
class Share:
    """A share of some number of things, with the range that holds the true one in 80 of 100 cases.

    value: None where there are none.
    """

    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ReportRow:
    """Precision and recall of a label, of a size, or of everything (name "")."""

    name: str
    drawn: int
    found: int
    precision: Share
    recall: Share


@dataclass(frozen=True)
class Confusion:
    """How often what was drawn as one label was found as another; "" is nothing there."""

    drawn: str
    found: str
    count: int


@dataclass(frozen=True)
class ReportBin:
    """What was found with scores from `low` to `high`: its mean score, and the share that is right."""

    low: float
    high: float
    count: int
    mean_score: float
    right: float


@dataclass(frozen=True)
class VersionReport:
    """What a reader should know of a version.

    images: how many learned and how many were held back. missing: a sentence for each part that its training
    did not keep. before: what changed since the version before; None for the first one.
    """

    card: VersionCard
    learned_images: int | None
    held_out_images: int
    threshold: float | None
    total: ReportRow | None
    by_label: tuple[ReportRow, ...]
    by_size: tuple[ReportRow, ...]
    by_label_and_size: tuple[ReportRow, ...]
    confusion: tuple[Confusion, ...]
    calibration: tuple[ReportBin, ...]
    worst: tuple[WorstImage, ...]
    missing: tuple[str, ...]
    before: VersionComparison | None

    def as_json(self) -> Json:
        """Return it as the API shows it."""
        card = self.card
        return {
            "version": card.version,
            "created_at": card.created_at,
            "labels": list(card.labels),
            "backbone": card.backbone,
            "learned_images": self.learned_images,
            "held_out_images": self.held_out_images,
            "metrics": dict(card.metrics),
            "threshold": self.threshold,
            "total": self.total and asdict(self.total),
            "by_label": [asdict(row) for row in self.by_label],
            "by_size": [asdict(row) for row in self.by_size],
            "by_label_and_size": [asdict(row) for row in self.by_label_and_size],
            "confusion": [asdict(one) for one in self.confusion],
            "calibration": [asdict(one) for one in self.calibration],
            "worst": [asdict(image) for image in self.worst],
            "warnings": list(card.warnings),
            "missing": list(self.missing),
            "before": None if self.before is None else self.before.as_json(),
        }


def version_report(card: VersionCard, before: VersionCard | None = None) -> VersionReport:
    """Return the report of a version; before: the card of the one before it."""
    evaluation = card.evaluation or Evaluation(0.0, 0)
    labels = [*card.labels, *(label for label, _ in evaluation.tallies if label not in card.labels)]
    shown = list(dict.fromkeys(labels)) if card.evaluation else []
    learned = card.facts.get("training_images")
    return VersionReport(
        card=card,
        learned_images=learned if isinstance(learned, int) else None,
        held_out_images=_held_out(card),
        threshold=evaluation.threshold if card.evaluation else None,
        total=_row("", evaluation.total) if card.evaluation else None,
        by_label=tuple(_row(label, evaluation.of_label(label)) for label in shown) or _of_earlier(card),
        by_size=tuple(_row(size.value, evaluation.of_size(size)) for size in Size) if card.evaluation else (),
        by_label_and_size=tuple(
            _row(f"{label}, {size.value}", evaluation.tallies[label, size])
            for label in shown
            for size in Size
            if (label, size) in evaluation.tallies
        ),
        confusion=tuple(
            Confusion(drawn, found, count) for (drawn, found), count in evaluation.confusion.items()
        ),
        calibration=tuple(
            ReportBin(
                place / len(evaluation.bins),
                (place + 1) / len(evaluation.bins),
                one.count,
                one.mean_score,
                one.hits / one.count,
            )
            for place, one in enumerate(evaluation.bins)
            if one.count
        ),
        worst=evaluation.worst,
        missing=_missing(card),
        before=None if before is None else compare_versions(before, card),
    )


def version_before(card: VersionCard, listed: Sequence[ListedVersion]) -> VersionCard | None:
    """Return the card of the youngest trained version that is older than this one; None where none is.

    The one that served when this one was trained goes first: its comparison is on the same images.
    """
    older = [
        one.card
        for one in listed
        if one.card.created_at is not None
        and card.created_at is not None
        and one.card.created_at < card.created_at
    ]
    served = None if card.comparison is None else card.comparison.champion
    by_age = sorted(older, key=lambda one: (one.version == served, one.created_at))
    return by_age[-1] if by_age else None


def _held_out(card: VersionCard) -> int:
    if card.evaluation is not None:
        return card.evaluation.images
    counted = card.facts.get("held_out_images")
    return counted if isinstance(counted, int) else len(card.held_out_tasks)


def _missing(card: VersionCard) -> tuple[str, ...]:
    if card.evaluation is not None:
        return ()
    if not _held_out(card):
        return (NOT_HELD_OUT.format(wanted=RECIPE.held_out_min_images),)
    return (EARLIER_RELEASE,) if card.per_class else (NO_OBJECTS,)


def _of_earlier(card: VersionCard) -> tuple[ReportRow, ...]:
    """Return what cards of earlier releases say of their labels."""
    return tuple(
        ReportRow(label, int(row["objects"]), 0, _plain(row, "precision"), _plain(row, "recall"))
        for label, row in card.per_class.items()
        if "objects" in row
    )


def _plain(row: Mapping[str, float], name: str) -> Share:
    return Share(0, row.get(name), None, None)


def _row(name: str, tally: Tally) -> ReportRow:
    return ReportRow(
        name, tally.drawn, tally.found, _share(tally.hits, tally.found), _share(tally.hits, tally.drawn)
    )


def _share(right: int, of: int) -> Share:
    """Return a share with Wilson's score interval (1927)."""
    if not of:
        return Share(0, None, None, None)
    value, z = right / of, SURE
    middle = (value + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(value * (1 - value) / of + z * z / (4 * of * of))
    return Share(of, value, max(0.0, middle - half), min(1.0, middle + half))
