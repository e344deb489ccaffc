"""Two versions of a project side by side: their scores, their recipe, and each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.service.ports import Json

_LATER_IS_WORSE_BELOW = -0.005


def compare_versions(before: Json, after: Json) -> Json:
    """Return what changed from one card to another: overall metrics, metrics by class, parameters.

    Every metric is {name, before, after, difference}; a value that a card lacks is None. The sentence says
    which one is better, or why that cannot be told.
    """
    metrics = _differences(_metrics(before), _metrics(after))
    classes = [
        {
            "label": label,
            "metrics": _differences(_by_class(before).get(label, {}), _by_class(after).get(label, {})),
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
    """Return label -> metric -> value, from `per_class` of the card or of its metrics."""
    found = card.get("per_class") or (card.get("metrics") or {}).get("per_class") or {}
    by_class: dict[str, dict[str, float]] = {}
    for label, values in found.items():
        if isinstance(values, Mapping):
            by_class[label] = {name: float(value) for name, value in values.items() if _is_number(value)}
        elif _is_number(values):
            by_class[label] = {"score": float(values)}
    return by_class


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
    shared = [entry for entry in metrics if entry["difference"] is not None and "mAP" in entry["name"]]
    if not shared:
        return "At least one of the two was not measured on held-out images, so there is nothing to compare."
    main = shared[0]
    if main["difference"] < _LATER_IS_WORSE_BELOW:
        verdict = "worse than"
    elif main["difference"] > -_LATER_IS_WORSE_BELOW:
        verdict = "better than"
    else:
        verdict = "about as good as"
    return (
        f"{after['version']} is {verdict} {before['version']}: {main['name']} {main['after']:.3f} "
        f"after {main['before']:.3f}, each on its own held-out images."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
