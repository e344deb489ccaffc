"""What an annotator did with the regions of a prediction, from the annotation that it became.

Label Studio's editor copies a prediction's regions with their ids into a new annotation and calls their
origin `prediction`; it turns into `prediction-changed` when somebody drags, redraws or relabels one. Regions
drawn by hand are `manual`. `parent_prediction` names the prediction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.results import Region, read_regions
from backend.core.regions.kind import Teaches
from backend.core.regions.unusable import UnusableRegion

PREDICTED, CHANGED = "prediction", "prediction-changed"
SAME_PLACE_IOU = 0.98
"""Of the bounds of a relabelled region before and after: nobody moved it."""
_UNIT = ImageSize(1000, 1000)


class Act(str, Enum):
    """What became of one region: one act each."""

    KEPT = "kept"
    MOVED = "moved"
    RELABELLED = "relabelled"
    DELETED = "deleted"
    ADDED = "added"


Acts = Counter[tuple[str, Teaches, Act]]
"""Regions by label, by what drawing one takes, and by what became of them."""


def comes_from_prediction(annotation: Mapping[str, Any]) -> bool:
    """Tell whether an annotation began with a prediction."""
    results = annotation.get("result")
    return annotation.get("parent_prediction") is not None or (
        isinstance(results, list)
        and any(isinstance(one, Mapping) and one.get("origin") in (PREDICTED, CHANGED) for one in results)
    )


def acts_of(result: Sequence[Any], predicted: Sequence[Any] | None, config: LabelConfig) -> Acts:
    """Return what became of a prediction's regions, and which were added.

    predicted: the prediction's results; None where it is gone: what was deleted or relabelled is then not
    known, and counts as nothing or as moved. A region that was moved and relabelled counts as deleted and
    added: nothing of it was of use. Regions that no kind reads are left out.
    """
    acts: Acts = Counter()
    origins = {str(one.get("id")): one.get("origin") for one in result if isinstance(one, Mapping)}
    before = {} if predicted is None else _by_id(predicted, config)
    after = _by_id(result, config)
    for region_id, region in after.items():
        origin, proposed = origins.get(region_id), before.get(region_id)
        if proposed is None:
            act = {PREDICTED: Act.KEPT, CHANGED: Act.MOVED}.get(str(origin), Act.ADDED)
            _count(acts, region, act if predicted is None else Act.ADDED)
        elif set(region.labels) == set(proposed.labels):
            _count(acts, region, Act.MOVED if origin == CHANGED else Act.KEPT)
        elif _is_same_place(region, proposed):
            _count(acts, region, Act.RELABELLED)
        else:
            _count(acts, proposed, Act.DELETED)
            _count(acts, region, Act.ADDED)
    for region_id, proposed in before.items():
        if region_id not in after:
            _count(acts, proposed, Act.DELETED)
    return acts


def _by_id(results: Sequence[Any], config: LabelConfig) -> dict[str, Region]:
    return {region.region_id: region for region in read_regions(results, config).regions}


def _count(acts: Acts, region: Region, act: Act) -> None:
    acts[region.labels[0] if region.labels else "", region.kind.teaches, act] += 1


def _is_same_place(region: Region, other: Region) -> bool:
    try:
        bounds = [
            np.stack([shape.bounds_px(_UNIT) for shape in one.shapes]).astype(np.float32)
            for one in (region, other)
        ]
    except UnusableRegion:
        return False
    around = [np.concatenate((b[:, :2].min(axis=0), b[:, 2:].max(axis=0)))[None] for b in bounds]
    return bool(box_iou(around[0], around[1])[0, 0] >= SAME_PLACE_IOU)
