"""The labeling config: which tags draw what on which image, and which labels there are.

Which tags draw regions is known to `core/regions`; a new kind of region is added there.
Source of tag and attribute names: Label Studio 1.23 tag reference; its editor reads both without regard
to case, stores a label's `alias` instead of its `value` where there is one, and takes either when reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.config_xml import WrittenLabel, WrittenTag, config_error, read_tags
from backend.core.labelstudio.control_tags import ControlTag, ImageTag, unique
from backend.core.labelstudio.label_names import by_spelling, spelling
from backend.core.labelstudio.left_alone import LeftAlone, OtherTag, in_words, what_to_add, why_left_alone
from backend.core.labelstudio.tag_reading import (
    beside_regions,
    control_tag,
    image_tag,
    is_true,
    note_label,
    other_tags,
    read_answer_tag,
    shown_in_another,
    with_prompt_labels,
)
from backend.core.labelstudio.text_tags import TextTag, is_text_of_regions
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind
from backend.core.regions.kinds import KINDS, kind_of_type

MAX_CONFIG_CHARS = 1_000_000


@dataclass(frozen=True)
class LabelConfig:
    """What a labeling config says about images.

    colors: background colour by label, as written. aliases: label values that are stored under an alias.
    others: control tags that are left alone. kinds: of regions that are read, whatever tags there are.
    answers: tags that ask something of whole images, or of their regions.
    texts: tags that take the text of each region.
    """

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]
    colors: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    others: tuple[OtherTag, ...] = ()
    kinds: tuple[RegionKind, ...] = KINDS
    answers: tuple[AnswerTag, ...] = ()

    @cached_property
    def learned_answers(self) -> tuple[AnswerTag, ...]:
        """The tags whose answers about whole images are learned and predicted, in order."""
        return tuple(tag for tag in self.answers if tag.is_learned and not tag.is_of_regions)

    @cached_property
    def learned_attributes(self) -> tuple[AnswerTag, ...]:
        """The tags whose answers about regions are learned and predicted, in order."""
        return tuple(tag for tag in self.answers if tag.is_learned and tag.is_of_regions)

    @cached_property
    def asked(self) -> dict[str, dict[str, Any]]:
        """What is asked of each head, by its name: by the name of the control tag what its kind says."""
        by_head: dict[str, dict[str, Any]] = {}
        for tag in (*self.learned_answers, *self.learned_attributes):
            by_head.setdefault(tag.head, {})[tag.name] = tag.asked
        return by_head

    texts: tuple[TextTag, ...] = ()

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels to learn and predict: of every tag that is learned; unique, in order."""
        return unique(label for control in self.controls for label in control.learned_labels)

    @cached_property
    def all_labels(self) -> tuple[str, ...]:
        """Labels of every control tag, also those that are not learned; unique, in order."""
        return unique(label for control in self.controls for label in control.labels)

    @cached_property
    def task_keys(self) -> tuple[str, ...]:
        """Where the data of each task has labels of tags that are learned; unique, in order."""
        groups = (group for control in self.controls if control.is_learned for group in control.groups)
        return unique(
            group.task_key for group in groups if group.task_key is not None and not group.is_skipped
        )

    @cached_property
    def left_alone(self) -> tuple[LeftAlone, ...]:
        """Tags that are not learned, or not all of them, and why."""
        images = [image.name for image in self.images]
        controls = [(control, control.why_left_alone) for control in self.controls]
        own = [LeftAlone(tag.name, tag.written_tag, why, draws=True) for tag, why in controls if why]
        others = [
            LeftAlone(tag.name, tag.tag, why_left_alone(tag, images, self.kinds), tag.draws)
            for tag in self.others
        ]
        answers = [alone for alone in (tag.left_alone() for tag in self.answers) if alone is not None]
        return (*own, *answers, *others)

    @property
    def why_nothing_is_learned(self) -> str | None:
        """Why nothing can be learned, and what to add; None where there is a label or an answer to learn."""
        if self.learned_answers or any(control.is_learned for control in self.controls):
            return None
        why = in_words(self.left_alone, only_drawing=False)
        return f"nothing can be learned from this labeling config: {why}. Add {what_to_add(self.kinds)}"

    def with_task_labels(self, by_key: Mapping[str, Sequence[WrittenLabel]]) -> LabelConfig:
        """Return the config with the labels that tasks add, by where their data has them.

        Those that it had from tasks before are gone; their colours and aliases stay.
        """
        colors, aliases = dict(self.colors), dict(self.aliases)
        for label in (label for labels in by_key.values() for label in labels):
            note_label(label, colors, aliases)
        controls = tuple(
            replace(control, groups=tuple(group.with_task_labels(by_key) for group in control.groups))
            for control in self.controls
        )
        return replace(self, controls=controls, colors=colors, aliases=aliases)

    def control(self, name: str) -> ControlTag | None:
        """Return the control tag of that name, or None; one of a repeater by the name of any item's."""
        for control in self.controls:
            if control.name == name:
                return control
            index = None if control.repeater is None else control.repeater.index_in(control.name, name)
            if index is not None:
                return control.at(index)
        return None

    @property
    def control_names(self) -> list[str]:
        """The names of the control tags that are known here, as they are written."""
        return [*(tag.written_name for tag in self.controls), *(tag.written_name for tag in self.answers)]

    def has_control(self, name: str) -> bool:
        """Tell whether any control tag has that name, learned or left alone."""
        if self.control(name) is not None or any(tag.name == name for tag in self.others):
            return True
        return any(tag.is_named(name) for tag in self.answers)

    def is_asked_of(self, name: str) -> bool:
        """Tell whether any control tag draws on the image tag of that name, or asks something of it.

        An image tag of a repeater is known by its name as it is written, and by that of any item.
        """
        of_answers = any(
            name in tag.to_names or tag.for_image(name) is not None for tag in self.learned_answers
        )
        return of_answers or bool(self.controls_for_image(name))

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

    def attributes_for_image(self, name: str) -> tuple[AnswerTag, ...]:
        """Return the learned tags that ask something of regions on the image tag of that name, in order."""
        tags = (tag.for_image(name) for tag in self.learned_attributes)
        return tuple(tag for tag in tags if tag is not None)

    def texts_for_image(self, name: str) -> tuple[TextTag, ...]:
        """Return those that take the text of regions on the image tag of that name and are not skipped."""
        tags = (tag.for_image(name) for tag in self.texts if not tag.is_skipped)
        return tuple(tag for tag in tags if tag is not None)

    @property
    def wants_text(self) -> bool:
        """Whether the text of any region is to be read."""
        return any(not tag.is_skipped for tag in self.texts)

    def controls_with_labels_of(self, name: str) -> tuple[ControlTag, ...]:
        """Return the control tags whose regions have labels written under a tag of that name, in order."""
        found: list[ControlTag] = []
        for control in self.controls:
            repeater = control.repeater
            tags = [group.tag for group in control.groups]
            indices = [] if repeater is None else [repeater.index_in(tag, name) for tag in tags]
            index = next((index for index in indices if index is not None), None)
            if index is not None or name in tags:
                found.append(control if index is None else control.at(index))
        return tuple(found)

    def stored_label(self, label: str) -> str:
        """Return the name under which Label Studio stores a label given by value or alias.

        Where only one differs in nothing but its spelling, it is meant; what nothing fits stays as it is.
        """
        if label in self.all_labels:
            return label
        return self.aliases.get(label) or self._by_spelling.get(spelling(label), label)

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        return by_spelling([*((label, label) for label in self.all_labels), *self.aliases.items()])


