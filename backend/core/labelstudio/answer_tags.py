"""Control tags whose answer is about whole images, or about each of their regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from backend.core.answers.kind import AnswerKind, Json, NotAsked, WrittenControl
from backend.core.labelstudio.config_xml import WrittenTag
from backend.core.labelstudio.left_alone import SKIPPED, LeftAlone
from backend.core.labelstudio.repeater import Repeater


@dataclass(frozen=True)
class AnswerTag:
    """A tag that asks something of whole images, or of each region in one.

    written_tag: as it stands, such as `Choices`. to_names: the image tags that one answer is about together.
    is_of_regions: `perRegion`. only_labels, only_tags: it is about regions with one of these labels, or drawn
    by one of these control tags; empty for all.
    asked: what its head is told of it; None where it is not learned, and why_not says why.
    is_per_item: `perItem`, each picture of a list has an answer of its own. score_threshold:
    `model_score_threshold`; is_skipped: `model_skip`. repeater, repeated_from: as of a `ControlTag`.
    """

    name: str
    kind: AnswerKind
    written_tag: str
    to_names: tuple[str, ...]
    asked: Json | None
    why_not: str | None = None
    is_per_item: bool = False
    score_threshold: float | None = None
    is_skipped: bool = False
    repeater: Repeater | None = None
    repeated_from: str | None = None
    is_of_regions: bool = False
    only_labels: frozenset[str] = frozenset()
    only_tags: frozenset[str] = frozenset()

    @property
    def head(self) -> str:
        """The name of the head that learns it."""
        return self.kind.region_head if self.is_of_regions else self.kind.head

    def is_about_region(self, labels: Iterable[str], tag_names: Iterable[str]) -> bool:
        """Tell whether it is about a region with these labels, that control tags of these names wrote."""
        has_label = not self.only_labels or not self.only_labels.isdisjoint(labels)
        return has_label and (not self.only_tags or not self.only_tags.isdisjoint(tag_names))

    @property
    def written_name(self) -> str:
        """The name as the labeling config has it, under which it is learned and its settings are kept."""
        return self.repeated_from or self.name

    @property
    def is_learned(self) -> bool:
        """Whether it is learned and predicted."""
        return self.asked is not None and not self.is_skipped

    @property
    def why_left_alone(self) -> str | None:
        """Why it is not learned; None where it is."""
        return SKIPPED if self.is_skipped else self.why_not

    def left_alone(self) -> LeftAlone | None:
        """Return why it is not learned, None where it is."""
        why = self.why_left_alone
        return None if why is None else LeftAlone(self.name, self.written_tag, why, draws=False)

    def at(self, index: int) -> AnswerTag:
        """Return the tag as it stands for one item of its repeater."""
        if self.repeater is None:
            return self
        return replace(
            self,
            name=self.repeater.filled(self.name, index),
            to_names=tuple(self.repeater.filled(name, index) for name in self.to_names),
            repeater=None,
            repeated_from=self.name,
        )

    def for_image(self, name: str) -> AnswerTag | None:
        """Return the tag as it stands for an image tag of that name; None where it is about others."""
        if self.repeater is None:
            return self if name in self.to_names else None
        indices = (self.repeater.index_in(to_name, name) for to_name in self.to_names)
        index = next((index for index in indices if index is not None), None)
        return None if index is None else self.at(index)

    def is_named(self, name: str) -> bool:
        """Tell whether it has that name, or has it for one item of its repeater."""
        return self.name == name or (
            self.repeater is not None and self.repeater.index_in(self.name, name) is not None
        )

    def is_about(self, to_name: Json) -> bool:
        """Tell whether the `to_name` of a result names its images: one of them, or all as they are written.

        Results that converters write may name none.
        """
        return to_name is None or to_name in self.to_names or to_name == ",".join(self.to_names)


def answer_tag(
    tag: WrittenTag,
    kind: AnswerKind,
    images: Mapping[str, Repeater | None],
    score_threshold: float | None,
) -> AnswerTag | None:
    """Return the tag of a labeling config; images: the names of its `<Image>` tags, and their repeaters.

    None where it is about something else than images.
    """
    to_names = tuple(dict.fromkeys(name.strip() for name in tag.to_name.split(",") if name.strip()))
    if not to_names or not tag.has_own_name:
        return None
    if any(name not in images or images[name] != tag.repeater for name in to_names):
        return None
    asked, why_not = None, None
    written = WrittenControl(tag.attributes, tag.options)
    try:
        asked = kind.asked(written)
    except NotAsked as exc:
        why_not = str(exc)
    return AnswerTag(
        name=tag.name,
        kind=kind,
        written_tag=tag.written,
        to_names=to_names,
        asked=asked,
        why_not=why_not,
        is_per_item=written.is_true("peritem"),
        score_threshold=score_threshold,
        is_skipped=written.is_true("model_skip"),
        repeater=tag.repeater,
        is_of_regions=written.is_of_regions,
        only_labels=_names(tag, "whenlabelvalue"),
        only_tags=_names(tag, "whentagname"),
    )


def _names(tag: WrittenTag, attribute: str) -> frozenset[str]:
    """Return the names in an attribute: as it stands, and between its commas."""
    text = tag.attributes.get(attribute, "").strip()
    return frozenset(name for name in (text, *(part.strip() for part in text.split(","))) if name)
