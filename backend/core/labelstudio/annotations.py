"""What a task's annotation teaches: from Label Studio results to boxes, masks and labels.

Two steps, because the first needs no image: `annotated_task` picks the annotation that counts and sorts its
regions by page; `build_target` draws one page's regions in the pixels of its image. Neither fails because of
one bad region: it is left out and counted under one of `unusable.REASONS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.core.geometry.instances import (
    Attributes,
    FloatArray,
    ImageSize,
    MaskPatch,
    TrainingTarget,
    attributes_if_any,
)
from backend.core.geometry.mirroring import mirrored_indices
from backend.core.geometry.points import NO_OBJECT, POINTS, LabelledPoint
from backend.core.geometry.turned_boxes import NOT_TURNED, rows_if_any_is_turned
from backend.core.labelstudio.annotators import choose_annotation, newest_of_each_annotator
from backend.core.labelstudio.answers import Extras, read_answers
from backend.core.labelstudio.attributes import read_attributes
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.pixels import drawn_in_pixels
from backend.core.labelstudio.recorded_frame import Fit, fit_of, turned_back
from backend.core.labelstudio.results import Region, read_regions
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.core.labelstudio.twins import join_twins
from backend.core.regions.kind import Drawn, draw_together
from backend.core.regions.unusable import UnusableRegion, mark_objects


@dataclass(frozen=True)
class LabelledRegion:
    """A region, the labels it teaches, at least one, and what is said of it, by the control tag's name."""

    region: Region
    labels: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotatedPage:
    """One image of an annotated task and its regions; without regions it teaches background.

    is_bare: it has none because all of them were left out, so it teaches no background. extras: what is
    answered about it as a whole, by the name of the head that learns it.
    """

    page: TaskPage
    regions: tuple[LabelledRegion, ...]
    is_bare: bool = False
    extras: Extras = field(default_factory=dict)

    @property
    def recorded_size(self) -> ImageSize | None:
        """The image size that all regions were drawn on; None where they differ or say none."""
        sizes = {labelled.region.recorded_size for labelled in self.regions}
        return sizes.pop() if len(sizes) == 1 else None


@dataclass(frozen=True)
class AnnotatedTask:
    """The annotation of a task that teaches, by page.

    unusable: regions and answers left out, by reason. unlearned: regions among them that are sound but for
    their labels. unknown: how often what the config does not have was named, by reason and name.
    is_disputed: the newest annotations of its annotators differ in labels, in how often they drew one, or in
    what they say about an image or its regions.
    """

    annotation_id: int | str | None
    pages: tuple[AnnotatedPage, ...]
    unusable: Counter[str]
    unlearned: tuple[Region, ...] = ()
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    is_disputed: bool = False


@dataclass(frozen=True, eq=False)
class PageTarget:
    """What one image teaches, and the regions that could not be drawn on it, by reason."""

    target: TrainingTarget
    unusable: Counter[str]


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
    read = read_regions(annotation["result"], config)
    unusable = Counter(read.unusable)
    unknown = Counter(read.unknown)
    unlearned: list[Region] = []
    hidden = set(read.hidden)
    for region in join_twins(read.regions, config.kinds):
        place = region.to_name, region.item_index
        if place not in by_page:
            unusable["unknown_page"] += 1
            continue
        try:
            labels = region.learned_labels(config)
        except UnusableRegion as exc:
            unusable[exc.reason] += 1
            unknown.update((exc.reason, name) for name in exc.names)
            unlearned.append(region)
            if mark_objects([exc.reason]):
                hidden.add((region.to_name, str(region.item_index)))
            continue
        attributes = read_attributes(region, config)
        by_page[place].append(LabelledRegion(region, labels, attributes.taught))
        unusable.update(attributes.unusable)
        unknown.update(attributes.unknown)
    answers = read_answers(annotation["result"], config, pages)
    unusable.update(answers.unusable)
    unknown.update(answers.unknown)
    annotated = [
        _page(page, by_page[page.image_tag, page.item_index or 0], hidden, pages, extras)
        for page, extras in zip(pages, answers.extras, strict=True)
    ]
    return AnnotatedTask(
        annotation_id=annotation.get("id"),
        pages=tuple(annotated),
        unusable=unusable,
        unlearned=tuple(unlearned),
        unknown=unknown,
        is_disputed=_is_disputed(task, config, pages),
    )


