"""Two versions of a project side by side: their scores, their recipe, and each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.service.ports import Json
from backend.service.versions.metric_names import metric_title

SAME_IMAGES = "F1 on the same images"
_LATER_IS_WORSE_BELOW = -0.005


def compare_versions(before: Json, after: Json) -> Json:
    """Return what changed from one card to another: overall metrics, metrics by class, parameters.

    Every metric is {name, before, after, difference}; a value that a card lacks is None. The sentence says
    which one is better, or why that cannot be told.
    """
    metrics = _differences(_metrics(before), _metrics(after))
    old, new = _by_class(before), _by_class(after)
    same_images = _on_same_images(before, after)
    if same_images is not None:
        metrics.insert(0, same_images.overall)
    classes = [
        {
            "label": label,
            "metrics": [
                *(same_images.by_label.get(label, []) if same_images else []),
                *_differences(old.get(label, {}), new.get(label, {})),
            ],
        }
        for label in dict.fromkeys([*before.get("labels", ()), *after.get("labels", ())])
    ]
    return {
        "before": before["version"],
        "after": after["version"],
        "metrics": metrics,
        "classes": classes,
        "parameters": _changed_parameters(before, after),
        "sentence": _sentence(before, after, metrics),
    }


def _metrics(card: Json) -> dict[str, float]:
    return {name: float(value) for name, value in (card.get("metrics") or {}).items() if _is_number(value)}


def _by_class(card: Json) -> Mapping[str, dict[str, float]]:
    """Return label -> metric -> value, from `per_class` of the card."""
    return {
        label: {name: float(value) for name, value in values.items() if _is_number(value)}
        for label, values in (card.get("per_class") or {}).items()
        if isinstance(values, Mapping)
    }


@dataclass(frozen=True)
class _SameImages:
    overall: Json
    by_label: Mapping[str, list[Json]]


def _on_same_images(before: Json, after: Json) -> _SameImages | None:
    """Return what the comparison at the end of the later training found, if it was with the other version.

    It is the fair one: both versions on the same images, which neither has learned from.
    """
    found = after.get("comparison") or {}
    if found.get("champion") != before["version"]:
        return None

    def line(champion: float, challenger: float) -> Json:
        difference = challenger - champion
        return {"name": SAME_IMAGES, "before": champion, "after": challenger, "difference": difference}

    return _SameImages(
        line(found["f1_champion"], found["f1_challenger"]),
        {label: [line(f1["champion"], f1["challenger"])] for label, f1 in found["f1_by_label"].items()},
    )


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> list[Json]:
    names = dict.fromkeys([*before, *after])
    return [
        {
            "name": name,
            "before": before.get(name),
            "after": after.get(name),
            "difference": after[name] - before[name] if name in before and name in after else None,
        }
        for name in names
    ]


def _changed_parameters(before: Json, after: Json) -> list[Json]:
    old, new = before.get("params") or {}, after.get("params") or {}
    return [
        {"name": name, "before": old.get(name), "after": new.get(name)}
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and name != "task_ids"
    ]


def _sentence(before: Json, after: Json, metrics: list[Json]) -> str:
    if before.get("labels") != after.get("labels"):
        return "The two learned different labels, so their overall scores are not comparable."
    main = metrics[0] if metrics and metrics[0]["name"] == SAME_IMAGES else _first_shared(metrics)
    if main is None:
        return "At least one of the two was not measured on held-out images, so there is nothing to compare."
    if main["difference"] < _LATER_IS_WORSE_BELOW:
        verdict = "worse than"
    elif main["difference"] > -_LATER_IS_WORSE_BELOW:
        verdict = "better than"
    else:
        verdict = "about as good as"
    tail = "" if main["name"] == SAME_IMAGES else ", each on its own held-out images"
    return (
        f"{after['version']} is {verdict} {before['version']}: {metric_title(main['name'])} "
        f"{main['after']:.3f} after {main['before']:.3f}{tail}."
    )


def _first_shared(metrics: list[Json]) -> Json | None:
    """Return the first average precision that both versions have."""
    shared = (
        entry for entry in metrics if entry["difference"] is not None and "map" in entry["name"].lower()
    )
    return next(shared, None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
