"""What was found in an image, as Label Studio results; the way back of `results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import clean_patch, patch_box
from backend.core.geometry.points import found_points
from backend.core.geometry.turned_boxes import turned_iou
from backend.core.labelstudio.attributes import attribute_results
from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.labelstudio.text_tags import text_results
from backend.core.labelstudio.written_results import new_region_id, rounded_score
from backend.core.regions.kind import LABELS_SUFFIX, FoundObject, Teaches

SAME_OBJECT_IOU = 0.7
"""Detections of different labels that overlap so far are one object, where a tag takes several labels."""
SECOND_OPINION_IOU = 0.9
"""One that overlaps so far, with a label that excludes the object's own, is no object but a worse guess."""
NO_LABEL = ""
"""In the place of the label of a detection of which the label is not known: its region has none."""

Json = dict[str, Any]


def detections_to_results(
    detections: Detections,
    labels: Sequence[str],
    config: LabelConfig,
    page: TaskPage,
    thresholds: Mapping[str, float],
    rng: np.random.Generator,
    texts: Sequence[str | None] = (),
) -> list[Json]:
    """Return the results of one page, best score first, for every control tag that draws on it.

    labels: the predictor's, in the order of label_indices; one that no tag has any more is passed over.
    thresholds: lowest score by name of the control tag, one for each tag of the image, of those that ask
    something of regions too. Tags that are not
    learned get nothing; tags of a kind that needs a mask only get objects that have one, and tags of a kind
    that teaches boxes alone only get boxes that were learned. Where a tag takes several labels for one
    region, detections of one object are one region, with the best one's score. Points come last, and name as
    their parent the region of the object that they belong to. texts: what was read in each detection, for the
    tags that take the text of regions; () where nothing was read.
    """
    text_tags = config.texts_for_image(page.image_tag) if texts else ()
    asked = config.attributes_for_image(page.image_tag)
    names = [labels[index] for index in detections.label_indices.tolist()]
    wanted: dict[int, list[tuple[ControlTag, list[str]]]] = {}
    for control in config.controls_for_image(page.image_tag):
        if control.kind.teaches is Teaches.BOX and not detections.has_boxes:
            continue
        if not control.kind.draws_objects:
            continue
        for index, its_labels in _regions_of_tag(control, detections, names, thresholds):
            wanted.setdefault(index, []).append((control, its_labels))
    results: list[Json] = []
    region_ids: dict[int, str] = {}
    for index in _best_first(detections):
        mask = detections.masks[index] if index in wanted else None
        cleaned = clean_patch(mask) if mask is not None else None
        for control, its_labels in wanted.get(index, ()):
            region = region_for_object(
                control,
                its_labels,
                detections.size,
                detections.boxes_xyxy_px[index],
                cleaned,
                float(detections.scores[index]),
                page,
                rng=rng,
                turned_box_px=None
                if detections.turned_boxes_px is None
                else detections.turned_boxes_px[index],
            )
            results += region
            if text_tags:
                results += text_results(region, control.kind, text_tags, texts[index])
            if detections.attributes is not None:
                found = detections.attributes[index]
                results += attribute_results(region, control, its_labels, asked, found, thresholds)
            if region:
                region_ids.setdefault(index, region[0]["id"])
    return results + _points_to_results(detections, labels, config, page, thresholds, rng, region_ids)


def _points_to_results(
    detections: Detections,
    labels: Sequence[str],
    config: LabelConfig,
    page: TaskPage,
    thresholds: Mapping[str, float],
    rng: np.random.Generator,
    region_ids: Mapping[int, str],
) -> list[Json]:
    """Return the points of one page; region_ids: of objects that are shown, by the row of the detection."""
    found = found_points(detections)
    results: list[Json] = []
    for control in config.controls_for_image(page.image_tag):
        if control.kind.draws_objects:
            continue
        learned = set(control.learned_labels)
        for row, index in enumerate(found.label_indices.tolist()):
            score = float(found.scores[row])
            if labels[index] not in learned or score < thresholds[control.written_name]:
                continue
            box = np.concatenate([found.points_xy_px[row]] * 2)
            region = region_for_object(
                control, [labels[index]], detections.size, box, None, score, page, rng=rng
            )
            parent = region_ids.get(int(found.object_rows[row]))
            results += region if parent is None else [{**one, "parentID": parent} for one in region]
    return results


