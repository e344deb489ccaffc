"""What a job says of itself: how far it is, and its report. Both travel in its record as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from backend.core.labelstudio.left_alone import LeftAlone
from backend.core.versions.card import ChampionComparison, LearnedCounts, numbers_of
from backend.service.jobs.left_out import LeftOutWhere
from backend.service.jobs.memory import MemoryUse
from backend.service.ports import Json


@dataclass(frozen=True)
class TrainingJobProgress:
    """How far a training is; what is not known yet is None.

    step: what it does now. fraction: of the whole, 0..1. epoch: the last finished one, from 1. loss: of that
    epoch. images: read so far.
    """

    step: str | None = None
    images: int | None = None
    images_total: int | None = None
    fraction: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    seconds_left: float | None = None

    def as_json(self) -> Json:
        """Return what is known."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrainingJobProgress:
        """Read the progress of a training's record."""
        return cls(**{known.name: content.get(known.name) for known in fields(cls)})


@dataclass(frozen=True)
class PredictionProgress:
    """How many tasks of a background prediction are done and pushed; total: None before it is known.

    tiles: how many tiles are done of the images that are cut. tiles_total: of how many, in the images read
    so far; 0 where none is cut.
    """

    done: int = 0
    total: int | None = None
    pushed: int = 0
    tiles: int = 0
    tiles_total: int = 0

    def plus(self, other: PredictionProgress) -> PredictionProgress:
        """Return what both came to; the total stays, since it counts the tasks of all shards."""
        return PredictionProgress(
            self.done + other.done,
            self.total,
            self.pushed + other.pushed,
            self.tiles + other.tiles,
            self.tiles_total + other.tiles_total,
        )

    def as_json(self) -> Json:
        """Return the counts; those of tiles where an image is cut."""
        counts = dict(vars(self))
        return counts if self.tiles_total else {name: counts[name] for name in ("done", "total", "pushed")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PredictionProgress:
        """Read the progress of a prediction's record."""
        total = content.get("total")
        return cls(
            int(content.get("done", 0)),
            None if total is None else int(total),
            int(content.get("pushed", 0)),
            int(content.get("tiles", 0)),
            int(content.get("tiles_total", 0)),
        )


JobProgress = TrainingJobProgress | PredictionProgress


@dataclass(frozen=True)
class UsedParameter:
    """The value of a training parameter and where it came from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class CurvePoint:
    """What one epoch came to; metrics: on the images held back, empty where it was not measured."""

    epoch: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return the point that `from_json` reads."""
        return {"epoch": self.epoch, "loss": self.loss, **self.metrics}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> CurvePoint:
        """Read one point of a record's curve."""
        metrics = {name: value for name, value in content.items() if name not in ("epoch", "loss")}
        return cls(int(content["epoch"]), float(content["loss"]), numbers_of(metrics))


@dataclass(frozen=True)
class JobReport:
    """What a job tells beside its progress; what it has not come to yet is None or empty.

    Of every job: warnings and memory. Of a training: params to prediction_job. labels_taken_at: seconds
    since the epoch. left_out_where: by the reasons of unusable. left_alone: control tags that are not
    learned. disputed_tasks: the first of those on which annotators disagree. tiles: how its images are cut,
    and why. stopped_by: who ended it early. activation_reason: why its version serves or waits.
    prediction_job: the background prediction that followed. Of a background prediction: parts, the jobs
    that have a shard of its tasks, and the rest. waiting_for: what keeps it from going on, "" once that is
    over. set_model_version: what Label Studio was told to name. Of a second look: findings, how many places
    it lists, and images_compared. Of a ranking: pictures_ranked.
    """

    warnings: tuple[str, ...] = ()
    memory: MemoryUse | None = None
    params: Mapping[str, UsedParameter] | None = None
    labels_taken_at: float | None = None
    counts: LearnedCounts | None = None
    unusable: Mapping[str, int] | None = None
    left_out_where: Mapping[str, LeftOutWhere] | None = None
    left_alone: tuple[LeftAlone, ...] = ()
    disputed_tasks: tuple[int, ...] = ()
    disputed_tasks_count: int | None = None
    tiles: str | None = None
    curve: tuple[CurvePoint, ...] = ()
    stopped_by: str | None = None
    metrics: Mapping[str, float] | None = None
    activated: bool | None = None
    activation_reason: str | None = None
    comparison: ChampionComparison | None = None
    prediction_job: str | None = None
    parts: tuple[str, ...] = ()
    tasks_without_prediction: tuple[int, ...] = ()
    tasks_without_prediction_count: int | None = None
    waiting_for: str | None = None
    set_model_version: str | None = None
    findings: int | None = None
    images_compared: int | None = None
    pictures_ranked: int | None = None

    def as_json(self) -> Json:
        """Return what the job has come to, as its record holds it and the API shows it."""
        content: Json = {
            **vars(self),
            "warnings": list(self.warnings),
            "memory": None if self.memory is None else asdict(self.memory),
            "params": None
            if self.params is None
            else {name: asdict(used) for name, used in self.params.items()},
            "counts": None if self.counts is None else self.counts.as_json(),
            "unusable": None if self.unusable is None else dict(self.unusable),
            "left_out_where": None
            if self.left_out_where is None
            else {
                reason: {**asdict(met), "tasks": list(met.tasks)}
                for reason, met in self.left_out_where.items()
            },
            "left_alone": [asdict(tag) for tag in self.left_alone],
            "disputed_tasks": list(self.disputed_tasks),
            "curve": [point.as_json() for point in self.curve],
            "metrics": None if self.metrics is None else dict(self.metrics),
            "comparison": None if self.comparison is None else self.comparison.as_json(),
            "parts": list(self.parts),
            "tasks_without_prediction": list(self.tasks_without_prediction),
        }
        return {name: value for name, value in content.items() if value is not None and value != []}

    @classmethod
    def from_json(cls, details: Mapping[str, Any]) -> JobReport:
        """Read the details of a job's record; of any release so far."""
        memory, params, counts = (details.get(name) for name in ("memory", "params", "counts"))
        where = details.get("left_out_where")
        unusable, metrics, comparison = (details.get(name) for name in ("unusable", "metrics", "comparison"))
        return cls(
            warnings=tuple(details.get("warnings", ())),
            memory=MemoryUse(**memory) if memory else None,
            params=None
            if params is None
            else {name: UsedParameter(used["value"], used["origin"]) for name, used in params.items()},
            labels_taken_at=details.get("labels_taken_at"),
            counts=None if counts is None else LearnedCounts.from_json(counts),
            unusable=None if unusable is None else dict(unusable),
            left_out_where=None
            if where is None
            else {
                reason: LeftOutWhere(**{**met, "tasks": tuple(met["tasks"])}) for reason, met in where.items()
            },
            left_alone=tuple(LeftAlone(**tag) for tag in details.get("left_alone", ())),
            disputed_tasks=tuple(details.get("disputed_tasks", ())),
            disputed_tasks_count=details.get("disputed_tasks_count"),
            tiles=details.get("tiles"),
            curve=tuple(CurvePoint.from_json(point) for point in details.get("curve", ())),
            stopped_by=details.get("stopped_by"),
            metrics=None if metrics is None else numbers_of(metrics),
            activated=details.get("activated"),
            activation_reason=details.get("activation_reason"),
            comparison=ChampionComparison.from_json(comparison) if comparison else None,
            prediction_job=details.get("prediction_job"),
            parts=tuple(details.get("parts", ())),
            tasks_without_prediction=tuple(details.get("tasks_without_prediction", ())),
            tasks_without_prediction_count=details.get("tasks_without_prediction_count"),
            waiting_for=details.get("waiting_for"),
            set_model_version=details.get("set_model_version"),
            findings=details.get("findings"),
            images_compared=details.get("images_compared"),
            pictures_ranked=details.get("pictures_ranked"),
        )
