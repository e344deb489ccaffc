"""What was found in an image, as Label Studio results; the way back of `results`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import clean_patch, patch_box
from backend.core.labelstudio.label_config import ControlTag, LabelConfig
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.regions.kind import LABELS_SUFFIX, FoundObject

ID_LENGTH = 10
ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
DECIMALS_SCORE = 5

Json = dict[str, Any]


def new_region_id(rng: np.random.Generator) -> str:
    """Return a fresh region id of 10 letters and digits, as long as the editor's own."""
    return "".join(ID_ALPHABET[k] for k in rng.integers(len(ID_ALPHABET), size=ID_LENGTH).tolist())


def detections_to_results(
    detections: Detections,
    labels: Sequence[str],
    config: LabelConfig,
    page: TaskPage,
    thresholds: Mapping[str, float],
    rng: np.random.Generator,
) -> list[Json]:
    """Return the results of one page, best score first, for every control tag that draws on it.

    labels: the predictor's, in the order of label_indices; one that no tag has any more is passed over.
    thresholds: lowest score by name of the control tag, one for each tag of the image. Tags that are not
    learned get nothing; tags of a kind that needs a mask only get objects that have one.
    """
    controls = [
        control
        for control in config.controls_for_image(page.image_tag)
        if control.labels and control.is_learned
    ]
    results: list[Json] = []
    for index in np.argsort(-detections.scores, kind="stable").tolist():
        label, score = labels[int(detections.label_indices[index])], float(detections.scores[index])
        takers = [
            control
            for control in controls
            if label in control.labels and score >= thresholds[control.written_name]
        ]
        if not takers:
            continue
        mask = detections.masks[index]
        cleaned = clean_patch(mask) if mask is not None else None
        for control in takers:
            results += region_for_object(
                control,
                label,
                detections.size,
                detections.boxes_xyxy_px[index],
                cleaned,
                score,
                page,
                rng=rng,
            )
    return results


def region_for_object(
    control: ControlTag,
    label: str | None,
    size: ImageSize,
    box_xyxy_px: FloatArray | None,
    mask: MaskPatch | None,
    score: float,
    page: TaskPage,
    *,
    rng: np.random.Generator,
    region_id: str | None = None,
) -> list[Json]:
    """Return one object as results of a control tag: one, or two of one id for a tag with `<Labels>`.

    box_xyxy_px [4]: None means the mask's own. mask: taken as it is (see `masks.clean_patch`). label None
    makes a region without label. Empty list where the tag's kind cannot show the object: it needs a mask that
    is not there, or nothing lies inside the image.
    """
    if box_xyxy_px is None and mask is not None:
        box_xyxy_px = patch_box(mask)
    if box_xyxy_px is None:
        return []
    geometry = control.kind.write(FoundObject(size, box_xyxy_px, mask))
    if geometry is None:
        return []
    common: Json = {
        "id": region_id or new_region_id(rng),
        "to_name": control.to_name,
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "score": _score(score),
    }
    if page.item_index is not None:
        common["item_index"] = page.item_index
    stored = [] if label is None else [label]
    if control.result_type == control.kind.labels_tag:
        value = {**geometry, control.result_type: stored}
        return [{**common, "from_name": control.name, "type": control.result_type, "value": value}]
    results = [{**common, "from_name": control.name, "type": control.result_type, "value": geometry}]
    if control.labels_tag is not None and stored:
        value = {**geometry, LABELS_SUFFIX: stored}
        results.append({**common, "from_name": control.labels_tag, "type": LABELS_SUFFIX, "value": value})
    return results


def make_prediction(results: Sequence[Json], score: float, model_version: str) -> Json:
    """Return one task's entry of a `/predict` reply; score is forced to a number in 0..1.

    Without results it is an empty prediction: the task then counts as predicted. A task that was not looked
    at must get `[]` instead.
    """
    return {"result": list(results), "score": _score(score), "model_version": model_version}


def _score(score: float) -> float:
    return round(min(max(float(score), 0.0), 1.0), DECIMALS_SCORE) if math.isfinite(score) else 0.0
