"""Two versions of a project side by side: their scores, their recipe, and each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.service.ports import Json
from backend.service.versions.metric_names import is_comparable, metric_title

SAME_IMAGES = "F1 on the same images"
_LATER_IS_WORSE_BELOW = -0.005


@dataclass(frozen=True)
class MetricDifference:
    """One metric of two versions; a value that a card lacks is None, and then so is the difference."""

    name: str
    before: float | None
    after: float | None
    difference: float | None


@dataclass(frozen=True)
class ClassComparison:
    """The metrics of one label."""

    label: str
    metrics: tuple[MetricDifference, ...]


@dataclass(frozen=True)
class ParameterDifference:
    """A parameter in which two versions differ."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class VersionComparison:
    """What changed from one version to another; sentence: which is better, or why that cannot be told."""

    before: str
    after: str
    metrics: tuple[MetricDifference, ...]
    classes: tuple[ClassComparison, ...]
    parameters: tuple[ParameterDifference, ...]
    sentence: str

    def as_json(self) -> Json:
        """Return it as the API shows it."""
        return {
            "before": self.before,
            "after": self.after,
            "metrics": [asdict(metric) for metric in self.metrics],
            "classes": [
                {"label": of.label, "metrics": [asdict(metric) for metric in of.metrics]}
                for of in self.classes
            ],
            "parameters": [asdict(parameter) for parameter in self.parameters],
            "sentence": self.sentence,
        }


def compare_versions(before: VersionCard, after: VersionCard) -> VersionComparison:
    """Return what changed from one card to another: overall metrics, metrics by class, parameters."""
    metrics = _differences(before.metrics, after.metrics)
    same_images = _on_same_images(before, after)
    f1_by_label: Mapping[str, F1Pair] = {}
    if same_images is not None:
        found = same_images.f1_by_kind.items()
        kinds = [_of_f1(f1, f"{SAME_IMAGES}, {kind}") for kind, f1 in found]
        metrics = [_of_f1(same_images.f1), *kinds, *metrics]
        f1_by_label = same_images.f1_by_label
    classes = []
    for label in dict.fromkeys([*before.labels, *after.labels]):
        of_label = _differences(before.per_class.get(label, {}), after.per_class.get(label, {}))
        if label in f1_by_label:
            of_label.insert(0, _of_f1(f1_by_label[label]))
        classes.append(ClassComparison(label, tuple(of_label)))
    return VersionComparison(
        before=before.version,
        after=after.version,
        metrics=tuple(metrics),
        classes=tuple(classes),
        parameters=tuple(_changed_parameters(before, after)),
        sentence=_sentence(before, after, metrics),
    )


def _on_same_images(before: VersionCard, after: VersionCard) -> ChampionComparison | None:
    """Return what the comparison at the end of the later training found, if it was with the other version.

    It is the fair one: both versions on the same images, which neither has learned from.
    """
    found = after.comparison
    return None if found is None or found.champion != before.version else found


def _of_f1(f1: F1Pair, name: str = SAME_IMAGES) -> MetricDifference:
    return MetricDifference(name, f1.champion, f1.challenger, f1.challenger - f1.champion)


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> list[MetricDifference]:
    return [
        MetricDifference(
            name,
            before.get(name),
            after.get(name),
            after[name] - before[name] if name in before and name in after else None,
        )
        for name in dict.fromkeys([*before, *after])
    ]


def _changed_parameters(before: VersionCard, after: VersionCard) -> list[ParameterDifference]:
    old, new = before.params, after.params
    return [
        ParameterDifference(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and name != "task_ids"
    ]


def _sentence(before: VersionCard, after: VersionCard, metrics: Sequence[MetricDifference]) -> str:
    if before.labels != after.labels:
        return "The two learned different labels, so their overall scores are not comparable."
    main = metrics[0] if metrics and metrics[0].name == SAME_IMAGES else _first_shared(metrics)
    if main is None or main.difference is None:
        return "At least one of the two was not measured on held-out images, so there is nothing to compare."
    if main.difference < _LATER_IS_WORSE_BELOW:
        verdict = "worse than"
    elif main.difference > -_LATER_IS_WORSE_BELOW:
        verdict = "better than"
    else:
        verdict = "about as good as"
    tail = "" if main.name == SAME_IMAGES else ", each on its own held-out images"
    return (
        f"{after.version} is {verdict} {before.version}: {metric_title(main.name)} "
        f"{main.after:.3f} after {main.before:.3f}{tail}."
    )


def _first_shared(metrics: Sequence[MetricDifference]) -> MetricDifference | None:
    """Return the first metric of the whole that both versions have."""
    shared = (entry for entry in metrics if entry.difference is not None and is_comparable(entry.name))
    return next(shared, None)
