"""What was found in an image, as Label Studio results; the way back of `targets`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backend.core.geometry.boxes import xyxy_px_to_rect_pct
from backend.core.geometry.ellipses import box_to_ellipse, patch_to_ellipse
from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import clean_patch, patch_box
from backend.core.geometry.polygons import patch_to_polygon
from backend.core.labelstudio.label_config import LABELS_SUFFIX, ControlTag, LabelConfig
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.regions.brush_rle import encode_patch_rle

ID_LENGTH = 10
ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
DECIMALS_PCT = 4  # a hundredth of a pixel in an image of 10,000 pixels
DECIMALS_SCORE = 5
KEYPOINT_WIDTH_PCT = 0.5
MIN_SIDE_PCT = 1e-3

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
    thresholds: lowest score by name of the control tag, one for each tag of the image. Tags with `model_skip`
    and key points get nothing; brush and polygon tags only get objects with a mask.
    """
    controls = [
        control
        for control in config.controls_for_image(page.image_tag)
        if control.labels and control.kind != "keypoint" and not control.is_skipped
    ]
    results: list[Json] = []
    for index in np.argsort(-detections.scores, kind="stable").tolist():
        label, score = labels[int(detections.label_indices[index])], float(detections.scores[index])
        takers = [
            control for control in controls if label in control.labels and score >= thresholds[control.name]
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
    makes a region without label. Empty list where the tag's shape cannot be made: brush or polygon without
    mask, or nothing inside the image.
    """
    if box_xyxy_px is None and mask is not None:
        box_xyxy_px = patch_box(mask)
    if box_xyxy_px is None:
        return []
    geometry = _geometry(control.kind, size, box_xyxy_px, mask)
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
    if control.result_type.endswith(LABELS_SUFFIX):
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


def _geometry(kind: str, size: ImageSize, box_xyxy_px: FloatArray, mask: MaskPatch | None) -> Json | None:
    if kind == "brush":
        return None if mask is None else {"format": "rle", "rle": encode_patch_rle(mask, size)}
    if kind == "polygon":
        return None if mask is None else _polygon(mask, size)
    if kind == "ellipse":
        return _ellipse(box_xyxy_px, mask, size)
    x, y, width, height = xyxy_px_to_rect_pct(box_xyxy_px, size)
    if width < MIN_SIDE_PCT or height < MIN_SIDE_PCT:
        return None
    if kind == "keypoint":
        return {"x": _pct(x + width / 2), "y": _pct(y + height / 2), "width": KEYPOINT_WIDTH_PCT}
    left, top = _pct(x), _pct(y)
    width, height = _pct(min(width, 100 - left)), _pct(min(height, 100 - top))
    return {"x": left, "y": top, "width": width, "height": height, "rotation": 0.0}


def _polygon(mask: MaskPatch, size: ImageSize) -> Json:
    points_px = patch_to_polygon(mask)
    points = np.clip(points_px * (100 / size.width, 100 / size.height), 0, 100).round(DECIMALS_PCT)
    return {"points": points.tolist(), "closed": True}


def _ellipse(box_xyxy_px: FloatArray, mask: MaskPatch | None, size: ImageSize) -> Json | None:
    ellipse = patch_to_ellipse(mask) if mask is not None else box_to_ellipse(box_xyxy_px)
    if ellipse.radius_x <= 0 or ellipse.radius_y <= 0:
        return None
    return {
        "x": _pct(100 * ellipse.center_x / size.width),
        "y": _pct(100 * ellipse.center_y / size.height),
        # label_studio_sdk refuses a radius over half of the image.
        "radiusX": _pct(100 * ellipse.radius_x / size.width, limit=50.0),
        "radiusY": _pct(100 * ellipse.radius_y / size.height, limit=50.0),
        "rotation": round(ellipse.rotation_deg % 360, 2),
    }


def _pct(number: float, limit: float = 100.0) -> float:
    return round(min(max(float(number), 0.0), limit), DECIMALS_PCT)


def _score(score: float) -> float:
    return round(min(max(float(score), 0.0), 1.0), DECIMALS_SCORE) if math.isfinite(score) else 0.0
