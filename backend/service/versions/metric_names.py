"""What the scores of a version are called in sentences."""

from __future__ import annotations

_TITLES = {
    "box_map50": "box mAP50",
    "box_map": "box mAP",
    "mask_map50": "mask mAP50",
    "mask_map": "mask mAP",
}


def metric_title(name: str) -> str:
    """Return the name of a metric as it is written in a sentence."""
    return _TITLES.get(name, name.replace("_", " "))
