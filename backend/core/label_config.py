"""The labeling config: which tags draw what on which image, and which labels there are.

A tag is added here, in `targets` (how its regions teach) and in `results` (how it is predicted).
Source of tag and attribute names: Label Studio 1.23 tag reference; its editor reads both without regard
to case, stores a label's `alias` instead of its `value` where there is one, and takes either when reading.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from backend.errors import LabelConfigError

MAX_CONFIG_CHARS = 1_000_000
KINDS = ("rectangle", "ellipse", "polygon", "brush", "keypoint")
LABELS_SUFFIX = "labels"


@dataclass(frozen=True)
class ImageTag:
    """An `<Image>`: task data key of its picture (`value="$image"`) or list of pictures (`valueList`).

    template: the attribute as written where it is more than one variable (`"https://host/$name"`).
    """

    name: str
    value_key: str
    is_list: bool = False
    template: str | None = None


@dataclass(frozen=True)
class ControlTag:
    """A tag that draws regions on one image.

    kind: one of KINDS. result_type: `type` of its results, "rectanglelabels", or "rectangle" when it is
    paired with the `<Labels>` named labels_tag. labels: as Label Studio stores them (alias before value).
    score_threshold: `model_score_threshold`; is_skipped: `model_skip`, no predictions in this tag.
    """

    name: str
    kind: str
    to_name: str
    labels: tuple[str, ...]
    result_type: str
    labels_tag: str | None = None
    smart: bool = True
    score_threshold: float | None = None
    is_skipped: bool = False


@dataclass(frozen=True)
class LabelConfig:
    """What a labeling config says about images.

    colors: background colour by label, as written. aliases: label values that are stored under an alias.
    """

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]
    colors: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels to learn and predict, unique, in order: those a tag other than key points and skipped ones has."""
        return _unique(
            label
            for control in self.controls
            if control.kind != "keypoint" and not control.is_skipped
            for label in control.labels
        )

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Labels of every control tag, skipped ones and key points too, unique, in order."""
        return _unique(label for control in self.controls for label in control.labels)

    def control(self, name: str) -> ControlTag | None:
        """Return the control tag of that name, or None."""
        return next((control for control in self.controls if control.name == name), None)

    def image(self, name: str) -> ImageTag | None:
        """Return the image tag of that name, or None."""
        return next((image for image in self.images if image.name == name), None)

    def controls_for_image(self, name: str) -> tuple[ControlTag, ...]:
        """Return the control tags that draw on the image tag of that name, in order."""
        return tuple(control for control in self.controls if control.to_name == name)

    def stored_label(self, label: str) -> str:
        """Return the name under which Label Studio stores a label given by value or alias."""
        return label if label in self.all_labels else self.aliases.get(label, label)


@lru_cache(maxsize=32)  # every request brings the config; a server sees few different ones
def parse_label_config(xml: str) -> LabelConfig:
    """Read a labeling config.

    Document type declarations are refused, so nothing is fetched and no entity can grow.
    Raises LabelConfigError: not XML, too long, a bad `model_score_threshold`, or no labels for an image.
    """
    root = _parse_xml(xml)
    images = tuple(_image_tags(root))
    label_sets = {
        id(element): _labels_of(element) for element in root.iter() if _tag(element).endswith(LABELS_SUFFIX)
    }
    paired = _plain_labels(root)
    controls = []
    for element in root.iter():
        control = _control_tag(element, images, label_sets, paired)
        if control is not None:
            controls.append(control)
    if not any(control.labels for control in controls):
        raise LabelConfigError(_no_labels_message(images), field="label_config")
    colors: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for labels in label_sets.values():
        for label in labels:
            if label.color:
                colors.setdefault(label.stored, label.color)
            if label.value and label.value != label.stored:
                aliases.setdefault(label.value, label.stored)
    return LabelConfig(images=images, controls=tuple(controls), colors=colors, aliases=aliases)


@dataclass(frozen=True)
class _Label:
    stored: str
    value: str
    color: str


class _NoDoctypeBuilder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise LabelConfigError(
            f"the labeling config has a document type declaration (<!DOCTYPE {name[:40]}>); remove it",
            field="label_config",
        )


def _parse_xml(xml: str) -> ElementTree.Element:
    if not isinstance(xml, str) or not xml.strip():
        raise LabelConfigError(
            "the labeling config is empty; wanted its XML, <View>...</View>", field="label_config"
        )
    if len(xml) > MAX_CONFIG_CHARS:
        raise LabelConfigError(
            f"the labeling config has {len(xml)} characters, at most {MAX_CONFIG_CHARS} are read",
            field="label_config",
        )
    parser = ElementTree.XMLParser(target=_NoDoctypeBuilder())
    try:
        parser.feed(xml.strip().lstrip("\ufeff"))
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as exc:
        raise LabelConfigError(f"the labeling config is not valid XML: {exc}", field="label_config") from exc
    return root


def _tag(element: ElementTree.Element) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {name.lower(): value for name, value in element.attrib.items()}


def _image_tags(root: ElementTree.Element) -> Iterator[ImageTag]:
    for element in root.iter():
        attributes = _attributes(element)
        name = attributes.get("name")
        if _tag(element) != "image" or not name:
            continue
        is_list = bool(attributes.get("valuelist"))
        value = (attributes.get("valuelist") or attributes.get("value") or "").strip()
        key = value.removeprefix("$")
        is_template = "$" in key or (not value.startswith("$") and not key.isidentifier())
        yield ImageTag(name=name, value_key=key, is_list=is_list, template=value if is_template else None)


def _labels_of(element: ElementTree.Element) -> tuple[_Label, ...]:
    labels: dict[str, _Label] = {}
    for child in element.iter():
        if _tag(child) != "label":
            continue
        attributes = _attributes(child)
        value = attributes.get("value", "")
        stored = attributes.get("alias") or value
        if stored:
            labels.setdefault(stored, _Label(stored, value, attributes.get("background", "")))
    return tuple(labels.values())


def _plain_labels(root: ElementTree.Element) -> dict[str, tuple[str, ElementTree.Element]]:
    """Return the first `<Labels>` of each object: to_name -> (its name, its element)."""
    found: dict[str, tuple[str, ElementTree.Element]] = {}
    for element in root.iter():
        attributes = _attributes(element)
        if _tag(element) == "labels" and attributes.get("name") and attributes.get("toname"):
            found.setdefault(attributes["toname"], (attributes["name"], element))
    return found


def _control_tag(
    element: ElementTree.Element,
    images: tuple[ImageTag, ...],
    label_sets: dict[int, tuple[_Label, ...]],
    paired: dict[str, tuple[str, ElementTree.Element]],
) -> ControlTag | None:
    tag, attributes = _tag(element), _attributes(element)
    kind = tag.removesuffix(LABELS_SUFFIX)
    name, to_name = attributes.get("name"), attributes.get("toname")
    if kind not in KINDS or not name or all(image.name != to_name for image in images):
        return None
    assert to_name is not None
    labels_tag: str | None = None
    labels: tuple[_Label, ...] = ()
    if tag.endswith(LABELS_SUFFIX):
        labels = label_sets[id(element)]
    elif to_name in paired:
        labels_tag, labels_element = paired[to_name]
        labels = label_sets[id(labels_element)]
    return ControlTag(
        name=name,
        kind=kind,
        to_name=to_name,
        labels=tuple(label.stored for label in labels),
        result_type=tag,
        labels_tag=labels_tag,
        smart=attributes.get("smart", "true").strip().lower() != "false",
        score_threshold=_score_threshold(name, attributes.get("model_score_threshold")),
        is_skipped=attributes.get("model_skip", "").strip().lower() in ("true", "1", "yes"),
    )


def _score_threshold(control_name: str, text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise LabelConfigError(
            f"model_score_threshold of {control_name!r} must be a number from 0 to 1, got {text[:40]!r}",
            field="label_config",
        )
    return threshold


def _no_labels_message(images: tuple[ImageTag, ...]) -> str:
    wanted = (
        "RectangleLabels, EllipseLabels, PolygonLabels, BrushLabels or KeyPointLabels with <Label> tags, "
        "or Rectangle, Ellipse, Polygon, Brush or KeyPoint beside a <Labels>"
    )
    if not images:
        return f"the labeling config has no <Image> with a name; this backend wants one, and {wanted}"
    names = ", ".join(image.name for image in images)
    return f"the labeling config has no labels for its image ({names}); add {wanted}, with toName set to it"


def _unique(labels: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))
