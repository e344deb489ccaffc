"""The one reader of regions in Label Studio results: trainings, label statistics and prompts share it.

An id joins what the editor joins: a shape with its labels, texts and choices, which repeat its geometry, and
the strokes of one painted area. Converters and hand-made tasks give one id to many shapes: each shape is then
a region of its own, counted as "shared_id".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.core.answers.kinds import answer_kind
from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.label_names import read_names
from backend.core.labelstudio.text_tags import TEXT_TYPE
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind, Shape
from backend.core.regions.kinds import OTHER_TYPES, kind_of_type, kind_of_value
from backend.core.regions.unusable import UnusableRegion, mark_objects
from backend.core.regions.values import parse_recorded_size, parse_whole_number

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """A result that answers something about a region: its control tag, its type in lower case, its value."""

    from_name: str
    type_: str
    value: Any


@dataclass(frozen=True)
class Region:
    """One region of an annotation.

    kind: of its first shape. shapes: one, or the strokes of a painted area. labels: as Label Studio stores
    them, in order, also those that the labeling config does not have. from_name: the control tag that drew
    it; to_name and item_index: its image. recorded_size: of the image it was drawn on; None where it is not
    said or differs. object_id: shared with what belongs to the same object, by its parent or by relations.
    said: results of its id that answer something about it.
    """

    region_id: str
    kind: RegionKind
    shapes: tuple[Shape, ...] = field(repr=False)
    labels: tuple[str, ...]
    from_name: str
    to_name: str
    item_index: int
    recorded_size: ImageSize | None
    object_id: str = ""
    said: tuple[Said, ...] = field(default=(), repr=False)

    def learned_labels(self, config: LabelConfig) -> tuple[str, ...]:
        """Return its labels that are learned. Raises UnusableRegion if there is none."""
        learned = tuple(label for label in self.labels if label in config.labels)
        if learned:
            return learned
        if not self.labels:
            raise UnusableRegion("no_label")
        is_in_config = any(label in config.all_labels for label in self.labels)
        raise UnusableRegion("not_predicted" if is_in_config else "unknown_label", self.labels)


@dataclass(frozen=True)
class RegionsRead:
    """The regions of an annotation, and how many are none or unusable whatever the image, by reason.

    unknown: how often what the config does not have was named, by reason and name. hidden: image tag and
    place in its list of images, as text, of every result left out that marks an object.
    """

    regions: tuple[Region, ...]
    unusable: Counter[str]
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    hidden: frozenset[tuple[str, str]] = frozenset()


def read_regions(results: Sequence[Any], config: LabelConfig) -> RegionsRead:
    """Return the regions in the `result` of an annotation that a kind reads and learns from.

    Choices, relations and texts are none. Whatever cannot be used is left out and counted under a key of
    `unusable.REASONS`; it costs no other region. A region that shares its id is kept, and counted too.
    """
    unusable: Counter[str] = Counter()
    unknown: Counter[tuple[str, str]] = Counter()
    by_id: dict[tuple[str, str, str], list[_Part]] = {}
    for index, result in enumerate(results):
        if not isinstance(result, Mapping):
            unusable["bad_geometry"] += 1
            continue
        part = _part(result, config)
        place = (_to_name(part, config), str(read_item_index(result)))
        by_id.setdefault((*place, read_id(result) or f"#{index}"), []).append(part)
    objects = object_ids(results)
    attributes = {tag.name for tag in config.learned_attributes}
    regions: list[Region] = []
    hidden: set[tuple[str, str]] = set()
    for (to_name, item_index, _), parts in by_id.items():
        reasons: Counter[str] = Counter()
        shapes = _shapes_of_one_id(parts)
        reasons["shared_id"] += max(0, len(shapes) - 1)
        for shape in shapes:
            try:
                region = _read_region(shape, config)
                regions.append(replace(region, object_id=objects.get(region.region_id, "")))
            except UnusableRegion as exc:
                reasons[exc.reason] += 1
                unknown.update((exc.reason, name) for name in exc.names)
        reasons.update(_left_over(parts, shapes, attributes))
        if mark_objects(+reasons):
            hidden.add((to_name, item_index))
        unusable.update(reasons)
    return RegionsRead(tuple(regions), +unusable, unknown, frozenset(hidden))


def object_ids(results: Sequence[Any]) -> dict[str, str]:
    """Return by the id of a region the one of the object that it belongs to, where it is joined to others.

    A region belongs to its parent (`parentID`), and points to what a relation joins them to, either way:
    relations between objects join nothing.
    """
    points = {read_id(one) for one in results if isinstance(one, Mapping) and _is_point(one)}
    first_of: dict[str, str] = {}

    def root(region_id: str) -> str:
        while first_of.setdefault(region_id, region_id) != region_id:
            region_id = first_of[region_id]
        return region_id

    for result in results:
        if not isinstance(result, Mapping):
            continue
        ends = (read_id(result), result.get("parentID"))
        if result.get("type") == "relation":
            ends = (str(result.get("from_id")), result.get("to_id"))
            if not points & {str(end) for end in ends}:
                continue
        one, other = ends
        if one and isinstance(other, str) and other:
            first_of[root(one)] = root(other)
    return {region_id: root(region_id) for region_id in list(first_of)}


def _is_point(result: Result) -> bool:
    kind = kind_of_value(result.get("value"))
    return kind is not None and not kind.draws_objects


def read_labels(result: Result, config: LabelConfig) -> tuple[str, ...]:
    """Return the labels of one result as Label Studio stores them, in order.

    They stand under the result's own type, else under `labels`, else under any key of a tag with labels.
    """
    value = result.get("value")
    if not isinstance(value, Mapping):
        return ()
    others = (key for key in value if isinstance(key, str) and key.lower().endswith(LABELS_SUFFIX))
    for key in (str(result.get("type", "")).lower(), LABELS_SUFFIX, *others):
        found = [config.stored_label(name) for name in read_names(value.get(key))]
        if found:
            return tuple(dict.fromkeys(found))
    return ()


def read_id(result: Result) -> str:
    """Return the id of the region that a result belongs to, "" where it has none; 0 is one."""
    region_id = result.get("id")
    return "" if region_id is None else str(region_id)


def read_item_index(result: Result) -> int | None:
    """Return the place in a list of images that a result belongs to, 0 where it says none; None for nonsense.

    Converters also write the number as a text.
    """
    index = result.get("item_index")
    if index is None or index == "":
        return 0
    if isinstance(index, str):
        return parse_whole_number(index)
    if isinstance(index, float) and index.is_integer():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def read_size(result: Result) -> ImageSize | None:
    """Return the size of the image that a result was drawn on; None where it is not said."""
    return parse_recorded_size(result.get("original_width"), result.get("original_height"))


@dataclass(frozen=True)
class _Part:
    """One result: its type in lower case, the kind of that type, the kind that its value's fields tell."""

    result: Result
    type_: str
    kind: RegionKind | None
    value_kind: RegionKind | None

    @property
    def draws(self) -> bool:
        """Whether its value fits its type.

        Labels that stay selected while a suggestion is accepted are added as results of their own type
        around the region's value: they draw nothing.
        """
        return self.kind is not None and self.kind is self.value_kind

    @property
    def is_labelled(self) -> bool:
        """Whether a tag with labels of its own wrote it."""
        return self.kind is not None and self.type_ == self.kind.labels_tag

    def repeats(self, other: _Part) -> bool:
        """Whether it draws the mask of a plain tag's result once more."""
        kind = self.kind
        if kind is None or kind is not other.kind or not kind.joins_parts or other.is_labelled:
            return False
        return all(self.value.get(name) == other.value.get(name) for name in kind.geometry_fields)

    @property
    def is_prompt(self) -> bool:
        """Whether a smart tool took it as a prompt."""
        return self.result.get("is_positive") is not None

    @property
    def value(self) -> Result:
        value: Result = self.result["value"]
        return value

    @property
    def from_name(self) -> str:
        return str(self.result.get("from_name"))

    @property
    def said(self) -> Said:
        return Said(self.from_name, self.type_, self.result.get("value"))


