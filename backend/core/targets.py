"""What a task's annotation teaches: from Label Studio results to boxes, masks and labels.

Two steps, because the first needs no image: `annotated_task` picks the annotation that counts and sorts its
regions by page; `build_target` draws one page's regions in the pixels of its image. Neither fails because of
one bad region: it is left out and counted under one of REASONS.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np

from backend.core.boxes import clip_boxes, rect_pct_to_corners_px
from backend.core.brush_rle import decode_brush_rle
from backend.core.ellipses import Ellipse, ellipse_to_patch
from backend.core.instances import FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.label_config import LABELS_SUFFIX, LabelConfig
from backend.core.masks import alpha_to_mask, join_patches, patch_box
from backend.core.polygons import polygon_to_patch
from backend.core.task_pages import TaskPage, task_pages

REASONS = {
    "bad_geometry": "its coordinates are missing, not numbers, or do not make a shape",
    "broken_rle": "its brush mask cannot be decoded",
    "keypoint": "a key point has no extent to learn from",
    "model_skip": 'its label belongs only to tags with model_skip="true"',
    "no_label": "it has no label",
    "outside_image": "it lies outside the image",
    "prompt": "it is a smart tool's prompt that was left in the annotation",
    "unknown_control": "its from_name or to_name is not in the labeling config",
    "unknown_label": "its label is not in the labeling config",
    "unknown_page": "its item_index is not one of the task's pages",
    "zero_area": "it covers no pixel",
}
SHAPE_KINDS = ("rectangle", "ellipse", "polygon", "brush")
MIN_SIDE_PX = 0.5
MAX_PCT = 1e6
MAX_POLYGON_POINTS = 20_000


@dataclass(frozen=True)
class RegionShape:
    """The geometry of one result: its kind, its `value` as Label Studio sent it, the size it was drawn on."""

    kind: str
    value: Mapping[str, Any] = field(repr=False)
    recorded_size: ImageSize | None


@dataclass(frozen=True)
class LabelledRegion:
    """One object: a label, and one shape or more (results that share an id are one object)."""

    region_id: str
    label: str
    shapes: tuple[RegionShape, ...]


@dataclass(frozen=True)
class AnnotatedPage:
    """One image of an annotated task and its regions; without regions it teaches background."""

    page: TaskPage
    regions: tuple[LabelledRegion, ...]

    @property
    def recorded_size(self) -> ImageSize | None:
        """The image size that all regions were drawn on; None where they differ or say none."""
        sizes = {shape.recorded_size for region in self.regions for shape in region.shapes}
        return sizes.pop() if len(sizes) == 1 else None


@dataclass(frozen=True)
class AnnotatedTask:
    """The annotation of a task that teaches, by page; unusable: regions left out, by reason (see REASONS)."""

    annotation_id: int | str | None
    pages: tuple[AnnotatedPage, ...]
    unusable: Counter[str]


@dataclass(frozen=True, eq=False)
class PageTarget:
    """What one image teaches, and the regions that could not be drawn on it, by reason."""

    target: TrainingTarget
    unusable: Counter[str]


def choose_annotation(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the newest annotation of a task that was not cancelled and has a list of results, or None.

    Newest by `updated_at`, else `created_at`, then by id. `ground_truth` says nothing: Label Studio sets it on
    every imported annotation.
    """
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        return None
    usable = [
        annotation
        for annotation in annotations
        if isinstance(annotation, Mapping)
        and not annotation.get("was_cancelled")
        and isinstance(annotation.get("result"), list)
    ]
    return max(usable, key=_age_key, default=None)


def annotated_task(task: Mapping[str, Any], config: LabelConfig) -> AnnotatedTask | None:
    """Return what the annotation of a task teaches, every page of the task included; None without annotation.

    Raises AnnotationError if the task has no image.
    """
    pages = task_pages(task, config)
    annotation = choose_annotation(task)
    if annotation is None:
        return None
    unusable: Counter[str] = Counter()
    by_page: dict[tuple[str, int], list[LabelledRegion]] = {
        (p.image_tag, p.item_index or 0): [] for p in pages
    }
    for region_id, group in _groups(annotation["result"]).items():
        try:
            place, region = _read_region(region_id, group, config)
            if region is not None:
                if place not in by_page:
                    raise _UnusableRegionError("unknown_page")
                by_page[place].append(region)
        except _UnusableRegionError as exc:
            unusable[exc.reason] += 1
    return AnnotatedTask(
        annotation_id=annotation.get("id"),
        pages=tuple(AnnotatedPage(p, tuple(by_page[p.image_tag, p.item_index or 0])) for p in pages),
        unusable=unusable,
    )


