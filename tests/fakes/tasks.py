"""A labeling config, with tasks, regions and a picture for it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Json = dict[str, Any]
_REGION_IDS = itertools.count(1)

RECTANGLES = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
</View>
"""


def picture(width: int = 40, height: int = 30) -> np.ndarray:
    """Return a small grey image."""
    return np.full((height, width, 3), 128, np.uint8)


def rectangle(label: str = "Cat", **value: float) -> Json:
    """Return one rectangle region of RECTANGLES' control tag."""
    geometry = {"x": 10, "y": 10, "width": 40, "height": 40, "rotation": 0, **value}
    return {
        "id": f"r{next(_REGION_IDS)}",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 40,
        "original_height": 30,
        "image_rotation": 0,
        "value": {**geometry, "rectanglelabels": [label]},
    }


def annotated(task_id: int, *regions: Json, image: str | None = None) -> Json:
    """Return a task with one annotation."""
    return {
        "id": task_id,
        "data": {"image": image or f"{task_id}.png"},
        "annotations": [{"id": task_id, "result": list(regions)}],
    }
