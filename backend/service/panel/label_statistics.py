"""How much has been labelled in a project: annotated images, and objects by label and kind of shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backend.core.labelstudio.annotations import choose_annotation
from backend.core.labelstudio.label_config import LabelConfig
from backend.service.ports import Json

_GEOMETRIC = ("rectangle", "ellipse", "polygon")


def count_labels(tasks: Iterable[Json], config: LabelConfig) -> Json:
    """Count what the newest usable annotation of each task holds, as a training would read it.

    Returns annotated_images, shapes (geometric), painted (brush), total, and labels: one entry for every
    label of the config, also those at zero, with its color, then labels that the config no longer has.
    """
    by_label: dict[str, dict[str, int]] = {label: {"shapes": 0, "painted": 0} for label in config.labels}
    annotated = 0
    for task in tasks:
        annotation = choose_annotation(task)
        if annotation is None:
            continue
        annotated += 1
        for label, kind in _objects(annotation.get("result") or (), config):
            by_label.setdefault(label, {"shapes": 0, "painted": 0})[kind] += 1
    shapes = sum(counts["shapes"] for counts in by_label.values())
    painted = sum(counts["painted"] for counts in by_label.values())
    return {
        "annotated_images": annotated,
        "shapes": shapes,
        "painted": painted,
        "total": shapes + painted,
        "labels": [
            {"label": label, "color": config.colors.get(label), "in_config": label in config.labels, **counts}
            for label, counts in by_label.items()
        ],
    }


def _objects(results: Iterable[Mapping[str, Any]], config: LabelConfig) -> list[tuple[str, str]]:
    """Return (label, "shapes" or "painted") of every object; results that share an id are one object."""
    kinds = {control.name: control.kind for control in config.controls}
    labels: dict[str, str] = {}
    shapes: dict[str, str] = {}
    for number, result in enumerate(results):
        if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
            continue
        region_id = str(result.get("id") or f"unnamed-{number}")
        kind = kinds.get(str(result.get("from_name")))
        if kind in _GEOMETRIC:
            shapes[region_id] = "shapes"
        elif kind == "brush":
            shapes[region_id] = "painted"
        label = _first_label(result["value"])
        if label is not None and kind != "keypoint":
            labels.setdefault(region_id, label)
    return [(labels[region_id], kind) for region_id, kind in shapes.items() if region_id in labels]


def _first_label(value: Mapping[str, Any]) -> str | None:
    for name, content in value.items():
        if name.endswith("labels") and isinstance(content, list) and content and isinstance(content[0], str):
            return content[0]
    return None
