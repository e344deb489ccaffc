"""What an annotator points at with a smart tool: from Label Studio's `context` to clicks and outlines.

Two steps, because the first needs no image: `parse_prompts` reads the request, `place_prompts` puts one
page's prompts on the pixels of its image. A prompt that cannot be understood is passed over; nobody gets
an error for a slip of the hand.

Which prompts make one object, as the editor works: each outline (a rectangle, say) is an object of its
own. All clicks, and all dabs, of one request are about one object, since the editor sends those of one
label until the annotator accepts: a second click refines. A click in or beside a single shape, or inside
one of several, refines that shape's object. Source: Label Studio 1.23.2, its editor's requests.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import join_patches
from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.recorded_frame import Fit, fit_of
from backend.core.labelstudio.results import read_id, read_item_index, read_labels, read_size
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.core.regions.kind import Click, Dab, Outline, RegionKind, Shape
from backend.core.regions.kinds import kind_of_value
from backend.core.regions.outlines import outline_area_px
from backend.core.regions.unusable import UnusableRegion

MOST_PROMPTS = 200
HINT_LIMITS: dict[str, Any] = {"confidence_threshold": 0.08, "nms_threshold": 0.6, "max_regions": 60}
"""What a detector hands to the smart tools: also the unlikely, since the annotator points at one."""


@dataclass(frozen=True)
class RawPrompt:
    """One prompt as sent: its shape, whether it adds or cuts, and the size of the image it was drawn on."""

    region_id: str
    kind: RegionKind
    shape: Shape
    is_positive: bool
    recorded_size: ImageSize | None = None


@dataclass(frozen=True)
class PagePrompts:
    """The prompts on one image of the task, oldest first."""

    page: TaskPage
    prompts: tuple[RawPrompt, ...]

    def fits(self, size: ImageSize) -> bool:
        """Tell whether all of them were drawn on a picture of the proportions of this one."""
        return all(fit_of(raw.recorded_size, size) is Fit.SAME for raw in self.prompts)


@dataclass(frozen=True)
class PromptRequest:
    """All prompts of one request: the smart tool they came from, and their labels, () if none was chosen."""

    control: ControlTag
    labels: tuple[str, ...]
    pages: tuple[PagePrompts, ...]

    @property
    def label(self) -> str | None:
        """The label of the object that is pointed at: the first chosen."""
        return self.labels[0] if self.labels else None


@dataclass(frozen=True, eq=False)
class Prompts:
    """What is known about one object, in the orig frame.

    clicks_xy_px float32 [N, 2], oldest first; is_positive bool [N]; outline_px float32 [K, 2] of a rough
    shape around the object, or None; painted and erased: rough dabs on and off the object. is_turned: the
    rough shape is a rectangle that was drawn turned.
    """

    clicks_xy_px: FloatArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.float32))
    is_positive: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    outline_px: FloatArray | None = None
    painted: MaskPatch | None = None
    erased: MaskPatch | None = None
    is_turned: bool = False

    def __post_init__(self) -> None:
        if self.clicks_xy_px.shape != (len(self.is_positive), 2):
            expected = (len(self.is_positive), 2)
            raise ValueError(f"clicks_xy_px must be {expected}, got {self.clicks_xy_px.shape}")

    @property
    def positive_px(self) -> FloatArray:
        """Clicks on the object, float32 [P, 2]."""
        return self.clicks_xy_px[self.is_positive]

    @property
    def negative_px(self) -> FloatArray:
        """Clicks beside the object, float32 [Q, 2]."""
        return self.clicks_xy_px[~self.is_positive]

    @property
    def is_clear(self) -> bool:
        """Whether something says where the object is; clicks beside it alone do not."""
        return self.outline_px is not None or self.painted is not None or bool(self.is_positive.any())

    def first_clicks(self, count: int) -> Prompts:
        """Return the same prompts with the `count` oldest clicks only."""
        return replace(self, clicks_xy_px=self.clicks_xy_px[:count], is_positive=self.is_positive[:count])


def parse_prompts(context: Any, task: Mapping[str, Any], config: LabelConfig) -> PromptRequest | None:
    """Return the prompts of a request, None where there is nothing to answer.

    context: `params.context` as it came; null, `{}` and an empty `result` are usual. Control and label are
    those of the newest prompt; prompts of another control are not part of the same gesture. The page of the
    newest prompt comes first. Raises AnnotationError if the task has no image.
    """
    results = context.get("result") if isinstance(context, Mapping) else None
    if not isinstance(results, list):
        return None
    regions = _regions(results[-MOST_PROMPTS:], config)
    if not regions:
        return None
    newest = regions[-1]
    control = newest.control
    labels = next((r.labels for r in reversed(regions) if r.control == control and r.labels), ())
    by_place = {(page.image_tag, page.item_index or 0): page for page in task_pages(task, config)}
    grouped: dict[tuple[str, int], list[RawPrompt]] = {}
    for region in reversed(regions):
        place = (control.to_name, region.item_index)
        if region.control.to_name == control.to_name and place in by_place:
            grouped.setdefault(place, []).append(region.prompt)
    pages = tuple(PagePrompts(by_place[place], tuple(reversed(raws))) for place, raws in grouped.items())
    return PromptRequest(control, labels, pages) if pages else None


def place_prompts(page: PagePrompts, size: ImageSize) -> list[Prompts]:
    """Return what is asked of each object on a page of the given size; [] where nothing is clear."""
    outlines: list[Outline] = []
    clicks: list[tuple[float, float, bool]] = []
    painted: list[MaskPatch] = []
    erased: list[MaskPatch] = []
    for raw in page.prompts:
        match raw.shape.prompt_mark(size):
            case Outline() as outline:
                outlines.append(outline)
            case Click(x_px, y_px):
                clicks.append((x_px, y_px, raw.is_positive))
            case Dab(mask):
                (painted if raw.is_positive else erased).append(mask)
    objects = _join(outlines, clicks, painted, erased)
    return [prompts for prompts in objects if prompts.is_clear]


def answer_form(
    request: PromptRequest, config: LabelConfig, guess: str | None
) -> tuple[ControlTag, tuple[str, ...]] | None:
    """Return the control tag that the annotator needs the object in, and its labels; None if none would help.

    guess: the detector's label for the object, None where it knows no such object. It counts where no label
    was chosen, and where no tag that draws has the chosen one: teams name their clicks as they like. Without
    a guess, the only label there is counts.

    The tag is the first, in the order of the kinds, that draws on the image and has the label. Where no tag
    draws, it is the smart tool's own. model_skip takes a tag out, unless it is the smart tool itself.
    """
    tags = [
        control
        for control in config.controls_for_image(request.control.to_name)
        if control.kind.draws_objects and (control == request.control or not control.is_skipped)
    ]
    drawn = dict.fromkeys(label for control in tags for label in control.labels)
    labels = tuple(label for label in request.labels if label in drawn or not drawn)
    if not labels:
        own = None if request.labels else _only(request.control.labels)
        only = own if own in drawn or not drawn else _only(tuple(drawn))
        chosen = guess if guess in drawn else only
        if chosen is None and request.labels and drawn:
            return None
        labels = () if chosen is None else (chosen,)
    for kind in config.kinds:
        for control in tags:
            if control.kind is kind and (not labels or labels[0] in control.labels):
                return control, tuple(label for label in labels if label in control.labels)
    return request.control, labels


def _only(labels: Sequence[str]) -> str | None:
    return labels[0] if len(labels) == 1 else None


@dataclass(frozen=True)
class _Region:
    control: ControlTag
    labels: tuple[str, ...]
    item_index: int
    prompt: RawPrompt


def _regions(results: Sequence[Any], config: LabelConfig) -> list[_Region]:
    """Return one entry for each shape that is drawn, the newest last; several may share an id.

    Results of one id give a shape their labels: those that repeat its geometry, and those that draw nothing.
    A shape that comes again unchanged counts once.
    """
    drawn: dict[tuple[Hashable, ...], _Region] = {}
    labels: dict[tuple[Hashable, ...], tuple[str, ...]] = {}
    for index, result in enumerate(results):
        if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
            continue
        value = result["value"]
        region_id = read_id(result) or f"#{index}"
        kind = kind_of_value(value, config.kinds)
        key: tuple[Hashable, ...] = (region_id,)
        if kind is not None:
            key = (region_id, _item_index(result), kind.name, *kind.geometry_key(value))
        labels[key] = (*labels.get(key, ()), *read_labels(result, config))
        control = config.control(str(result.get("from_name")))
        if control is None or kind is None:
            continue
        drawn.pop(key, None)
        recorded_size = read_size(result)
        try:
            shape = kind.read(value, recorded_size)
        except UnusableRegion:
            continue
        prompt = RawPrompt(region_id, kind, shape, _is_positive(result), recorded_size)
        drawn[key] = _Region(control, (), _item_index(result), prompt)
    of_no_shape: dict[str, tuple[str, ...]] = {}
    for key in (key for key in labels if key not in drawn):
        region_id = str(key[0])
        of_no_shape[region_id] = (*of_no_shape.get(region_id, ()), *labels[key])
    return [
        replace(
            region,
            labels=tuple(dict.fromkeys((*labels[key], *of_no_shape.get(region.prompt.region_id, ())))),
        )
        for key, region in drawn.items()
    ]


def _is_positive(result: Mapping[str, Any]) -> bool:
    """Tell whether a prompt adds; some clients put the mark inside the value."""
    mark = result.get("is_positive", result["value"].get("is_positive"))
    return mark not in (False, 0, "false", "0")


def _item_index(result: Mapping[str, Any]) -> int:
    return max(0, read_item_index(result) or 0)


def _join(
    outlines: Sequence[Outline],
    clicks: Sequence[tuple[float, float, bool]],
    painted: Sequence[MaskPatch],
    erased: Sequence[MaskPatch],
) -> list[Prompts]:
    """Sort clicks and dabs to objects: see the module's docstring."""
    strokes = join_patches(painted) if painted else None
    cuts = join_patches(erased) if erased else None
    if len(outlines) <= 1:
        prompts = _drawn_around(outlines[0]) if outlines else Prompts()
        return [_with_clicks(replace(prompts, painted=strokes, erased=cuts), clicks)]
    owners = [_owner(outlines, x, y) for x, y, _ in clicks]
    objects = [
        _with_clicks(
            _drawn_around(outline), [c for c, owner in zip(clicks, owners, strict=True) if owner == k]
        )
        for k, outline in enumerate(outlines)
    ]
    stray = [c for c, owner in zip(clicks, owners, strict=True) if owner is None]
    if stray or strokes is not None:
        objects.append(_with_clicks(Prompts(painted=strokes, erased=cuts), stray))
    return objects


def _drawn_around(outline: Outline) -> Prompts:
    return Prompts(outline_px=outline.corners_px, is_turned=outline.is_turned)


def _with_clicks(prompts: Prompts, clicks: Sequence[tuple[float, float, bool]]) -> Prompts:
    points = np.array([(x, y) for x, y, _ in clicks], dtype=np.float32).reshape(-1, 2)
    return replace(
        prompts, clicks_xy_px=points, is_positive=np.array([p for _, _, p in clicks], dtype=np.bool_)
    )


def _owner(outlines: Sequence[Outline], x: float, y: float) -> int | None:
    """Return the smallest shape whose bounding box holds the point, the newest of equals, or None."""
    holding = []
    for k, outline in enumerate(outlines):
        corners = outline.corners_px
        low, high = corners.min(axis=0), corners.max(axis=0)
        if low[0] <= x <= high[0] and low[1] <= y <= high[1]:
            holding.append((outline_area_px(corners), -k))
    return -min(holding)[1] if holding else None
