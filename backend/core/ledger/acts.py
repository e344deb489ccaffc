"""What an annotator did with the regions of a prediction, from the annotation that it became.

Label Studio's editor copies a prediction's regions with their ids into a new annotation and calls their
origin `prediction`; it turns into `prediction-changed` when somebody drags, redraws or relabels one. Regions
drawn by hand are `manual`. `parent_prediction` names the prediction. What this service wrote by itself has a
note (`backend.core.labelstudio.own_writes`), and no prediction to compare with.
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
from backend.core.labelstudio.own_writes import BATCH_PREFIX, SECOND_LOOK, note_of
from backend.core.labelstudio.results import Region, read_regions
from backend.core.regions.kind import Teaches
from backend.core.regions.unusable import UnusableRegion

PREDICTED, CHANGED = "prediction", "prediction-changed"
SAME_PLACE_IOU = 0.98
"""Of the bounds of a region before and after: nobody moved it."""
_UNIT = ImageSize(1000, 1000)


class Act(str, Enum):
    """What became of one region: one act each."""

    KEPT = "kept"
    MOVED = "moved"
    RELABELLED = "relabelled"
    DELETED = "deleted"
    ADDED = "added"
    ACCEPTED = "accepted"
    """In a batch by precision: nobody looked at it."""
    REPAIRED = "repaired"
    """Somebody took the proposal of a second look, which added it."""


Acts = Counter[tuple[str, Teaches, Act]]
"""Regions by label, by what drawing one takes, and by what became of them."""


def batch_of(result: Sequence[Any]) -> str | None:
    """Return the batch by precision that an annotation was made in, from its results; None for others."""
    notes = (note_of(one) for one in result if isinstance(one, Mapping))
    return next((note for note in notes if note is not None and note.startswith(BATCH_PREFIX)), None)


def has_repairs(result: Sequence[Any]) -> bool:
    """Tell whether a proposal of the second look was taken that added something to an annotation."""
    return any(isinstance(one, Mapping) and note_of(one) == SECOND_LOOK for one in result)


def comes_from_prediction(annotation: Mapping[str, Any]) -> bool:
    """Tell whether an annotation began with a prediction; one that got something added later did not."""
    results = annotation.get("result")
    return annotation.get("parent_prediction") is not None or (
        isinstance(results, list)
        and any(
            isinstance(one, Mapping)
            and one.get("origin") in (PREDICTED, CHANGED)
            and note_of(one) != SECOND_LOOK
            for one in results
        )
    )


def acts_of(result: Sequence[Any], predicted: Sequence[Any] | None, config: LabelConfig) -> Acts:
    """Return what became of a prediction's regions, and which were added.

    predicted: the prediction's results; None where it is gone: what was deleted or relabelled is then not
    known, and counts as nothing or as moved. A region that was moved and relabelled counts as deleted and
    added: nothing of it was of use. Regions that no kind reads are left out.
    """
    acts: Acts = Counter()
    origins, notes = _marks(result)
    values, values_before = _values(result), _values(predicted or ())
    before = {} if predicted is None else _by_id(predicted, config)
    after = _by_id(result, config)
    for region_id, region in after.items():
        origin, proposed = origins.get(region_id), before.get(region_id)
        if notes.get(region_id) == SECOND_LOOK:
            _count(acts, region, Act.MOVED if origin == CHANGED else Act.REPAIRED)
        elif proposed is None:
            act = {PREDICTED: Act.KEPT, CHANGED: Act.MOVED}.get(str(origin), Act.ADDED)
            _count(acts, region, act if predicted is None else Act.ADDED)
        elif set(region.labels) == set(proposed.labels):
            is_drawn_alike = values.get(region_id) == values_before.get(region_id)
            is_kept = origin != CHANGED and (is_drawn_alike or _overlap(region, proposed) >= SAME_PLACE_IOU)
            _count(acts, region, Act.KEPT if is_kept else Act.MOVED)
        elif _overlap(region, proposed) >= SAME_PLACE_IOU:
            _count(acts, region, Act.RELABELLED)
        else:
            _count(acts, proposed, Act.DELETED)
            _count(acts, region, Act.ADDED)
    for region_id, proposed in before.items():
        if region_id not in after:
            _count(acts, proposed, Act.DELETED)
    return acts


def repairs_of(result: Sequence[Any], config: LabelConfig) -> Acts:
    """Return what became of regions that the second look added to an annotation drawn by hand; no others."""
    repairs = [one for one in result if isinstance(one, Mapping) and note_of(one) == SECOND_LOOK]
    return acts_of(repairs, None, config)


def acts_in_batch(result: Sequence[Any], counted: Acts | None, config: LabelConfig) -> Acts:
    """Return what became of an annotation that was accepted in a batch.

    counted: what this function returned of it before; None the first time, when nobody knows whether
    something was deleted already. Once somebody edited one region, they have looked at the others.
    """
    acts = acts_of(result, None, config)
    kept, moved = _of(acts, Act.KEPT), _of(acts, Act.MOVED)
    held = kept if counted is None else _of(counted, Act.ACCEPTED, Act.KEPT, Act.MOVED, Act.DELETED)
    if len(kept) == len(acts) and kept == held:
        return Counter({(label, what, Act.ACCEPTED): n for (label, what), n in kept.items()})
    left = held.total() - kept.total() - moved.total()
    for (label, what), count in (held - kept - moved).most_common():
        deleted = min(count, max(0, left))  # what is missing beyond these has another label now
        left -= deleted
        if deleted:
            acts[label, what, Act.DELETED] += deleted
    return acts


def _of(acts: Acts, *chosen: Act) -> Counter[tuple[str, Teaches]]:
    """Return the regions with which one of some things happened, by label and what drawing one takes."""
    regions: Counter[tuple[str, Teaches]] = Counter()
    for (label, what, act), count in acts.items():
        if act in chosen:
            regions[label, what] += count
    return regions


def _marks(result: Sequence[Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Return the origin and the note of each region, by its id."""
    results = [one for one in result if isinstance(one, Mapping)]
    origins = {str(one.get("id")): one.get("origin") for one in results}
    return origins, {str(one.get("id")): note_of(one) for one in results}


def _values(results: Sequence[Any]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for one in results:
        if isinstance(one, Mapping):
            values.setdefault(str(one.get("id")), []).append(one.get("value"))
    return values


def _by_id(results: Sequence[Any], config: LabelConfig) -> dict[str, Region]:
    return {region.region_id: region for region in read_regions(results, config).regions}


def _count(acts: Acts, region: Region, act: Act) -> None:
    acts[region.labels[0] if region.labels else "", region.kind.teaches, act] += 1


def _overlap(region: Region, other: Region) -> float:
    """Return the IoU of the bounds of two regions, 0.0 where one cannot be drawn.

    What has no area, as a point has, counts as a thousandth of the image wide and high.
    """
    try:
        bounds = [
            np.stack([shape.bounds_px(_UNIT) for shape in one.shapes]).astype(np.float32)
            for one in (region, other)
        ]
    except UnusableRegion:
        return 0.0
    corners = [(b[:, :2].min(axis=0), b[:, 2:].max(axis=0)) for b in bounds]
    around = [np.concatenate((first, np.maximum(last, first + 1)))[None] for first, last in corners]
    return float(box_iou(around[0], around[1])[0, 0])
