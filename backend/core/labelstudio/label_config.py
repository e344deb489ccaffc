"""The labeling config: which tags draw what on which image, and which labels there are.

Which tags draw regions is known to `core/regions`; a new kind of region is added there.
Source of tag and attribute names: Label Studio 1.23 tag reference; its editor reads both without regard
to case, stores a label's `alias` instead of its `value` where there is one, and takes either when reading.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from backend.core.labelstudio.repeater import Repeater
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind
from backend.core.regions.kinds import KINDS, kind_of_type
from backend.errors import LabelConfigError

MAX_CONFIG_CHARS = 1_000_000


@dataclass(frozen=True)
class ImageTag:
    """An `<Image>`: task data key of its picture (`value="$image"`) or list of pictures (`valueList`).

    template: the attribute as written where it is more than one variable (`"https://host/$name"`). repeater:
    the one it stands in; all texts then hold its index flag.
    """

    name: str
    value_key: str
    is_list: bool = False
    template: str | None = None
    repeater: Repeater | None = None

    def at(self, index: int) -> ImageTag:
        """Return the tag as it stands for one item of its repeater."""
        if self.repeater is None:
            return self
        name, value_key = (self.repeater.filled(text, index) for text in (self.name, self.value_key))
        template = None if self.template is None else self.repeater.filled(self.template, index)
        return replace(self, name=name, value_key=value_key, template=template, repeater=None)


@dataclass(frozen=True)
class ControlTag:
    """A tag that draws regions on one image.

    result_type: `type` of its results, that of the kind's labels tag, or that of its plain tag when it is
    paired with the `<Labels>` named labels_tag. labels: as Label Studio stores them (alias before value).
    score_threshold: `model_score_threshold`; is_skipped: `model_skip`, no predictions in this tag.
    repeater: the one it stands in; its names then hold the index flag. repeated_from: the name with the flag,
    of a tag that stands for one item.
    """

    name: str
    kind: RegionKind
    to_name: str
    labels: tuple[str, ...]
    result_type: str
    labels_tag: str | None = None
    smart: bool = True
    score_threshold: float | None = None
    is_skipped: bool = False
    repeater: Repeater | None = None
    repeated_from: str | None = None

    @property
    def written_name(self) -> str:
        """The name as the labeling config has it, under which settings of the tag are kept."""
        return self.repeated_from or self.name

    @property
    def is_learned(self) -> bool:
        """Whether regions of its labels are learned and predicted."""
        return self.kind.is_learned and not self.is_skipped

    def at(self, index: int) -> ControlTag:
        """Return the tag as it stands for one item of its repeater."""
        if self.repeater is None:
            return self
        return replace(
            self,
            name=self.repeater.filled(self.name, index),
            to_name=self.repeater.filled(self.to_name, index),
            labels_tag=None if self.labels_tag is None else self.repeater.filled(self.labels_tag, index),
            repeater=None,
            repeated_from=self.name,
        )


@dataclass(frozen=True)
class OtherTag:
    """A control tag that this backend neither learns nor predicts; tag: as written, such as `Choices`."""

    name: str
    tag: str
    to_name: str


@dataclass(frozen=True)
class LabelConfig:
    """What a labeling config says about images.

    colors: background colour by label, as written. aliases: label values that are stored under an alias.
    others: control tags that are left alone. kinds: of regions that are read, whatever tags there are.
    """

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]
    colors: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    others: tuple[OtherTag, ...] = ()
    kinds: tuple[RegionKind, ...] = KINDS

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels to learn and predict: of every tag that is learned; unique, in order."""
        return _unique(label for control in self.controls if control.is_learned for label in control.labels)

    @cached_property
    def all_labels(self) -> tuple[str, ...]:
        """Labels of every control tag, also those that are not learned; unique, in order."""
        return _unique(label for control in self.controls for label in control.labels)

    def control(self, name: str) -> ControlTag | None:
        """Return the control tag of that name, or None; one of a repeater by the name of any item's."""
        for control in self.controls:
            if control.name == name:
                return control
            index = None if control.repeater is None else control.repeater.index_in(control.name, name)
            if index is not None:
                return control.at(index)
        return None

    def image(self, name: str) -> ImageTag | None:
        """Return the image tag of that name, or None; one of a repeater by the name of any item's."""
        for image in self.images:
            if image.name == name:
                return image
            index = None if image.repeater is None else image.repeater.index_in(image.name, name)
            if index is not None:
                return image.at(index)
        return None

    def controls_for_image(self, name: str) -> tuple[ControlTag, ...]:
        """Return the control tags that draw on the image tag of that name, in order."""
        found: list[ControlTag] = []
        for control in self.controls:
            repeater = control.repeater
            index = None if repeater is None else repeater.index_in(control.to_name, name)
            if index is not None:
                found.append(control.at(index))
            elif control.to_name == name:
                found.append(control)
        return tuple(found)

    def stored_label(self, label: str) -> str:
        """Return the name under which Label Studio stores a label given by value or alias."""
        return label if label in self.all_labels else self.aliases.get(label, label)


