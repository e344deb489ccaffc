"""What would have to change in an annotation's results for a suspicion of a second look to be settled.

A correction takes some results away and puts others in their place, so it can be applied, told to be out of
date, and taken back, without knowing what it is for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.core.geometry.instances import Detections
from backend.core.labelstudio.label_config import ControlTag, LabelConfig
from backend.core.labelstudio.predictions import detections_to_results
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.regions.kind import LABELS_SUFFIX

Json = dict[str, Any]
PREDICTED = "prediction"
"""What Label Studio calls the origin of a region that a model drew."""


@dataclass(frozen=True)
class Correction:
    """Results that go, exactly as they stand, and those that come in their place."""

    removed: tuple[Json, ...]
    added: tuple[Json, ...]

    def applied(self, result: Sequence[Json]) -> list[Json] | None:
        """Return an annotation's results after the correction; None where what goes is not there any more."""
        left = list(result)
        place = len(left)
        for gone in self.removed:
            if gone not in left:
                return None
            place = min(place, left.index(gone))
            left.remove(gone)
        return [*left[:place], *self.added, *left[place:]]

    def reversed(self) -> Correction:
        """Return the correction that takes this one back."""
        return Correction(self.added, self.removed)


def region_results(result: Sequence[Mapping[str, Any]], region_id: str) -> tuple[Json, ...]:
    """Return all results of one region, its texts and answers too."""
    return tuple(dict(one) for one in result if str(one.get("id")) == region_id)


def with_relations(result: Sequence[Mapping[str, Any]], region_id: str) -> tuple[Json, ...]:
    """Return all that has to go with a region: its results, and relations from and to it."""
    ends = ("id", "from_id", "to_id")
    return tuple(dict(one) for one in result if region_id in (str(one.get(name)) for name in ends))


def one_detection(
    found: Detections, index: int, labels: Sequence[str], config: LabelConfig, page: TaskPage, seed: int
) -> list[Json]:
    """Return the results of one detection, for every tag that can show it; seed: of the ids."""
    alone = replace(
        found,
        boxes_xyxy_px=found.boxes_xyxy_px[[index]],
        scores=found.scores[[index]],
        label_indices=found.label_indices[[index]],
        masks=(found.masks[index],),
        extras={},
        turned_boxes_px=None if found.turned_boxes_px is None else found.turned_boxes_px[[index]],
    )
    everything = {control.written_name: 0.0 for control in config.controls_for_image(page.image_tag)}
    rng = np.random.default_rng(seed)
    return detections_to_results(alone, labels, config, page, everything, rng)


def with_geometry_of(region: Sequence[Json], proposed: Sequence[Json]) -> tuple[Json, ...] | None:
    """Return a region's results, drawn where `proposed` is; None where no proposed result has its tag.

    What else belongs to the region stays: its labels, text, answers.
    """
    drawn_by = {one["from_name"] for one in region}
    source = next((one for one in proposed if one["from_name"] in drawn_by), None)
    if source is None:
        return None
    own = source["type"]
    geometry = {name: value for name, value in source["value"].items() if name not in (own, LABELS_SUFFIX)}
    return tuple(
        {**one, "value": {**one["value"], **geometry}}
        if geometry.keys() & one.get("value", {}).keys()
        else one
        for one in region
    )


def with_label(
    region: Sequence[Json], label: str, config: LabelConfig, proposed: Sequence[Json]
) -> tuple[Json, ...]:
    """Return a region's results with another label; those proposed where its own tag does not have it."""
    changed, is_named = [], False
    for one in region:
        control = config.control(str(one.get("from_name")))
        key = next((k for k in one.get("value", {}) if k.endswith(LABELS_SUFFIX)), None)
        if key is not None and _offers(control, config, str(one.get("from_name")), label):
            one = {**one, "value": {**one["value"], key: [label]}}
            is_named = True
        changed.append(one)
    return tuple(changed) if is_named else tuple(proposed)


def _offers(control: ControlTag | None, config: LabelConfig, name: str, label: str) -> bool:
    if control is not None and not control.is_plain:
        return label in control.labels
    groups = [group for one in config.controls_with_labels_of(name) for group in one.groups]
    return any(group.tag == name and label in group.labels for group in groups)


def as_predicted(results: Sequence[Json]) -> tuple[Json, ...]:
    """Return results as an annotation holds those that a model drew."""
    return tuple({**one, "origin": PREDICTED} for one in results)


def fingerprint(result: Any) -> str:
    """Return a digest of an annotation's results, to tell later whether somebody edited them."""
    text = json.dumps(result, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