def _best_first(detections: Detections) -> list[int]:
    order: list[int] = np.argsort(-detections.scores, kind="stable").tolist()
    return order


def _regions_of_tag(
    control: ControlTag, detections: Detections, names: Sequence[str], thresholds: Mapping[str, float]
) -> list[tuple[int, list[str]]]:
    """Return what a tag shows: of each region the index of its best detection, and its labels, best first."""
    learned = set(control.learned_labels)
    if not learned:
        return []
    threshold = thresholds[control.written_name]
    shown = [
        index
        for index in _best_first(detections)
        if (names[index] in learned or names[index] == NO_LABEL)
        and float(detections.scores[index]) >= threshold
    ]
    if not control.takes_several or any(names[index] == NO_LABEL for index in shown):
        return [(index, [names[index]] if names[index] != NO_LABEL else []) for index in shown]
    boxes, turned = detections.boxes_xyxy_px, detections.turned_boxes_px
    iou = box_iou(boxes, boxes) if turned is None else turned_iou(turned, turned)
    regions: list[tuple[int, list[str]]] = []
    for index in shown:
        holders = [
            (iou[index, best], place)
            for place, (best, its_labels) in enumerate(regions)
            if iou[index, best] >= SAME_OBJECT_IOU and control.group_of(names[index], its_labels)
        ]
        if holders:
            _, place = max(holders, key=lambda holder: (holder[0], -holder[1]))
            regions[place][1].append(names[index])
        elif all(iou[index, best] < SECOND_OPINION_IOU for best, _ in regions):
            regions.append((index, [names[index]]))
    return regions


def region_for_object(
    control: ControlTag,
    labels: Sequence[str],
    size: ImageSize,
    box_xyxy_px: FloatArray | None,
    mask: MaskPatch | None,
    score: float,
    page: TaskPage,
    *,
    rng: np.random.Generator,
    region_id: str | None = None,
    turned_box_px: FloatArray | None = None,
) -> list[Json]:
    """Return one object as results of a control tag: one, and for a plain tag one more for each label group.

    box_xyxy_px [4]: None means the mask's own. turned_box_px [5]: where one was found. mask: taken as it is
    (see `masks.clean_patch`). No labels make a region without label. Empty list where the tag's kind cannot
    show the object: it needs a mask that is not there, or nothing lies inside the image.
    """
    if box_xyxy_px is None and mask is not None:
        box_xyxy_px = patch_box(mask)
    if box_xyxy_px is None:
        return []
    geometry = control.kind.write(FoundObject(size, box_xyxy_px, mask, turned_box_px))
    if geometry is None:
        return []
    common: Json = {
        "id": region_id or new_region_id(rng),
        "to_name": control.to_name,
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "score": rounded_score(score),
    }
    if page.item_index is not None:
        common["item_index"] = page.item_index
    drawn: Json = {**common, "from_name": control.name, "type": control.result_type, "value": geometry}
    if not control.is_plain:
        return [{**drawn, "value": {**geometry, control.result_type: list(labels)}}]
    return [drawn] + [
        {**common, "from_name": tag, "type": LABELS_SUFFIX, "value": {**geometry, LABELS_SUFFIX: its_labels}}
        for tag, its_labels in _labels_by_group(control, labels).items()
    ]


def _labels_by_group(control: ControlTag, labels: Sequence[str]) -> dict[str, list[str]]:
    """Return the labels of a region by the `<Labels>` under which each is written."""
    by_tag: dict[str, list[str]] = {}
    for number, label in enumerate(labels):
        group = control.group_of(label, labels[:number])
        if group is not None:
            by_tag.setdefault(group.tag, []).append(label)
    return by_tag


def make_prediction(results: Sequence[Json], score: float, model_version: str) -> Json:
    """Return one task's entry of a `/predict` reply; score is forced to a number in 0..1.

    Without results it is an empty prediction: the task then counts as predicted. A task that was not looked
    at must get `[]` instead.
    """
    return {"result": list(results), "score": rounded_score(score), "model_version": model_version}
