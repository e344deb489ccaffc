"""What a task's annotation teaches: from Label Studio results to boxes, masks and labels.

Two steps, because the first needs no image: `annotated_task` picks the annotation that counts and sorts its
regions by page; `build_target` draws one page's regions in the pixels of its image. Neither fails because of
one bad region: it is left out and counted under one of `region_shapes.REASONS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.labelstudio.label_config import LABELS_SUFFIX, LabelConfig
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.core.regions.shapes import (
    SHAPE_KINDS,
    RegionShape,
    UnusableRegion,
    draw_region,
    kind_of_value,
    parse_recorded_size,
)

_KEYPOINT = "keypoint"
# Regions that Label Studio draws on images and this backend cannot learn from.
_OTHER_IMAGE_TYPES = ("bitmask", "bitmasklabels", "magicwand", "vector", "vectorlabels", "ocrlabels")


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
    """The annotation of a task that teaches, by page; unusable: regions left out, by reason."""

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

    Newest by `updated_at`, else `created_at`, then by id. `ground_truth` says nothing: Label Studio sets it
    on every imported annotation.
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
    by_page: dict[tuple[str, int], list[LabelledRegion]] = {
        (p.image_tag, p.item_index or 0): [] for p in pages
    }
    objects, malformed = _group_by_object(annotation["result"])
    unusable = Counter({"bad_geometry": malformed} if malformed else {})
    for results in objects:
        try:
            found = _read_region(results, config)
            if found is not None:
                place, region = found
                if place not in by_page:
                    raise UnusableRegion("unknown_page")
                by_page[place].append(region)
        except UnusableRegion as exc:
            unusable[exc.reason] += 1
    return AnnotatedTask(
        annotation_id=annotation.get("id"),
        pages=tuple(AnnotatedPage(p, tuple(by_page[p.image_tag, p.item_index or 0])) for p in pages),
        unusable=unusable,
    )


def build_target(regions: Iterable[LabelledRegion], labels: Sequence[str], size: ImageSize) -> PageTarget:
    """Draw the regions of one page in the pixels of its image.

    labels: class names in the order of label_indices. size: of the decoded image, EXIF orientation applied;
    brush masks recorded at another size are resized to it. Every shape gives a box, and a mask unless it is
    an upright rectangle. A brush region in several parts is one object.
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
                raise UnusableRegion("unknown_label")
            box, mask = draw_region(region.shapes, size)
        except UnusableRegion as exc:
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


def _group_by_object(results: Sequence[Any]) -> tuple[list[list[Mapping[str, Any]]], int]:
    """Sort results by object (same id, image and page; without id: alone); count what is no result."""
    objects: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    malformed = 0
    for index, result in enumerate(results):
        if not isinstance(result, Mapping):
            malformed += 1
            continue
        place = (str(result.get("to_name")), str(result.get("item_index") or 0))
        objects.setdefault((*place, str(result.get("id") or f"#{index}")), []).append(result)
    return list(objects.values()), malformed


def _read_region(
    results: Sequence[Mapping[str, Any]], config: LabelConfig
) -> tuple[tuple[str, int], LabelledRegion] | None:
    """Return (image tag, item index) and region of one object's results; None for a choice, relation or text.

    Raises UnusableRegion.
    """
    if any(result.get("is_positive") is not None for result in results):
        raise UnusableRegion("prompt")
    drawn = [result for result in results if _kind_of_type(result) in (*SHAPE_KINDS, _KEYPOINT)]
    if not drawn:
        if any(_kind_of_type(result) in _OTHER_IMAGE_TYPES for result in results):
            raise UnusableRegion("unsupported_shape")
        return None
    # Labels that stay selected while a suggestion is accepted are added as results of their own type around
    # the region's value, say a `keypointlabels` that holds an rle. Only a value that fits its type draws.
    fitting = [result for result in drawn if kind_of_value(result.get("value")) == _kind_of_type(result)]
    shapes = [result for result in fitting if _kind_of_type(result) != _KEYPOINT]
    if not shapes:
        raise UnusableRegion("keypoint" if fitting else "bad_geometry")
    place = _place(shapes[0], config)
    region_id = str(shapes[0].get("id") or "")
    return place, LabelledRegion(region_id, _label(shapes, results, config), tuple(map(_shape, shapes)))


def _kind_of_type(result: Mapping[str, Any]) -> str:
    kind = str(result.get("type", "")).lower()
    return kind if kind in _OTHER_IMAGE_TYPES else kind.removesuffix(LABELS_SUFFIX)


def _shape(result: Mapping[str, Any]) -> RegionShape:
    size = parse_recorded_size(result.get("original_width"), result.get("original_height"))
    return RegionShape(_kind_of_type(result), result["value"], size)


def _place(result: Mapping[str, Any], config: LabelConfig) -> tuple[str, int]:
    control = config.control(str(result.get("from_name")))
    if control is None or result.get("to_name", control.to_name) != control.to_name:
        raise UnusableRegion("unknown_control")
    item_index = result.get("item_index") or 0
    if not isinstance(item_index, int):
        raise UnusableRegion("unknown_page")
    return control.to_name, item_index


def _label(
    shapes: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]], config: LabelConfig
) -> str:
    """Return the first of an object's labels that is learnt: of its shapes, then of its `labels` results."""
    companions = [result for result in results if result.get("type") == LABELS_SUFFIX]
    stored = [config.stored_label(name) for result in (*shapes, *companions) for name in _label_names(result)]
    learnt = next((name for name in stored if name in config.labels), None)
    if learnt is not None:
        return learnt
    if not stored:
        raise UnusableRegion("no_label")
    is_in_config = any(name in config.all_labels for name in stored)
    raise UnusableRegion("not_predicted" if is_in_config else "unknown_label")


def _label_names(result: Mapping[str, Any]) -> list[str]:
    value = result.get("value")
    if not isinstance(value, Mapping):
        return []
    names = value.get(str(result.get("type")).lower()) or value.get(LABELS_SUFFIX)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