@dataclass
class _ShapeParts:
    """What makes one region: the results that draw it, and those that only say more about it."""

    drawing: list[_Part]
    saying: list[_Part] = field(default_factory=list)


def _part(result: Result, config: LabelConfig) -> _Part:
    value_kind = kind_of_value(result.get("value"), config.kinds)
    type_ = result.get("type")
    if not isinstance(type_, str) or not type_:
        type_ = _type_by_tag(result, value_kind, config)
    type_ = type_.lower()
    return _Part(result, type_, kind_of_type(type_, config.kinds), value_kind)


def _type_by_tag(result: Result, value_kind: RegionKind | None, config: LabelConfig) -> str:
    """Return the type of a result that says none: by its control tag, else by its value; "" for neither."""
    name = str(result.get("from_name"))
    control = config.control(name)
    if control is not None:
        return control.result_type
    if config.controls_with_labels_of(name):
        return LABELS_SUFFIX
    other = next((tag for tag in config.others if tag.name == name), None)
    if other is not None:
        return other.tag
    answer = next((tag for tag in config.answers if tag.name == name), None)
    if answer is not None:
        return answer.kind.tag
    if any(tag.name == name for tag in config.texts):
        return TEXT_TYPE
    if value_kind is None:
        return ""
    return value_kind.labels_tag if value_kind.labels_tag in result["value"] else value_kind.name


def _to_name(part: _Part, config: LabelConfig) -> str:
    to_name = part.result.get("to_name")
    if to_name is not None:
        return str(to_name)
    control = config.control(part.from_name)
    others = config.controls_with_labels_of(part.from_name) if control is None else (control,)
    return others[0].to_name if others else ""