def parse_label_config(xml: str, kinds: tuple[RegionKind, ...] = KINDS) -> LabelConfig:
    """Read a labeling config.

    A plain tag (`<Rectangle>`) is paired with the first `<Labels>` of the same image. Labels that come from
    the task's data are not known here. Document type declarations are refused: nothing is fetched, no entity
    grows.
    Raises LabelConfigError: not XML, too long, a bad `model_score_threshold`, or no labels for an image.
    """
    if not isinstance(xml, str) or not xml.strip():
        raise _error("the labeling config is empty; wanted its XML, <View>...</View>")
    if len(xml) > MAX_CONFIG_CHARS:
        raise _error(f"the labeling config has {len(xml)} characters, at most {MAX_CONFIG_CHARS} are read")
    return _parse_cached(xml, kinds)


@lru_cache(maxsize=32)  # every request brings the config, and a server sees few different ones
def _parse_cached(xml: str, kinds: tuple[RegionKind, ...]) -> LabelConfig:
    tags = _read_tags(xml, kinds)
    image_tags = {tag.name: tag for tag in reversed(tags) if tag.lower == "image" and tag.has_own_name}
    images = {name: _image_tag(tag) for name, tag in image_tags.items()}
    plain_labels = {tag.to_name: tag for tag in reversed(tags) if tag.lower == LABELS_SUFFIX and tag.name}
    controls: list[ControlTag] = []
    colors: dict[str, str] = {}
    aliases: dict[str, str] = {}
    others: list[_Tag] = []
    for tag in tags:
        kind = kind_of_type(tag.lower, kinds)
        image = image_tags.get(tag.to_name)
        if kind is None or not tag.has_own_name or image is None or image.repeater != tag.repeater:
            others.append(tag)
            continue
        labels_tag = tag if tag.lower == kind.labels_tag else plain_labels.get(tag.to_name)
        labels = labels_tag.labels if labels_tag else {}
        for label in labels.values():
            if label.color:
                colors.setdefault(label.stored, label.color)
            if label.value and label.value != label.stored:
                aliases.setdefault(label.value, label.stored)
        controls.append(_control_tag(tag, kind, tuple(labels), labels_tag))
    if not any(control.labels for control in controls):
        raise _error(_no_labels_message(images, kinds))
    return LabelConfig(
        images=tuple(reversed(images.values())),
        controls=tuple(controls),
        colors=colors,
        aliases=aliases,
        others=_other_tags(others, controls),
        kinds=kinds,
    )


def _other_tags(tags: Iterable[_Tag], controls: Iterable[ControlTag]) -> tuple[OtherTag, ...]:
    """Return what is left alone; a `<Labels>` that names the shapes of a plain tag is not."""
    paired = {control.labels_tag for control in controls}
    return tuple(
        OtherTag(tag.name, tag.written, tag.to_name)
        for tag in tags
        if tag.name and tag.to_name and tag.name not in paired
    )


@dataclass(frozen=True)
class _Label:
    stored: str
    value: str
    color: str


@dataclass(frozen=True)
class _Tag:
    """An element with a part to play.

    lower: its tag in lower case; written: as it stands. labels: those below it, by stored name. repeater: the
    innermost that it stands in; is_nested: whether there is another around that.
    """

    lower: str
    written: str
    attributes: dict[str, str]
    labels: dict[str, _Label]
    repeater: Repeater | None = None
    is_nested: bool = False

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    @property
    def to_name(self) -> str:
        return self.attributes.get("toname", "")

    @property
    def has_own_name(self) -> bool:
        """Whether the tag has a name, and one for each item of its repeater; never in one inside another."""
        if self.repeater is None:
            return bool(self.name)
        return self.repeater.index_flag in self.name and not self.is_nested


