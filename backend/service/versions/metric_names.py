"""What the scores of a version are called in sentences."""

from __future__ import annotations

from collections.abc import Iterable

_TITLES = {
    "turned_map50": "turned box mAP50",
    "box_map50": "box mAP50",
    "box_map": "box mAP",
    "mask_map50": "mask mAP50",
    "mask_map": "mask mAP",
    "area_iou": "area IoU",
    "choice_map": "choice mAP",
    "point_map": "point mAP",
    "region_choice_map": "choice mAP of regions",
    "region_choice_accuracy": "choice accuracy of regions",
    "region_scale_concordance": "concordance of ratings and numbers of regions",
    "scale_concordance": "concordance of ratings and numbers",
}

_WHOLE = ("area_iou", "choice_accuracy", "choice_map", "scale_concordance", "point_map")
"""Names without the IoU at which they are counted; none of regions' attributes, which need found regions."""


def metric_title(name: str) -> str:
    """Return the name of a metric as it is written in a sentence."""
    return _TITLES.get(name, name.replace("_", " "))


def main_metric(names: Iterable[str]) -> str | None:
    """Return the metric by which a version is called good or poor; None where it has none."""
    return next((name for name in names if "map50" in name.lower() or name in _WHOLE), None)


def is_comparable(name: str) -> bool:
    """Tell whether a metric says how good a version is as a whole."""
    return "map" in name.lower() or name in _WHOLE
