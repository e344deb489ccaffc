"""What the views of a large image show becomes one answer again: every thing once, and whole.

A tile sees a thing whole unless the thing reaches one of the tile's inner borders: those that are no border
of the image. Tiles overlap by more than nearly all things are long, so that such a thing is whole in one of
them. A longer one is put together from what several tiles see of it, or comes from the whole image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.boxes import box_area, box_iou
from backend.core.geometry.instances import BoolArray, Detections, FloatArray, ImageSize, IntArray, MaskPatch
from backend.core.geometry.masks import join_patches, patch_box
from backend.core.geometry.placement import Rect
from backend.core.geometry.points import NO_OBJECT, POINTS, FoundPoints, found_points
from backend.core.geometry.tiling import Tiling
from backend.core.geometry.turned_boxes import NOT_TURNED, patch_to_turned, upright_as_turned

BORDER_SHARE = 0.02
"""What ends nearer to an inner border than this share of a tile's side may go on beyond it."""
SAME_IOU = 0.5
"""Two tiles see the same thing where what both can see of it overlaps so much."""
INSIDE_SHARE = 0.6
"""A cut thing is part of a larger one of its label that covers so much of it."""
WHOLE_SHARE = 0.85
"""A part that is so much of the whole is all of it, seen near a border; else parts are put together."""
SAME_POINT_SHARE = 0.02
"""Two points of one label that are nearer than this share of a tile's side are the same."""


def joined(
    size: ImageSize,
    tiling: Tiling,
    found: Sequence[Detections],
    *,
    nms_threshold: float,
    max_regions: int,
) -> Detections:
    """Return what was found in an image by what was found in its views, best first, at most max_regions.

    found: of each view of `tiling.views_of(size)`, in the view's own frame. A thing that several views show
    is there once: as the tile shows it that has it whole, else put together from its parts, box and mask.
    What the whole image shows counts where it is longer than tiles overlap. Extras are those of the whole
    image, but for points.
    """
    views = tiling.views_of(size)
    if len(views) == 1:
        return found[0]
    side = tiling.side_of(size)
    tiles = len(views) - tiling.has_whole_view
    moved = [_moved(one, view, size) for one, view in zip(found, views, strict=True)]
    pool = _Pool.of(size, views, moved, side)
    counts = (pool.view < tiles) | (pool.longest > tiling.overlap * side)
    rows = np.flatnonzero(counts)
    pool = pool.take(rows[np.lexsort((-pool.scores[rows], pool.is_cut[rows]))])
    groups = pool.groups(views, tiles, nms_threshold)
    objects = [pool.joined(group.shown) for group in groups]
    best = sorted(range(len(objects)), key=lambda k: -objects[k].score)[:max_regions]
    became = {
        (int(pool.view[row]), int(pool.origin[row])): position
        for position, k in enumerate(best)
        for row in groups[k].rows
    }
    points = _joined_points(found[:tiles], views, became, SAME_POINT_SHARE * side, max_regions)
    has_turned = any(one.turned_boxes_px is not None for one in found)
    return Detections(
        size,
        np.array([objects[k].box for k in best], dtype=np.float32).reshape(-1, 4),
        np.array([objects[k].score for k in best], dtype=np.float32),
        np.array([objects[k].label for k in best], dtype=np.int64),
        tuple(objects[k].mask for k in best),
        image_score=_image_score(found[:tiles]),
        has_boxes=pool.has_boxes,
        extras=_extras(found, tiles, points),
        turned_boxes_px=np.array([objects[k].turned for k in best], dtype=np.float32).reshape(-1, 5)
        if has_turned
        else None,
        attributes=tuple(objects[k].attributes for k in best)
        if any(one.attributes is not None for one in found)
        else None,
    )


@dataclass(frozen=True, eq=False)
class _Object:
    box: FloatArray
    score: float
    label: int
    mask: MaskPatch | None
    turned: FloatArray
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class _Group:
    """Rows that show one thing, and those of them that it is made of."""

    rows: list[int]
    shown: list[int]


