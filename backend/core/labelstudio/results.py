"""The one reader of regions in Label Studio results: trainings, label statistics and prompts share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind, Shape
from backend.core.regions.kinds import OTHER_TYPES, kind_of_type, kind_of_value
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import parse_recorded_size


@dataclass(frozen=True)
class Region:
    """One region of an annotation.

    kind: of its first shape. shapes: one, or more where results that share an id are joined. labels: as Label
    Studio stores them, in order, also those that the labeling config does not have. from_name: the control
    tag that drew it; to_name and item_index: its image. recorded_size: of the image it was drawn on; None
    where it is not said or differs.
    """

    region_id: str
    kind: RegionKind
    shapes: tuple[Shape, ...] = field(repr=False)
    labels: tuple[str, ...]
    from_name: str
    to_name: str
    item_index: int
    recorded_size: ImageSize | None

    def learned_labels(self, config: LabelConfig) -> tuple[str, ...]:
        """Return its labels that are learned. Raises UnusableRegion if there is none."""
        learned = tuple(label for label in self.labels if label in config.labels)
        if learned:
            return learned
        if not self.labels:
            raise UnusableRegion("no_label")
        is_in_config = any(label in config.all_labels for label in self.labels)
        raise UnusableRegion("not_predicted" if is_in_config else "unknown_label")


@dataclass(frozen=True)
class RegionsRead:
    """The regions of an annotation, and how many are none or unusable whatever the image, by reason."""

    regions: tuple[Region, ...]
    unusable: Counter[str]


def read_regions(results: Sequence[Any], config: LabelConfig) -> RegionsRead:
    """Return the regions in the `result` of an annotation that a kind reads and learns from.

    Results of one id, image and page are one region. Choices, relations and texts are none. Whatever cannot
    be used is left out and counted under a key of `unusable.REASONS`; it costs no other region.
    """
    regions: list[Region] = []
    objects, malformed = _group_by_object(results)
    unusable = Counter({"bad_geometry": malformed} if malformed else {})
    for group in objects:
        try:
            region = _read_region(group, config)
        except UnusableRegion as exc:
            unusable[exc.reason] += 1
            continue
        if region is not None:
            regions.append(region)
    return RegionsRead(tuple(regions), unusable)


def read_labels(result: Mapping[str, Any], config: LabelConfig) -> tuple[str, ...]:
    """Return the labels of one result as Label Studio stores them, in order.

    They stand under the result's own type, else under `labels`, else under any key of a tag with labels.
    """
    value = result.get("value")
    if not isinstance(value, Mapping):
        return ()
    others = (key for key in value if isinstance(key, str) and key.lower().endswith(LABELS_SUFFIX))
    for key in (str(result.get("type", "")).lower(), LABELS_SUFFIX, *others):
        names = value.get(key)
        if isinstance(names, list):
            found = [config.stored_label(name) for name in names if isinstance(name, str) and name]
            if found:
                return tuple(dict.fromkeys(found))
    return ()


def read_size(result: Mapping[str, Any]) -> ImageSize | None:
    """Return the size of the image that a result was drawn on; None where it is not said."""
    return parse_recorded_size(result.get("original_width"), result.get("original_height"))


def _group_by_object(results: Sequence[Any]) -> tuple[list[list[Mapping[str, Any]]], int]:
    """Sort results by object (same id, image and page; without id: alone); count what is no result."""
    objects: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    malformed = 0
    for index, result in enumerate(results):
        if not isinstance(result, Mapping):
            malformed += 1
            continue
        place = (str(result.get("to_name")), str(result.get("item_index") or 0))
        objects.setdefault((*place, str(result.get("id") or f"#{index}")), []).append(result)
    return list(objects.values()), malformed


def _read_region(results: Sequence[Mapping[str, Any]], config: LabelConfig) -> Region | None:
    """Return the region of one object's results; None for a choice, relation or text.

    Raises UnusableRegion.
    """
    if any(result.get("is_positive") is not None for result in results):
        raise UnusableRegion("prompt")
    drawn = [(result, kind) for result in results if (kind := _kind_of(result, config)) is not None]
    if not drawn:
        if any(_type_of(result) in OTHER_TYPES for result in results):
            raise UnusableRegion("unsupported_shape")
        return None
    # Labels that stay selected while a suggestion is accepted are added as results of their own type around
    # the region's value. Only a value that fits its type draws.
    fitting = [
        (result, kind) for result, kind in drawn if kind_of_value(result.get("value"), config.kinds) is kind
    ]
    learned = [(result, kind) for result, kind in fitting if kind.is_learned]
    if not learned:
        raise UnusableRegion(fitting[0][1].reason_unlearned or "bad_geometry" if fitting else "bad_geometry")
    first, kind = learned[0]
    to_name, item_index = _place(first, config)
    companions = [result for result in results if _type_of(result) == LABELS_SUFFIX]
    holders = [*(result for result, _ in learned), *companions]
    sizes = {read_size(result) for result, _ in learned}
    return Region(
        region_id=str(first.get("id") or ""),
        kind=kind,
        shapes=tuple(kind.read(result["value"], read_size(result)) for result, kind in learned),
        labels=tuple(dict.fromkeys(label for result in holders for label in read_labels(result, config))),
        from_name=str(first.get("from_name")),
        to_name=to_name,
        item_index=item_index,
        recorded_size=sizes.pop() if len(sizes) == 1 else None,
    )


def _type_of(result: Mapping[str, Any]) -> str:
    return str(result.get("type", "")).lower()


def _kind_of(result: Mapping[str, Any], config: LabelConfig) -> RegionKind | None:
    return kind_of_type(_type_of(result), config.kinds)


def _place(result: Mapping[str, Any], config: LabelConfig) -> tuple[str, int]:
    control = config.control(str(result.get("from_name")))
    if control is None or result.get("to_name", control.to_name) != control.to_name:
        raise UnusableRegion("unknown_control")
    item_index = result.get("item_index") or 0
    if not isinstance(item_index, int):
        raise UnusableRegion("unknown_page")
    return control.to_name, item_index
