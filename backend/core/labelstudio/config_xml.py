"""The elements of a labeling config that have a part to play, read from its XML.

Label Studio's editor reads tags and attributes without regard to case.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend.core.answers.kinds import answer_kind
from backend.core.labelstudio.repeater import Repeater
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind
from backend.core.regions.kinds import kind_of_type
from backend.errors import LabelConfigError

MOST_OPTION_LEVELS = 16


@dataclass(frozen=True)
class WrittenLabel:
    """A `<Label>`: the name under which Label Studio stores it, its value, its background colour or ""."""

    stored: str
    value: str
    color: str


@dataclass(frozen=True)
class WrittenTag:
    """An element with a part to play.

    lower: its tag in lower case; written: as it stands. labels: those below it, by stored name. repeater: the
    innermost that it stands in; is_nested: whether there is another around that. options: the `<Choice>`
    elements below a tag whose answer is about whole images, each as the stored names on the way to it.
    """

    lower: str
    written: str
    attributes: dict[str, str]
    labels: dict[str, WrittenLabel]
    repeater: Repeater | None = None
    is_nested: bool = False
    options: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        """Its `name`, or ""."""
        return self.attributes.get("name", "")

    @property
    def to_name(self) -> str:
        """Its `toName`, or ""."""
        return self.attributes.get("toname", "")

    @property
    def task_key(self) -> str | None:
        """Where a task's data has labels for it (`value="$objects"`), without the dollar; or None."""
        value = self.attributes.get("value", "").strip()
        return (value.removeprefix("$") or None) if value.startswith("$") else None

    @property
    def gives_labels(self) -> bool:
        """Whether there are labels below it, or in the data of tasks."""
        return bool(self.labels) or self.task_key is not None

    @property
    def has_own_name(self) -> bool:
        """Whether the tag has a name, and one for each item of its repeater; never in one inside another."""
        if self.repeater is None:
            return bool(self.name)
        return self.repeater.index_flag in self.name and not self.is_nested


class _NoDoctypeBuilder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise config_error(
            f"the labeling config has a document type declaration (<!DOCTYPE {name[:40]}>); remove it"
        )


def read_tags(xml: str, kinds: Sequence[RegionKind]) -> list[WrittenTag]:
    """Return images, control tags and `<Labels>` in document order; one pass, however they are nested.

    Raises LabelConfigError: not XML, or with a document type declaration.
    """
    tags: list[WrittenTag] = []
    waiting: list[tuple[ElementTree.Element, WrittenTag | None, tuple[Repeater, ...]]] = [
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
            label = WrittenLabel(attributes.get("alias") or value, value, attributes.get("background", ""))
            if label.stored:
                owner.labels.setdefault(label.stored, label)
        elif (
            lower == "image" or lower.endswith(LABELS_SUFFIX) or kind_of_type(lower, kinds)
        ) or "toname" in attributes:
            repeater = repeaters[-1] if repeaters else None
            tag = WrittenTag(lower, str(element.tag), attributes, {}, repeater, is_nested=len(repeaters) > 1)
            if answer_kind(lower) is not None:
                tag = replace(tag, options=_options_below(element))
            tags.append(tag)
            owner = tag if lower.endswith(LABELS_SUFFIX) else owner
        waiting.extend((child, owner, repeaters) for child in reversed(element))
    return tags


def _options_below(element: ElementTree.Element) -> tuple[tuple[str, ...], ...]:
    """Return the `<Choice>` elements below one, parents before children; of equal ones the first."""
    found: dict[tuple[str, ...], None] = {}
    waiting: list[tuple[ElementTree.Element, tuple[str, ...]]] = [(element, ())]
    while waiting:
        at, way = waiting.pop()
        if isinstance(at.tag, str) and at.tag.lower() == "choice":
            attributes = {name.lower(): value for name, value in at.attrib.items()}
            way = (*way, attributes.get("alias") or attributes.get("value", ""))
            if not way[-1] or len(way) > MOST_OPTION_LEVELS:
                continue
            found.setdefault(way)
        waiting.extend((child, way) for child in reversed(at))
    return tuple(found)


def _parse_xml(xml: str) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctypeBuilder())
    try:
        parser.feed(xml.strip().lstrip("\ufeff"))
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as exc:
        raise config_error(f"the labeling config is not valid XML: {exc}") from exc
    return root


def config_error(message: str) -> LabelConfigError:
    """Return the error for a labeling config."""
    return LabelConfigError(message, field="label_config")