def build_target(regions: Iterable[LabelledRegion], labels: Sequence[str], size: ImageSize) -> PageTarget:
    """Draw the regions of one page in the pixels of its image.

    labels: class names in the order of label_indices. size: of the decoded image, EXIF orientation applied; brush
    masks recorded at another size are resized to it. Every shape gives a box; ellipse, polygon, brush and a
    rectangle turned by other than quarter turns give a mask; an upright rectangle gives none. A brush region in
    several parts is one object.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    unusable: Counter[str] = Counter()
    boxes: list[FloatArray] = []
    masks: list[MaskPatch | None] = []
    label_indices: list[int] = []
    region_ids: list[str] = []
    for region in regions:
        try:
            if region.label not in index_of:
                raise _UnusableRegionError("unknown_label")
            box, mask = _draw_region(region, size)
        except _UnusableRegionError as exc:
            unusable[exc.reason] += 1
            continue
        boxes.append(box)
        masks.append(mask)
        label_indices.append(index_of[region.label])
        region_ids.append(region.region_id)
    target = TrainingTarget(
        size=size,
        boxes_xyxy_px=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        label_indices=np.array(label_indices, dtype=np.int64),
        masks=tuple(masks),
        region_ids=tuple(region_ids),
    )
    return PageTarget(target, unusable)


class _UnusableRegionError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def _age_key(annotation: Mapping[str, Any]) -> tuple[datetime, int]:
    moments = (_parse_time(annotation.get(key)) for key in ("updated_at", "created_at"))
    moment = next((m for m in moments if m is not None), datetime.min.replace(tzinfo=timezone.utc))
    number = annotation.get("id")
    return moment, number if isinstance(number, int) else -1


def _parse_time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _groups(results: Sequence[Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Sort results by object: same id, image and page; a result without an id stands alone."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    names: dict[tuple[Any, ...], str] = {}
    for index, result in enumerate(results):
        if not isinstance(result, Mapping):
            groups[f"#{index}"] = [{"type": "malformed"}]
            continue
        key = (
            str(result.get("id") or f"#{index}"),
            str(result.get("to_name")),
            str(result.get("item_index") or 0),
        )
        name = names.setdefault(key, key[0] if key[0] not in groups else f"{key[0]}#{index}")
        groups.setdefault(name, []).append(result)
    return groups


def _read_region(
    region_id: str, results: Sequence[Mapping[str, Any]], config: LabelConfig
) -> tuple[tuple[str, int], LabelledRegion | None]:
    """Return page and region of the results of one object; None where they are no region (relation, choice).

    Raises _UnusableRegionError.
    """
    if any(result.get("is_positive") is not None for result in results):
        raise _UnusableRegionError("prompt")
    if any(result.get("type") == "malformed" for result in results):
        raise _UnusableRegionError("bad_geometry")
    drawn = [result for result in results if _kind_of_type(result) is not None]
    if not drawn:
        return ("", 0), None
    # Labels that stay selected while a suggestion is accepted are added as results of their own type around the
    # region's value: a `keypointlabels` that holds an rle. Only results whose value fits their type draw.
    fitting = [result for result in drawn if _kind_of_value(result.get("value")) == _kind_of_type(result)]
    shapes = [result for result in fitting if _kind_of_type(result) != "keypoint"]
    if not shapes:
        raise _UnusableRegionError("keypoint" if fitting else "bad_geometry")
    place = _place(shapes[0], config)
    label = _label(shapes, results, config)
    return place, LabelledRegion(region_id, label, tuple(_shape(result) for result in shapes))


def _kind_of_type(result: Mapping[str, Any]) -> str | None:
    kind = str(result.get("type", "")).lower().removesuffix(LABELS_SUFFIX)
    return kind if kind in (*SHAPE_KINDS, "keypoint") else None


def _kind_of_value(value: Any) -> str | None:
    """Tell the shape by its fields, as the editor does."""
    if not isinstance(value, Mapping):
        return None
    if "rle" in value:
        return "brush"
    if "points" in value:
        return "polygon"
    if "radiusX" in value:
        return "ellipse"
    if "x" not in value:
        return None
    return "rectangle" if "height" in value else "keypoint"


def _place(result: Mapping[str, Any], config: LabelConfig) -> tuple[str, int]:
    control = config.control(str(result.get("from_name")))
    to_name = result.get("to_name", control.to_name if control else None)
    if control is None or to_name != control.to_name:
        raise _UnusableRegionError("unknown_control")
    item_index = result.get("item_index") or 0
    if not isinstance(item_index, int):
        raise _UnusableRegionError("unknown_page")
    return control.to_name, item_index


def _label(
    shapes: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]], config: LabelConfig
) -> str:
    """Return the first of the object's labels that is learnt: those of its shapes, then those of its `labels`."""
    companions = [result for result in results if result.get("type") == LABELS_SUFFIX]
    names: list[str] = []
    for result in (*shapes, *companions):
        value = result.get("value")
        given = value.get(str(result.get("type")).lower()) if isinstance(value, Mapping) else None
        names.extend(name for name in given if isinstance(name, str)) if isinstance(given, list) else None
    if not names:
        raise _UnusableRegionError("no_label")
    stored = [config.stored_label(name) for name in names]
    learnt = next((name for name in stored if name in config.labels), None)
    if learnt is None:
        raise _UnusableRegionError(
            "model_skip" if any(name in config.all_labels for name in stored) else "unknown_label"
        )
    return learnt


