"""One object drawn in two control tags: found by where the drawings lie, and joined.

Label Studio's converter from COCO writes each object as a rectangle in one tag, followed by its outline in
another, one polygon for each part. People who want boxes and masks draw both as well. The object then has the
box of the one and the mask of the other, and counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.labelstudio.results import Region
from backend.core.regions.kind import RegionKind
from backend.core.regions.unusable import UnusableRegion

TWIN_IOU = 0.8
"""Bounds of two drawings of one object overlap at least so far; its neighbour's do not."""
TWIN_SLACK_PX = 2.0
"""Or their sides differ by no more than this: the corners of small objects are rounded to pixels."""
USUAL_SIZE = ImageSize(1000, 1000)
"""The image that bounds are compared in where results do not say the size of theirs."""


def join_twins(regions: Sequence[Region], kinds: Sequence[RegionKind]) -> tuple[Region, ...]:
    """Return the regions, those of one object joined, in the order of the first of each.

    One object are drawings of different control tags on one image, with the same labels and the same bounds;
    or one drawing and the parts right behind it, which together have its bounds. kinds: what holds most comes
    first; a joined region is of the first that its drawings have.
    """
    joined: dict[int, int] = {}  # number of a region -> that of the first of its object
    for numbers in _comparable(regions):
        bounds = {number: found for number in numbers if (found := _bounds(regions[number])) is not None}
        _join_pairs(regions, bounds, joined)
        _join_parts(regions, bounds, joined)
    members: dict[int, list[Region]] = {}
    for number, region in enumerate(regions):
        members.setdefault(joined.get(number, number), []).append(region)
    return tuple(_one_region(group, kinds) for group in members.values())


def _comparable(regions: Sequence[Region]) -> Iterator[list[int]]:
    """Yield the numbers of regions that share image and labels, where more than one tag drew them."""
    groups: dict[tuple[str, int, frozenset[str]], list[int]] = {}
    for number, region in enumerate(regions):
        if region.labels and region.kind.draws_objects:
            place = region.to_name, region.item_index, frozenset(region.labels)
            groups.setdefault(place, []).append(number)
    for numbers in groups.values():
        if len({regions[number].from_name for number in numbers}) > 1:
            yield numbers


def _bounds(region: Region) -> FloatArray | None:
    """Return the box [4] around a region in pixels of its own image; None if it cannot be drawn."""
    size = region.recorded_size or USUAL_SIZE
    try:
        boxes = np.stack([shape.bounds_px(size) for shape in region.shapes])
    except UnusableRegion:
        return None
    return _around(boxes)


def _around(boxes_xyxy_px: FloatArray) -> FloatArray:
    box: FloatArray = np.concatenate((boxes_xyxy_px[:, :2].min(axis=0), boxes_xyxy_px[:, 2:].max(axis=0)))
    return box


def _join_pairs(regions: Sequence[Region], bounds: dict[int, FloatArray], joined: dict[int, int]) -> None:
    """Join drawings of the same bounds, the nearest first; an object has one drawing of each tag."""
    if not bounds:
        return
    numbers, boxes = np.array(list(bounds)), np.stack(list(bounds.values()))
    tags = np.array([regions[number].from_name for number in bounds])
    pairs: list[tuple[float, int, int]] = []
    for row, box in enumerate(boxes):
        later = boxes[row + 1 :]
        iou = box_iou(box[None], later)[0]
        is_same = (iou >= TWIN_IOU) | (np.abs(later - box).max(axis=1, initial=0) <= TWIN_SLACK_PX)
        found = np.flatnonzero(is_same & (tags[row + 1 :] != tags[row]))
        pairs += [(-float(iou[k]), row, row + 1 + k) for k in found.tolist()]
    objects = {number: {number} for number in bounds}
    for _, row, column in sorted(pairs):
        one, other = int(numbers[row]), int(numbers[column])
        both = objects[one] | objects[other]
        if len({regions[number].from_name for number in both}) == len(both):
            for number in both:
                objects[number] = both
    joined |= {number: min(others) for number, others in objects.items() if len(others) > 1}


def _join_parts(regions: Sequence[Region], bounds: dict[int, FloatArray], joined: dict[int, int]) -> None:
    """Join a drawing and the parts of another tag right behind it, if together they have its bounds.

    A part that has a twin of its own ends them.
    """
    for number, whole in bounds.items():
        first = joined.get(number, number)
        parts: list[int] = []
        following = number + 1
        while (
            following in bounds
            and joined.get(following, first) == first
            and regions[following].from_name != regions[number].from_name
            and regions[following].from_name == regions[number + 1].from_name
        ):
            parts.append(following)
            following += 1
        if len(parts) > 1 and _is_same(whole, _around(np.stack([bounds[part] for part in parts]))):
            joined |= dict.fromkeys((number, *parts), first)


def _is_same(one: FloatArray, other: FloatArray) -> bool:
    return bool(
        box_iou(one[None], other[None])[0, 0] >= TWIN_IOU or np.abs(one - other).max() <= TWIN_SLACK_PX
    )


def _one_region(drawings: Sequence[Region], kinds: Sequence[RegionKind]) -> Region:
    """Return the region of one object: of the kind that holds most, with the shapes of all its drawings."""
    if len(drawings) == 1:
        return drawings[0]
    sizes = {drawing.recorded_size for drawing in drawings}
    return replace(
        drawings[0],
        kind=min((drawing.kind for drawing in drawings), key=kinds.index),
        shapes=tuple(shape for drawing in drawings for shape in drawing.shapes),
        recorded_size=sizes.pop() if len(sizes) == 1 else None,
        said=tuple(said for drawing in drawings for said in drawing.said),
    )