def _page(
    page: TaskPage,
    regions: Sequence[LabelledRegion],
    hidden: Collection[tuple[str, str]],
    pages: Sequence[TaskPage],
    extras: Extras,
) -> AnnotatedPage:
    """Return a page; hidden: image tag and place of results left out, which may name no image there is."""
    tags = {one.image_tag for one in pages}
    is_hidden = (page.image_tag, str(page.item_index or 0)) in hidden
    is_bare = not regions and (is_hidden or any(tag not in tags for tag, _ in hidden))
    return AnnotatedPage(page, tuple(regions), is_bare, extras)


def _is_disputed(task: Mapping[str, Any], config: LabelConfig, pages: Sequence[TaskPage]) -> bool:
    newest = newest_of_each_annotator(task)
    if len(newest) < 2:
        return False
    drawn = (
        join_twins(read_regions(annotation["result"], config).regions, config.kinds) for annotation in newest
    )
    counts = [Counter(said for region in regions for said in _said(region, config)) for regions in drawn]
    answers = [read_answers(annotation["result"], config, pages).extras for annotation in newest]
    return any(count != counts[0] for count in counts) or any(extras != answers[0] for extras in answers)


def _said(region: Region, config: LabelConfig) -> Iterator[tuple[str, str]]:
    """Yield the labels of a region, and what is said of it, so that both can be counted."""
    yield from (("", label) for label in region.labels)
    yield from ((name, str(taught)) for name, taught in read_attributes(region, config).taught.items())


def build_target(
    regions: Iterable[LabelledRegion],
    labels: Sequence[str],
    size: ImageSize,
    *,
    orientation: int = 1,
    extras: Mapping[str, Any] | None = None,
) -> PageTarget:
    """Draw the regions of one page in the pixels of its image.

    labels: class names in the order of label_indices. size: of the decoded image, EXIF orientation applied;
    brush masks recorded at another size are resized to it. Every shape but a point gives a box, and a mask
    unless it is an upright rectangle; a turned one gives its turned box as well. A brush region in several
    parts is one object. A region of several labels gives a row for each. orientation: EXIF's, by which the
    image is turned; it tells how regions lie that were drawn on an image turned by a quarter against this
    one. extras: what is answered about the image.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    unusable: Counter[str] = Counter()
    given = list(regions)
    in_pixels = drawn_in_pixels([labelled.region for labelled in given], size)
    mirrored = mirrored_indices(labels)
    objects: dict[str, int] = {}
    points: list[LabelledPoint] = []
    boxes: list[FloatArray] = []
    masks: list[MaskPatch | None] = []
    label_indices: list[int] = []
    region_ids: list[str] = []
    attributes: list[Attributes | None] = []
    turned: list[FloatArray] = []
    for number, labelled in enumerate(given):
        known = [index_of[label] for label in labelled.labels if label in index_of]
        try:
            if not known:
                raise UnusableRegion("unknown_label")
            if number in in_pixels:
                raise UnusableRegion("pixels")
            drawn = _draw(labelled.region, size, orientation)
        except UnusableRegion as exc:
            unusable[exc.reason] += 1
            continue
        if not labelled.region.kind.draws_objects:
            x, y = drawn.box_xyxy_px[:2].tolist()
            object_id = labelled.region.object_id
            of_object = objects.setdefault(object_id, len(objects)) if object_id else NO_OBJECT
            points += [LabelledPoint(x, y, index, mirrored[index], of_object) for index in known]
            continue
        boxes += [drawn.box_xyxy_px] * len(known)
        masks += [drawn.mask] * len(known)
        label_indices += known
        region_ids += [labelled.region.region_id] * len(known)
        attributes += [_attributes(labelled, drawn, size)] * len(known)
        turned += [NOT_TURNED if drawn.turned_box_px is None else drawn.turned_box_px] * len(known)
    target = TrainingTarget(
        size=size,
        boxes_xyxy_px=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        label_indices=np.array(label_indices, dtype=np.int64),
        masks=tuple(masks),
        region_ids=tuple(region_ids),
        extras={**(extras or {}), **({POINTS: points} if points else {})},
        turned_boxes_px=rows_if_any_is_turned(turned),
        attributes=attributes_if_any(attributes),
    )
    return PageTarget(target, unusable)


def _attributes(labelled: LabelledRegion, drawn: Drawn, size: ImageSize) -> Attributes | None:
    if not labelled.attributes:
        return None
    left, top, right, bottom = (drawn.box_xyxy_px / max(size.width, size.height)).tolist()
    return Attributes(labelled.attributes, (right - left, bottom - top))


def _draw(region: Region, size: ImageSize, orientation: int) -> Drawn:
    recorded = region.recorded_size
    if recorded is None or fit_of(recorded, size) is not Fit.TURNED:
        return draw_together(region.shapes, size)
    return turned_back(draw_together(region.shapes, recorded), recorded, orientation)
