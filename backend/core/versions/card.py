"""The card of a version: what the program reads of it, and what it merely shows.

A card is one JSON object beside the weights, `card.json`. What describes the network in it (`architecture`,
`score_map`, ...) is read by `backend.nn` alone and stays among the facts here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backend.core.evaluation.evaluation import Evaluation
from backend.core.text.lines import LineHabit
from backend.errors import VersionError

Json = dict[str, Any]
LATEST_MOMENT = 1e11
"""Seconds since the epoch, some thousand years from now: an imported card may say anything."""


@dataclass(frozen=True)
class LearnedCounts:
    """What a training learned from; masks: regions of which the outline is known, not only the box.

    answers: about whole images; attributes: answers about regions.
    """

    tasks: int = 0
    images: int = 0
    images_without_regions: int = 0
    regions: int = 0
    masks: int = 0
    regions_by_label: Mapping[str, int] = field(default_factory=dict)
    answers: int = 0
    attributes: int = 0

    def as_json(self) -> Json:
        """Return the object that `from_json` reads; answers and attributes only where there are any."""
        counts = {**vars(self), "regions_by_label": dict(self.regions_by_label)}
        return {name: n for name, n in counts.items() if n or name not in ("answers", "attributes")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LearnedCounts:
        """Read the counts of a card or of a job; what they lack is 0.

        Before they counted `images` and `regions` they counted `tasks` and `objects` alone.
        """
        return cls(
            tasks=int(content.get("tasks", 0)),
            images=int(content["images"] if "images" in content else content.get("tasks", 0)),
            images_without_regions=int(content.get("images_without_regions", 0)),
            regions=int(content["regions"] if "regions" in content else content.get("objects", 0)),
            masks=int(content.get("masks", 0)),
            answers=int(content.get("answers", 0)),
            attributes=int(content.get("attributes", 0)),
            regions_by_label={str(k): int(n) for k, n in content.get("regions_by_label", {}).items()},
        )


@dataclass(frozen=True)
class F1Pair:
    """The F1 of two versions on the same images."""

    champion: float
    challenger: float


@dataclass(frozen=True)
class ChampionComparison:
    """A new version against the one that served, on `images` images that neither has learned from.

    f1: the mean over the kinds of things that are learned: objects, points, each control tag that asks
    something. f1_by_kind: that of each, where there are several. share_of_draws_worse: of the bootstrap's
    draws of these images, the share in which the new one is worse.
    """

    champion: str
    images: int
    f1: F1Pair
    share_of_draws_worse: float
    f1_by_label: Mapping[str, F1Pair] = field(default_factory=dict)
    f1_by_kind: Mapping[str, F1Pair] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return the object that `from_json` reads."""
        return {
            "champion": self.champion,
            "images": self.images,
            "f1_champion": self.f1.champion,
            "f1_challenger": self.f1.challenger,
            "share_of_draws_worse": self.share_of_draws_worse,
            "f1_by_label": _pairs_as_json(self.f1_by_label),
            **({"f1_by_kind": _pairs_as_json(self.f1_by_kind)} if self.f1_by_kind else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ChampionComparison:
        """Read the comparison of a card or of a job."""
        return cls(
            champion=str(content["champion"]),
            images=int(content["images"]),
            f1=F1Pair(float(content["f1_champion"]), float(content["f1_challenger"])),
            share_of_draws_worse=float(content["share_of_draws_worse"]),
            f1_by_label=_pairs_of(content["f1_by_label"]),
            f1_by_kind=_pairs_of(content.get("f1_by_kind", {})),
        )


def _pairs_as_json(pairs: Mapping[str, F1Pair]) -> Json:
    return {name: dict(vars(f1)) for name, f1 in pairs.items()}


def _pairs_of(content: Mapping[str, Any]) -> dict[str, F1Pair]:
    return {str(name): F1Pair(float(f1["champion"]), float(f1["challenger"])) for name, f1 in content.items()}


@dataclass(frozen=True)
class VersionCard:
    """What is known of one version; its name is "" until it is published.

    params: training parameters by name. origins: where each came from. metrics: by name, of the epoch that
    is kept, on the images held back; per_class: the same by label. held_out_tasks: ids of the tasks that
    were held back; is_held_out_of_start: neither has any version that it started from learned from them,
    which cards of earlier releases do not say. evaluation: what the report counts on them; None where none
    was held back, where no head finds objects with scores, and of versions of earlier releases. unusable:
    regions and tasks that taught nothing, counted by reason. line_habit: how lines of text are drawn in the
    labelled images; None where no label's objects are lines. created_at and imported_at: seconds since the
    epoch. facts: everything else, which the program shows and never reads.
    """

    version: str = ""
    labels: tuple[str, ...] = ()
    project_key: str | None = None
    job_id: str | None = None
    created_at: float | None = None
    imported_at: float | None = None
    imported_from: str | None = None
    label_config: str | None = None
    labels_digest: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    counts: LearnedCounts | None = None
    unusable: Mapping[str, int] = field(default_factory=dict)
    held_out_tasks: tuple[int, ...] = ()
    is_held_out_of_start: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    activation_reason: str | None = None
    comparison: ChampionComparison | None = None
    line_habit: LineHabit | None = None
    evaluation: Evaluation | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def backbone(self) -> str | None:
        """The name of the backbone; None where the card names none."""
        name = self.params.get("backbone")
        return None if name is None else str(name)

    @property
    def learned_masks(self) -> bool:
        """Tell whether outlines were to be learned too, not only boxes."""
        return bool(self.params.get("enable_segmentation", True))

    @property
    def learned_boxes(self) -> bool:
        """Tell whether it finds objects with boxes, and not painted areas; the first release always did."""
        heads = self.facts.get("architecture", {}).get("heads")
        return heads is None or "boxes" in heads or "areas" not in heads

    @property
    def asked(self) -> Mapping[str, Mapping[str, Any]]:
        """What its heads learned beside objects, by the name of the head and of the control tag."""
        asked: Mapping[str, Mapping[str, Any]] = self.facts.get("architecture", {}).get("asked", {})
        return asked

    @property
    def learned_points(self) -> bool:
        """Tell whether it finds points."""
        return "landmarks" in self.facts.get("architecture", {}).get("heads", ())

    @property
    def learned_areas(self) -> bool:
        """Tell whether it finds painted areas, and no objects with boxes."""
        return "areas" in self.facts.get("architecture", {}).get("heads", ())

    def with_facts(self, **facts: Any) -> VersionCard:
        """Return the card with further facts, JSON-ready."""
        return replace(self, facts={**self.facts, **facts})

    def as_json(self) -> Json:
        """Return the object that `from_json` reads; what is not known of a version is left out."""
        content: Json = {
            **self.facts,
            "version": self.version or None,
            "labels": list(self.labels),
            "project_key": self.project_key,
            "job_id": self.job_id,
            "created_at": self.created_at,
            "imported_at": self.imported_at,
            "imported_from": self.imported_from,
            "label_config": self.label_config,
            "labels_digest": self.labels_digest,
            "params": dict(self.params),
            "origins": dict(self.origins),
            "counts": None if self.counts is None else self.counts.as_json(),
            "unusable": dict(self.unusable),
            "held_out_tasks": list(self.held_out_tasks),
            "is_held_out_of_start": self.is_held_out_of_start or None,
            "metrics": dict(self.metrics),
            "per_class": {label: dict(values) for label, values in self.per_class.items()},
            "warnings": list(self.warnings),
            "activation_reason": self.activation_reason,
            "comparison": None if self.comparison is None else self.comparison.as_json(),
            "line_habit": None if self.line_habit is None else self.line_habit.as_json(),
            "evaluation": None if self.evaluation is None else self.evaluation.as_json(),
        }
        return {name: value for name, value in content.items() if value is not None or name in self.facts}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> VersionCard:
        """Read a card of any format so far. Raises VersionError where it holds something else."""
        try:
            return _read(upgrade_card(content))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise VersionError(f"card.json cannot be read: {exc!r}") from exc


def parse_card(content: bytes) -> VersionCard:
    """Return the card of a version folder. Raises VersionError where it is damaged."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise VersionError(f"card.json is damaged: {str(exc)[:200]}") from exc
    if not isinstance(value, dict):
        raise VersionError(f"card.json must hold a JSON object, got {type(value).__name__}")
    return VersionCard.from_json(value)


def upgrade_card(content: Mapping[str, Any]) -> Json:
    """Return the content of `card.json` in the format of today.

    Before it the backbone stood beside `params`, or in the description of the network alone.
    """
    card = dict(content)
    params = dict(card.get("params") or {})
    outside = card.pop("backbone", None)
    described = card.get("architecture") or {}
    if "backbone" not in params and (outside or "backbone" in described):
        params["backbone"] = outside or described["backbone"]
    card["params"] = params
    return card


def _read(card: Mapping[str, Any]) -> VersionCard:
    typed = set(VersionCard.__dataclass_fields__) - {"facts"}
    counts, comparison, habit = card.get("counts"), card.get("comparison"), card.get("line_habit")
    evaluation = card.get("evaluation")
    return VersionCard(
        version=str(card.get("version", "")),
        labels=tuple(str(label) for label in card.get("labels", ())),
        project_key=_text(card, "project_key"),
        job_id=_text(card, "job_id"),
        created_at=_moment(card, "created_at"),
        imported_at=_moment(card, "imported_at"),
        imported_from=_text(card, "imported_from"),
        label_config=_text(card, "label_config"),
        labels_digest=_text(card, "labels_digest"),
        params=dict(card["params"]),
        origins={str(name): str(origin) for name, origin in card.get("origins", {}).items()},
        counts=LearnedCounts.from_json(counts) if counts else None,
        unusable={str(reason): int(count) for reason, count in card.get("unusable", {}).items()},
        held_out_tasks=tuple(int(task_id) for task_id in card.get("held_out_tasks", ())),
        is_held_out_of_start=card.get("is_held_out_of_start") is True,
        metrics=numbers_of(card.get("metrics") or {}),
        per_class={str(label): numbers_of(values) for label, values in (card.get("per_class") or {}).items()},
        warnings=tuple(str(warning) for warning in card.get("warnings", ())),
        activation_reason=_text(card, "activation_reason"),
        comparison=ChampionComparison.from_json(comparison) if comparison else None,
        line_habit=LineHabit.from_json(habit) if habit else None,
        evaluation=Evaluation.from_json(evaluation) if evaluation else None,
        facts={name: value for name, value in card.items() if name not in typed},
    )


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the entries that are numbers; a metric that could not be measured is none."""
    return {
        str(name): value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _text(card: Mapping[str, Any], name: str) -> str | None:
    value = card.get(name)
    return None if value is None else str(value)


def _moment(card: Mapping[str, Any], name: str) -> float | None:
    """Return seconds since the epoch, None where a card says none or what is no moment of ours."""
    value = card.get(name)
    moment = None if value is None else float(value)
    return moment if moment is not None and 0 <= moment <= LATEST_MOMENT else None