@dataclass(frozen=True, eq=False)
class _Pool:
    """Everything that the views show, in the image's frame: a row for each detection.

    view [N]: which view shows it; origin [N]: which row of that view it is. is_cut [N]: it reaches an inner
    border of its view.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray
    masks: tuple[MaskPatch | None, ...]
    turned: FloatArray
    attributes: tuple[Mapping[str, Any], ...]
    view: IntArray
    origin: IntArray
    is_cut: BoolArray
    has_boxes: bool

    @classmethod
    def of(cls, size: ImageSize, views: Sequence[Rect], moved: Sequence[Detections], side: float) -> _Pool:
        """Put what was found in all views together."""
        margin = BORDER_SHARE * side
        return cls(
            np.concatenate([one.boxes_xyxy_px for one in moved]),
            np.concatenate([one.scores for one in moved]),
            np.concatenate([one.label_indices for one in moved]),
            tuple(mask for one in moved for mask in one.masks),
            np.concatenate([_turned_rows(one) for one in moved]),
            tuple(said for one in moved for said in one.attributes or ({},) * len(one)),
            np.repeat(np.arange(len(moved)), [len(one) for one in moved]),
            np.concatenate([np.arange(len(one)) for one in moved]),
            np.concatenate(
                [
                    _is_cut(one.boxes_xyxy_px, view, size, margin)
                    for one, view in zip(moved, views, strict=True)
                ]
            ),
            all(one.has_boxes for one in moved),
        )

    @property
    def longest(self) -> FloatArray:
        """The longer sides of the boxes."""
        sides: FloatArray = (self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1, initial=0)
        return sides

    def take(self, rows: npt.NDArray[np.intp]) -> _Pool:
        """Return some rows, in this order."""
        return _Pool(
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
            tuple(self.masks[row] for row in rows.tolist()),
            self.turned[rows],
            tuple(self.attributes[row] for row in rows.tolist()),
            self.view[rows],
            self.origin[rows],
            self.is_cut[rows],
            self.has_boxes,
        )

    def groups(self, views: Sequence[Rect], tiles: int, nms_threshold: float) -> list[_Group]:
        """Return what belongs to one thing each; rows come whole ones first, best first.

        A whole row stands for all that show the same; cut ones that are left are put together.
        """
        linked: dict[int, set[int]] = {}
        for a, b in self._links(views, tiles, nms_threshold):
            linked.setdefault(a, set()).add(b)
            linked.setdefault(b, set()).add(a)
        groups: list[_Group] = []
        is_taken = np.zeros(len(self.scores), dtype=np.bool_)
        for row in range(len(self.scores)):
            if is_taken[row]:
                continue
            is_taken[row] = True
            members, is_whole = [row], self.has_boxes and not self.is_cut[row]
            for member in members:
                more = [other for other in sorted(linked.get(member, ())) if not is_taken[other]]
                is_taken[more] = True
                members += more
                if is_whole:
                    break
            groups.append(_Group(members, members[:1] if is_whole else members))
        return groups

    def joined(self, rows: Sequence[int]) -> _Object:
        """Return one thing of the rows that show parts of it."""
        first = rows[0]
        if len(rows) == 1:
            return _Object(
                self.boxes[first],
                float(self.scores[first]),
                int(self.labels[first]),
                self.masks[first],
                self.turned[first],
                self.attributes[first],
            )
        boxes = self.boxes[list(rows)]
        box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        share = box_area(boxes) / max(float(box_area(box[None])[0]), 1e-6)
        whole = [row for row, part in zip(rows, share.tolist(), strict=True) if part >= WHOLE_SHARE]
        if whole and self.has_boxes:
            return self.joined([max(whole, key=lambda row: float(self.scores[row]))])
        patches = [mask for row in rows if (mask := self.masks[row]) is not None]
        mask = join_patches(patches) if patches else None
        turned = patch_to_turned(mask) if mask is not None else upright_as_turned(box[None])[0]
        return _Object(
            patch_box(mask) if mask is not None and not self.has_boxes else box,
            float(self.scores[list(rows)].max()),
            int(self.labels[first]),
            mask,
            turned,
            self.attributes[max(rows, key=lambda row: float(self.scores[row]))],
        )

    def _links(self, views: Sequence[Rect], tiles: int, nms_threshold: float) -> Iterator[tuple[int, int]]:
        """Yield pairs of rows of different views that show the same thing."""
        rows_of = [np.flatnonzero(self.view == number) for number in range(len(views))]
        for a, b in combinations(range(tiles), 2):
            zone = _shared(views[a], views[b])
            if zone is not None and len(rows_of[a]) and len(rows_of[b]):
                yield from self._same_in(zone, rows_of[a], rows_of[b], nms_threshold)
        for large in rows_of[tiles] if len(views) > tiles else ():
            box = self.boxes[large][None]
            for number in range(tiles):
                rows = rows_of[number]
                inside = _cover(self.boxes[rows], box)
                alike = box_iou(self.boxes[rows], box)[:, 0]
                same = np.where(self.is_cut[rows], inside >= INSIDE_SHARE, alike > nms_threshold)
                same &= self.labels[rows] == self.labels[large]
                yield from ((int(large), int(row)) for row in rows[same])

    def _same_in(
        self, zone: Rect, mine: IntArray, theirs: IntArray, nms_threshold: float
    ) -> Iterator[tuple[int, int]]:
        mine, theirs = (rows[_reaches(self.boxes[rows], zone)] for rows in (mine, theirs))
        if not len(mine) or not len(theirs):
            return
        if not self.has_boxes:
            same = self._touching(mine, theirs)
        else:
            seen = [np.clip(self.boxes[rows], zone[:2] * 2, zone[2:] * 2) for rows in (mine, theirs)]
            same = box_iou(seen[0], seen[1]) >= SAME_IOU
            same |= box_iou(self.boxes[mine], self.boxes[theirs]) > nms_threshold
        same &= self.labels[mine][:, None] == self.labels[theirs][None, :]
        for i, j in np.argwhere(same).tolist():
            yield int(mine[i]), int(theirs[j])

    def _touching(self, mine: IntArray, theirs: IntArray) -> BoolArray:
        """Return which masks have pixels in common, bool [N, M]."""
        same = box_iou(self.boxes[mine], self.boxes[theirs]) > 0
        for i, j in np.argwhere(same).tolist():
            same[i, j] = _overlap(self.masks[mine[i]], self.masks[theirs[j]])
        return same


def _moved(found: Detections, view: Rect, size: ImageSize) -> Detections:
    """Return what was found in a view, in the frame of the image."""
    x, y = view[:2]
    turned = found.turned_boxes_px
    return replace(
        found,
        size=size,
        boxes_xyxy_px=found.boxes_xyxy_px + np.array((x, y, x, y), dtype=np.float32),
        masks=tuple(
            None if mask is None else MaskPatch(mask.left_px + x, mask.top_px + y, mask.bits)
            for mask in found.masks
        ),
        turned_boxes_px=None if turned is None else turned + np.array((x, y, 0, 0, 0), dtype=np.float32),
    )


def _turned_rows(found: Detections) -> FloatArray:
    if found.turned_boxes_px is not None:
        return found.turned_boxes_px
    rows: FloatArray = np.tile(NOT_TURNED, (len(found), 1))
    return rows


def _is_cut(boxes: FloatArray, view: Rect, size: ImageSize, margin: float) -> BoolArray:
    """Return which boxes [N, 4] reach a border of a view that is none of the image, bool [N]."""
    x1, y1, x2, y2 = view
    cut = np.zeros(len(boxes), dtype=np.bool_)
    if x1 > 0:
        cut |= boxes[:, 0] < x1 + margin
    if y1 > 0:
        cut |= boxes[:, 1] < y1 + margin
    if x2 < size.width:
        cut |= boxes[:, 2] > x2 - margin
    if y2 < size.height:
        cut |= boxes[:, 3] > y2 - margin
    return cut


def _shared(a: Rect, b: Rect) -> Rect | None:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _reaches(boxes: FloatArray, zone: Rect) -> BoolArray:
    x1, y1, x2, y2 = zone
    reaches: BoolArray = (boxes[:, 0] < x2) & (boxes[:, 2] > x1) & (boxes[:, 1] < y2) & (boxes[:, 3] > y1)
    return reaches


def _cover(boxes: FloatArray, large: FloatArray) -> FloatArray:
    """Return which share of each box [N, 4] a box [1, 4] covers, float32 [N]."""
    low, high = np.maximum(boxes[:, :2], large[:, :2]), np.minimum(boxes[:, 2:], large[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    share: FloatArray = shared / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    return share


def _overlap(a: MaskPatch | None, b: MaskPatch | None) -> bool:
    if a is None or b is None:
        return False
    zone = _shared(_window(a), _window(b))
    if zone is None:
        return False
    x1, y1, x2, y2 = zone
    mine, theirs = (
        patch.bits[y1 - patch.top_px : y2 - patch.top_px, x1 - patch.left_px : x2 - patch.left_px]
        for patch in (a, b)
    )
    return bool((mine & theirs).any())


def _window(patch: MaskPatch) -> Rect:
    height, width = patch.bits.shape
    return (patch.left_px, patch.top_px, patch.left_px + width, patch.top_px + height)


def _image_score(found: Sequence[Detections]) -> float:
    """Return the mean score of the tiles, by how much each shows; of all alike where none shows anything."""
    counts = np.array([len(one) for one in found], dtype=np.float64)
    scores = np.array([one.image_score for one in found])
    return float(np.average(scores, weights=counts if counts.any() else None))


def _extras(found: Sequence[Detections], tiles: int, points: FoundPoints | None) -> dict[str, Any]:
    """Return what further heads found: in the whole image where that was looked at, but points in tiles."""
    extras = dict(found[tiles].extras) if len(found) > tiles else {}
    extras.pop(POINTS, None)
    return extras if points is None else {**extras, POINTS: points}


def _joined_points(
    found: Sequence[Detections],
    views: Sequence[Rect],
    became: Mapping[tuple[int, int], int],
    apart_px: float,
    max_regions: int,
) -> FoundPoints | None:
    """Return the points of the tiles, each once; None where none were looked for.

    became: by tile and row in it, the object of the image that a tile's object is part of. apart_px: nearer
    points of one label are the same.
    """
    if not any(POINTS in one.extras for one in found):
        return None
    parts = [found_points(one) for one in found]
    places = np.concatenate(
        [part.points_xy_px + np.array(view[:2], np.float32) for part, view in zip(parts, views, strict=False)]
    )
    scores = np.concatenate([part.scores for part in parts])
    labels = np.concatenate([part.label_indices for part in parts])
    rows = np.array(
        [
            became.get((k, row), NO_OBJECT)
            for k, part in enumerate(parts)
            for row in part.object_rows.tolist()
        ],
        dtype=np.int64,
    )
    kept: list[int] = []
    for k in np.argsort(-scores, kind="stable").tolist():
        mine = [other for other in kept if labels[other] == labels[k]]
        if not mine or np.linalg.norm(places[mine] - places[k], axis=1).min() > apart_px:
            kept.append(k)
    best = np.array(kept[:max_regions], dtype=np.int64)
    return FoundPoints(places[best], scores[best], labels[best], rows[best])