class _NoDoctypeBuilder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _error(
            f"the labeling config has a document type declaration (<!DOCTYPE {name[:40]}>); remove it"
        )


def _read_tags(xml: str, kinds: Sequence[RegionKind]) -> list[_Tag]:
    """Return images, control tags and `<Labels>` in document order; one pass, however they are nested."""
    tags: list[_Tag] = []
    waiting: list[tuple[ElementTree.Element, _Tag | None, tuple[Repeater, ...]]] = [
        (_parse_xml(xml), None, ())
    ]
    while waiting:
        element, owner, repeaters = waiting.pop()
        lower = element.tag.lower() if isinstance(element.tag, str) else ""
        attributes = {name.lower(): value for name, value in element.attrib.items()}
        if lower == "repeater":
            repeaters = (*repeaters, Repeater.of(attributes))
        elif lower == "label" and owner is not None:
            value = attributes.get("value", "")
            label = _Label(attributes.get("alias") or value, value, attributes.get("background", ""))
            if label.stored:
                owner.labels.setdefault(label.stored, label)
        elif (
            lower == "image" or lower.endswith(LABELS_SUFFIX) or kind_of_type(lower, kinds)
        ) or "toname" in attributes:
            repeater = repeaters[-1] if repeaters else None
            tag = _Tag(lower, str(element.tag), attributes, {}, repeater, is_nested=len(repeaters) > 1)
            tags.append(tag)
            owner = tag if lower.endswith(LABELS_SUFFIX) else owner
        waiting.extend((child, owner, repeaters) for child in reversed(element))
    return tags


def _parse_xml(xml: str) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctypeBuilder())
    try:
        parser.feed(xml.strip().lstrip("\ufeff"))
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as exc:
        raise _error(f"the labeling config is not valid XML: {exc}") from exc
    return root


def _image_tag(tag: _Tag) -> ImageTag:
    is_list = bool(tag.attributes.get("valuelist"))
    value = (tag.attributes.get("valuelist") or tag.attributes.get("value") or "").strip()
    key = value.removeprefix("$")
    is_one_variable = "$" not in key and (value.startswith("$") or key.isidentifier())
    template = None if is_one_variable else value
    return ImageTag(tag.name, key, is_list, template=template, repeater=tag.repeater)


def _control_tag(tag: _Tag, kind: RegionKind, labels: tuple[str, ...], labels_tag: _Tag | None) -> ControlTag:
    # What a plain tag does not say about the model, the `<Labels>` beside it may.
    settings = {**(labels_tag.attributes if labels_tag else {}), **tag.attributes}
    return ControlTag(
        name=tag.name,
        kind=kind,
        to_name=tag.to_name,
        labels=labels,
        result_type=tag.lower,
        labels_tag=None if labels_tag is None or labels_tag is tag else labels_tag.name,
        smart=tag.attributes.get("smart", "true").strip().lower() != "false",
        score_threshold=_score_threshold(tag.name, settings.get("model_score_threshold")),
        is_skipped=settings.get("model_skip", "").strip().lower() in ("true", "1", "yes"),
        repeater=tag.repeater,
    )


def _score_threshold(control_name: str, text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise _error(
            f"model_score_threshold of {control_name!r} must be a number from 0 to 1, got {text[:40]!r}"
        )
    return threshold


def _no_labels_message(images: Iterable[str], kinds: Sequence[RegionKind]) -> str:
    wanted = (
        f"{_any_of(kind.labels_title for kind in kinds)} with <Label> tags, "
        f"or {_any_of(kind.title for kind in kinds)} beside a <Labels>"
    )
    names = ", ".join(images)
    if not names:
        return f"the labeling config has no <Image> with a name; this backend wants one, and {wanted}"
    return f"the labeling config has no labels for its image ({names}); add {wanted}, with toName set to it"


def _any_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _error(message: str) -> LabelConfigError:
    return LabelConfigError(message, field="label_config")


def _unique(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))