def parse_label_config(xml: str, kinds: tuple[RegionKind, ...] = KINDS) -> LabelConfig:
    """Read a labeling config.

    A plain tag is paired with every `<Labels>` of the same image. Labels that come from the data of tasks are
    not known here; `task_labels` adds them. Document type declarations are refused: nothing is fetched, no
    entity grows.
    Raises LabelConfigError: not XML, too long, a bad `model_score_threshold`, or nothing asked of an image:
    neither labels nor an answer about the whole.
    """
    if not isinstance(xml, str) or not xml.strip():
        raise config_error("the labeling config is empty; wanted its XML, <View>...</View>")
    if len(xml) > MAX_CONFIG_CHARS:
        raise config_error(
            f"the labeling config has {len(xml)} characters, at most {MAX_CONFIG_CHARS} are read"
        )
    return _parse_cached(xml, kinds)


@lru_cache(maxsize=32)  # every request brings the config, and a server sees few different ones
def _parse_cached(xml: str, kinds: tuple[RegionKind, ...]) -> LabelConfig:
    tags = read_tags(xml, kinds)
    image_tags = {tag.name: tag for tag in reversed(tags) if tag.lower == "image" and tag.has_own_name}
    images = {name: image_tag(tag) for name, tag in image_tags.items()}
    labels_tags = [tag for tag in tags if tag.lower == LABELS_SUFFIX and tag.name and tag.gives_labels]
    controls: list[ControlTag] = []
    colors: dict[str, str] = {}
    aliases: dict[str, str] = {}
    others: list[WrittenTag] = []
    answers: list[AnswerTag] = []
    repeaters = {name: tag.repeater for name, tag in image_tags.items()}
    texts: list[TextTag] = []
    for tag in tags:
        answer = read_answer_tag(tag, repeaters)
        if answer is not None:
            answers.append(answer)
            continue
        kind = kind_of_type(tag.lower, kinds)
        image = image_tags.get(tag.to_name)
        is_placed = tag.has_own_name and image is not None and image.repeater == tag.repeater
        if is_placed and is_text_of_regions(tag.lower, tag.attributes):
            is_skipped = is_true(tag.attributes.get("model_skip", ""))
            texts.append(TextTag(tag.name, tag.to_name, is_skipped, tag.repeater))
            continue
        if kind is None or not is_placed:
            others.append(tag)
            continue
        is_plain = tag.lower != kind.labels_tag
        sources = [other for other in labels_tags if other.to_name == tag.to_name] if is_plain else [tag]
        for label in (label for source in sources for label in source.labels.values()):
            note_label(label, colors, aliases)
        controls.append(control_tag(tag, kind, sources))
    controls = [shown_in_another(control, controls) for control in controls]
    config = LabelConfig(
        images=tuple(reversed(images.values())),
        controls=tuple(with_prompt_labels(controls)),
        colors=colors,
        aliases=aliases,
        others=other_tags(others, controls),
        kinds=kinds,
        answers=tuple(beside_regions(tag, controls) for tag in answers),
        texts=tuple(texts),
    )
    if not any(control.labels or control.has_task_labels for control in controls) and not any(
        tag.asked for tag in answers
    ):
        raise config_error(_no_labels_message(config))
    return config


def _no_labels_message(config: LabelConfig) -> str:
    names = ", ".join(image.name for image in config.images)
    wanted = what_to_add(config.kinds)
    said = in_words(config.left_alone, only_drawing=False)
    why = f" ({said})" if said else ""
    if not names:
        return f"the labeling config has no <Image> with a name; this backend wants one, and {wanted}{why}"
    message = (
        f"the labeling config has no labels for its image ({names}); add {wanted}, with toName set to it"
    )
    return message + why