def _shape(result: Mapping[str, Any]) -> RegionShape:
    width, height = result.get("original_width"), result.get("original_height")
    size = None
    if isinstance(width, int | float) and isinstance(height, int | float) and width >= 1 and height >= 1:
        if math.isfinite(width) and math.isfinite(height):
            size = ImageSize(int(width), int(height))
    kind = _kind_of_type(result)
    assert kind is not None
    return RegionShape(kind, result["value"], size)


def _draw_region(region: LabelledRegion, size: ImageSize) -> tuple[FloatArray, MaskPatch | None]:
    """Return box and mask of an object; with several shapes, what they cover together."""
    drawn = [_draw_shape(shape, size) for shape in region.shapes]
    boxes = np.stack([box for box, _ in drawn])
    box = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0))).astype(np.float32)
    patches = [patch for _, patch in drawn if patch is not None]
    return box, join_patches(patches) if patches else None


def _draw_shape(shape: RegionShape, size: ImageSize) -> tuple[FloatArray, MaskPatch | None]:
    if shape.kind == "brush":
        patch = _brush_patch(shape, size)
    elif shape.kind == "polygon":
        patch = _polygon_patch(_points_px(shape.value, size), size)
    elif shape.kind == "ellipse":
        patch = _ellipse_patch(shape.value, size)
    else:
        corners = _corners_px(shape.value, size)
        if _number(shape.value, "rotation", 0.0) % 90 == 0:
            return _upright_box(corners, size), None
        patch = _polygon_patch(corners, size)
    return patch_box(patch), patch


def _upright_box(corners_px: np.ndarray[Any, Any], size: ImageSize) -> FloatArray:
    box = np.concatenate((corners_px.min(axis=0), corners_px.max(axis=0)))
    if (box[2:] - box[:2]).min() < MIN_SIDE_PX:
        raise _UnusableRegionError("zero_area")
    clipped: FloatArray = clip_boxes(box[None], size)[0].astype(np.float32)
    if (clipped[2:] - clipped[:2]).min() < MIN_SIDE_PX:
        raise _UnusableRegionError("outside_image")
    return clipped


def _corners_px(value: Mapping[str, Any], size: ImageSize) -> np.ndarray[Any, Any]:
    x, y, width, height = (_number(value, key) for key in ("x", "y", "width", "height"))
    if width <= 0 or height <= 0:
        raise _UnusableRegionError("zero_area")
    return rect_pct_to_corners_px(x, y, width, height, _number(value, "rotation", 0.0), size)


def _points_px(value: Mapping[str, Any], size: ImageSize) -> np.ndarray[Any, Any]:
    try:
        points = np.array(value["points"], dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise _UnusableRegionError("bad_geometry") from exc
    if points.ndim != 2 or points.shape[1] != 2 or not 3 <= len(points) <= MAX_POLYGON_POINTS:
        raise _UnusableRegionError("bad_geometry")
    if not np.all(np.abs(points) <= MAX_PCT):
        raise _UnusableRegionError("bad_geometry")
    scaled: np.ndarray[Any, Any] = points * (size.width / 100, size.height / 100)
    return scaled


def _polygon_patch(points_px: np.ndarray[Any, Any], size: ImageSize) -> MaskPatch:
    patch = polygon_to_patch(points_px, size)
    if patch is None:
        raise _UnusableRegionError(_why_empty((*points_px.min(axis=0), *points_px.max(axis=0)), size))
    return patch


def _ellipse_patch(value: Mapping[str, Any], size: ImageSize) -> MaskPatch:
    ellipse = Ellipse(
        center_x=_number(value, "x") * size.width / 100,
        center_y=_number(value, "y") * size.height / 100,
        radius_x=_number(value, "radiusX") * size.width / 100,
        radius_y=_number(value, "radiusY") * size.height / 100,
        rotation_deg=_number(value, "rotation", 0.0),
    )
    patch = ellipse_to_patch(ellipse, size)
    if patch is None:
        raise _UnusableRegionError(_why_empty(ellipse.box_xyxy, size))
    return patch


def _brush_patch(shape: RegionShape, size: ImageSize) -> MaskPatch:
    try:
        alpha = decode_brush_rle(shape.value["rle"], shape.recorded_size or size)
    except ValueError as exc:
        raise _UnusableRegionError("broken_rle") from exc
    patch = MaskPatch.from_full(alpha_to_mask(alpha, size))
    if patch is None:
        raise _UnusableRegionError("zero_area")
    return patch


def _why_empty(box_xyxy_px: tuple[float, ...], size: ImageSize) -> str:
    x1, y1, x2, y2 = box_xyxy_px
    is_inside = x2 > 0 and y2 > 0 and x1 < size.width and y1 < size.height
    return "zero_area" if is_inside or x2 <= x1 or y2 <= y1 else "outside_image"


def _number(value: Mapping[str, Any], key: str, default: float | None = None) -> float:
    number = value.get(key)
    if number is None and default is not None:
        return default
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= MAX_PCT:
        raise _UnusableRegionError("bad_geometry")
    return float(number)