def _shapes_of_one_id(parts: Sequence[_Part]) -> list[_ShapeParts]:
    """Return the regions among the results of one id, in order, each with what belongs to it.

    What says more belongs to the region whose geometry it repeats, else to the one before it. Labels whose
    own shape is missing are drawn from the geometry that they repeat.
    """
    drawing = _without_repeated([part for part in parts if part.draws])
    drawing = drawing or [part for part in parts if part.type_ == LABELS_SUFFIX and part.value_kind]
    if len(drawing) == 1:
        return [_ShapeParts(drawing, [part for part in parts if part is not drawing[0]])]
    draws = {id(part) for part in drawing}
    shapes: dict[tuple[Hashable, ...], _ShapeParts] = {}
    saying: list[tuple[_Part, _ShapeParts | None]] = []
    before: _ShapeParts | None = None
    for part in parts:
        if id(part) in draws:
            before = shapes.setdefault(_shape_key(part), _ShapeParts([]))
            before.drawing.append(part)
        else:
            saying.append((part, before))
    found = list(shapes.values())
    for part, before in saying:
        if found:
            (shapes.get(_shape_key(part)) or before or found[0]).saying.append(part)
    return found


def _without_repeated(drawing: Sequence[_Part]) -> list[_Part]:
    """Return the results that draw, but for those of a plain tag whose mask another repeats with its labels.

    A tool beside a tag with labels stores both; strokes of one painted area differ.
    """
    labelled = [part for part in drawing if part.is_labelled]
    if not labelled or len(labelled) == len(drawing):
        return list(drawing)
    return [part for part in drawing if not any(other.repeats(part) for other in labelled)]


def _shape_key(part: _Part) -> tuple[Hashable, ...]:
    """Return what results of one id share that draw one region: strokes their tag, others their geometry."""
    kind = part.value_kind
    if kind is None:
        return ()
    if kind.joins_parts:
        return kind.name, "" if part.type_ == LABELS_SUFFIX else part.from_name
    return kind.name, *kind.geometry_key(part.value)


def _left_over(
    parts: Sequence[_Part], shapes: Sequence[_ShapeParts], attributes: Collection[str]
) -> Iterator[str]:
    """Yield a reason for each result of one id that should have drawn a region, or had one, and has not.

    attributes: names of control tags that ask something of regions.
    """
    drawing = {id(part) for shape in shapes for part in shape.drawing}
    kinds = {shape.drawing[0].value_kind for shape in shapes}
    is_missing = not any(part.kind is not None for part in parts)
    for part in parts:
        if id(part) in drawing:
            continue
        if part.kind is not None and part.value_kind not in kinds:
            yield "prompt" if part.is_prompt else "bad_geometry"
        elif part.type_ in OTHER_TYPES:
            yield "unsupported_shape"
        elif not part.type_:
            yield "no_kind"
        elif is_missing and part.from_name in attributes:
            yield "region_missing"


def _read_region(shape: _ShapeParts, config: LabelConfig) -> Region:
    """Return the region of some results. Raises UnusableRegion."""
    parts = [*shape.drawing, *shape.saying]
    if any(part.is_prompt for part in parts):
        raise UnusableRegion("prompt")
    first = shape.drawing[0]
    kind = first.value_kind
    assert kind is not None
    from_name, to_name, item_index = _place(first, kind, config)
    holders = [*shape.drawing, *(part for part in shape.saying if part.type_ == LABELS_SUFFIX)]
    labels = dict.fromkeys(label for part in holders for label in read_labels(part.result, config))
    control = config.control(from_name)
    if control is not None and labels and control.prompt_labels.issuperset(labels):
        raise UnusableRegion(kind.prompt_reason)
    drawn = shape.drawing if kind.joins_parts else shape.drawing[:1]  # the others repeat the first
    sizes = {read_size(part.result) for part in drawn}
    return Region(
        region_id=read_id(first.result),
        kind=kind,
        shapes=tuple(kind.read(part.value, read_size(part.result)) for part in drawn),
        labels=tuple(labels),
        from_name=from_name,
        to_name=to_name,
        item_index=item_index,
        recorded_size=sizes.pop() if len(sizes) == 1 else None,
        said=tuple(part.said for part in shape.saying if answer_kind(part.type_) is not None),
    )


def _place(part: _Part, kind: RegionKind, config: LabelConfig) -> tuple[str, str, int]:
    """Return control tag, image tag and place in a list of images. Raises UnusableRegion."""
    name = part.from_name
    control = config.control(name)
    if (
        control is None
    ):  # labels whose own shape is missing: the plain tag that they belong to would have drawn it
        control = next((tag for tag in config.controls_with_labels_of(name) if tag.kind is kind), None)
    if control is None:
        is_named = part.result.get("from_name") is not None
        raise UnusableRegion("unknown_control", (name if is_named else "no from_name",))
    to_name = part.result.get("to_name")
    if to_name is not None and to_name != control.to_name:
        raise UnusableRegion("unknown_control", (str(to_name),))
    item_index = read_item_index(part.result)
    if item_index is None:
        raise UnusableRegion("unknown_page")
    return control.name, control.to_name, item_index
