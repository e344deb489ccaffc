"""The labeling config: which tags draw what on which image, and which labels there are.

Which tags draw regions is known to `core/regions`; a new kind of region is added there.
Source of tag and attribute names: Label Studio 1.23 tag reference; its editor reads both without regard
to case, stores a label's `alias` instead of its `value` where there is one, and takes either when reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from backend.core.answers.kinds import answer_kind
from backend.core.labelstudio.answer_tags import AnswerTag, answer_tag
from backend.core.labelstudio.config_xml import WrittenLabel, WrittenTag, config_error, read_tags
from backend.core.labelstudio.label_names import by_spelling, spelling
from backend.core.labelstudio.left_alone import (
    NO_LABELS,
    SKIPPED,
    LeftAlone,
    OtherTag,
    in_words,
    what_to_add,
    why_left_alone,
    why_prompts,
)
from backend.core.labelstudio.repeater import Repeater
from backend.core.labelstudio.text_tags import TextTag, is_text_of_regions
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind
from backend.core.regions.kinds import KINDS, kind_of_type

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
class LabelGroup:
    """The labels that a region takes from one tag: a control tag's own, or those of a `<Labels>` beside it.

    tag: under whose name they are written. labels: as Label Studio stores them (alias before value).
    takes_several: `choice="multiple"`, one region may have more than one. is_skipped: its own `model_skip`.
    task_key: where a task's data adds labels (`value="$objects"`, without the dollar); None for nowhere.
    task_labels: those of `labels` that come from there.
    """

    tag: str
    labels: tuple[str, ...]
    takes_several: bool = False
    is_skipped: bool = False
    task_key: str | None = None
    task_labels: tuple[str, ...] = ()

    def with_task_labels(self, by_key: Mapping[str, Iterable[WrittenLabel]]) -> LabelGroup:
        """Return the group with other labels from tasks, by where their data has them."""
        if self.task_key is None:
            return self
        fixed = tuple(label for label in self.labels if label not in self.task_labels)
        given = dict.fromkeys(label.stored for label in by_key.get(self.task_key, ()))
        added = tuple(label for label in given if label not in fixed)
        return replace(self, labels=(*fixed, *added), task_labels=added)


@dataclass(frozen=True)
class ControlTag:
    """A tag that draws regions on one image.

    result_type: `type` of its results, the tag in lower case.
    groups: its own labels, or for a plain tag those of each `<Labels>` of its image (kind and state, say).
    score_threshold: `model_score_threshold`; is_skipped: `model_skip`, no predictions in this tag.
    repeater: the one it stands in; its names then hold the index flag. repeated_from: the name with the flag,
    of a tag that stands for one item. lack: what it lacks for all its regions to be learned.
    shown_in: name of the tag of its kind in which its objects are predicted, where that is not itself.
    says_smart: `smart="true"` is written, and not only the default. prompt_labels: those with which its
    regions are nothing but prompts.
    """

    name: str
    kind: RegionKind
    to_name: str
    groups: tuple[LabelGroup, ...]
    result_type: str
    smart: bool = True
    score_threshold: float | None = None
    is_skipped: bool = False
    repeater: Repeater | None = None
    repeated_from: str | None = None
    lack: str | None = None
    shown_in: str | None = None
    says_smart: bool = False
    prompt_labels: frozenset[str] = frozenset()

    @property
    def written_tag(self) -> str:
        """The tag as it is written in labeling configs."""
        return self.kind.written_title(self.result_type) or self.kind.title

    @property
    def written_name(self) -> str:
        """The name as the labeling config has it, under which settings of the tag are kept."""
        return self.repeated_from or self.name

    @property
    def is_plain(self) -> bool:
        """Whether its labels are written as results of their own, under the names of their groups."""
        return self.result_type != self.kind.labels_tag

    @property
    def is_other_tool(self) -> bool:
        """Whether it is none of its kind's own tags, and only draws regions of that kind."""
        return self.result_type not in (self.kind.name, self.kind.labels_tag)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels that its regions may have; unique, in order."""
        return _unique(label for group in self.groups for label in group.labels)

    @cached_property
    def learned_labels(self) -> tuple[str, ...]:
        """Those of its labels that are learned and predicted; unique, in order."""
        if self.is_skipped:
            return ()
        learned = (label for group in self.groups if not group.is_skipped for label in group.labels)
        return _unique(label for label in learned if label not in self.prompt_labels)

    @property
    def has_task_labels(self) -> bool:
        """Whether more labels come from each task's data."""
        return any(group.task_key is not None and not group.is_skipped for group in self.groups)

    @property
    def is_learned(self) -> bool:
        """Whether labels of it are learned and predicted, be they known only once a task is."""
        if self.is_skipped:
            return False
        return bool(self.learned_labels) or self.has_task_labels

    @property
    def why_left_alone(self) -> str | None:
        """Why it is not learned, or not all of it; None where it is."""
        if self.is_skipped:
            return SKIPPED
        if self.prompt_labels:
            return why_prompts(self.kind, are_all=self.prompt_labels.issuperset(self.labels))
        if self.shown_in is not None:
            return None
        return self.lack if self.labels or self.has_task_labels else NO_LABELS

    @cached_property
    def takes_several(self) -> bool:
        """Whether one region may have more than one label."""
        return len(self.groups) > 1 or any(group.takes_several for group in self.groups)

    def group_of(self, label: str, others: Sequence[str] = ()) -> LabelGroup | None:
        """Return the group under which a region that has other labels takes this one; None if it cannot."""
        if label in others:
            return None
        groups = (group for group in self.groups if label in group.labels)
        free = (group for group in groups if group.takes_several or not set(others) & set(group.labels))
        return next(free, None)

    def at(self, index: int) -> ControlTag:
        """Return the tag as it stands for one item of its repeater."""
        if self.repeater is None:
            return self
        return replace(
            self,
            name=self.repeater.filled(self.name, index),
            to_name=self.repeater.filled(self.to_name, index),
            groups=tuple(replace(group, tag=self.repeater.filled(group.tag, index)) for group in self.groups),
            repeater=None,
            repeated_from=self.name,
        )


@dataclass(frozen=True)
class LabelConfig:
    """What a labeling config says about images.

    colors: background colour by label, as written. aliases: label values that are stored under an alias.
    others: control tags that are left alone. kinds: of regions that are read, whatever tags there are.
    answers: tags that ask something of whole images.
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
        """The tags of which the answers are learned and predicted, in order."""
        return tuple(tag for tag in self.answers if tag.is_learned)

    @cached_property
    def asked(self) -> dict[str, dict[str, Any]]:
        """What is asked of each head, by its name: by the name of the control tag what its kind says."""
        by_head: dict[str, dict[str, Any]] = {}
        for tag in self.learned_answers:
            by_head.setdefault(tag.kind.head, {})[tag.name] = tag.asked
        return by_head

    texts: tuple[TextTag, ...] = ()

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels to learn and predict: of every tag that is learned; unique, in order."""
        return _unique(label for control in self.controls for label in control.learned_labels)

    @cached_property
    def all_labels(self) -> tuple[str, ...]:
        """Labels of every control tag, also those that are not learned; unique, in order."""
        return _unique(label for control in self.controls for label in control.labels)

    @cached_property
    def task_keys(self) -> tuple[str, ...]:
        """Where the data of each task has labels of tags that are learned; unique, in order."""
        groups = (group for control in self.controls if control.is_learned for group in control.groups)
        return _unique(
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
            _note(label, colors, aliases)
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
        return any(
            tag.name == name
            or (tag.repeater is not None and tag.repeater.index_in(tag.name, name) is not None)
            for tag in self.answers
        )

    def is_asked_of(self, name: str) -> bool:
        """Tell whether any control tag draws on the image tag of that name, or asks something of it."""
        of_answers = any(tag.for_image(name) is not None for tag in self.learned_answers)
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
    images = {name: _image_tag(tag) for name, tag in image_tags.items()}
    labels_tags = [tag for tag in tags if tag.lower == LABELS_SUFFIX and tag.name and tag.gives_labels]
    controls: list[ControlTag] = []
    colors: dict[str, str] = {}
    aliases: dict[str, str] = {}
    others: list[WrittenTag] = []
    answers: list[AnswerTag] = []
    repeaters = {name: tag.repeater for name, tag in image_tags.items()}
    texts: list[TextTag] = []
    for tag in tags:
        answer = _answer_tag(tag, repeaters)
        if answer is not None:
            answers.append(answer)
            continue
        kind = kind_of_type(tag.lower, kinds)
        image = image_tags.get(tag.to_name)
        is_placed = tag.has_own_name and image is not None and image.repeater == tag.repeater
        if is_placed and is_text_of_regions(tag.lower, tag.attributes):
            is_skipped = _is_true(tag.attributes.get("model_skip", ""))
            texts.append(TextTag(tag.name, tag.to_name, is_skipped, tag.repeater))
            continue
        if kind is None or not is_placed:
            others.append(tag)
            continue
        is_plain = tag.lower != kind.labels_tag
        sources = [other for other in labels_tags if other.to_name == tag.to_name] if is_plain else [tag]
        for label in (label for source in sources for label in source.labels.values()):
            _note(label, colors, aliases)
        controls.append(_control_tag(tag, kind, sources))
    controls = [_shown_in_another(control, controls) for control in controls]
    config = LabelConfig(
        images=tuple(reversed(images.values())),
        controls=tuple(_with_prompt_labels(controls)),
        colors=colors,
        aliases=aliases,
        others=_other_tags(others, controls),
        kinds=kinds,
        answers=tuple(answers),
        texts=tuple(texts),
    )
    if not any(control.labels or control.has_task_labels for control in controls) and not any(
        tag.asked for tag in answers
    ):
        raise config_error(_no_labels_message(config))
    return config


def _answer_tag(tag: WrittenTag, images: Mapping[str, Repeater | None]) -> AnswerTag | None:
    kind = answer_kind(tag.lower)
    if kind is None:
        return None
    return answer_tag(
        tag, kind, images, _score_threshold(tag.name, tag.attributes.get("model_score_threshold"))
    )


def _shown_in_another(control: ControlTag, controls: Sequence[ControlTag]) -> ControlTag:
    """Return a control tag; without labels where a tag of its kind's own shows what it draws.

    Such a tool paints what the other tag paints, so predictions in both would be the same region twice.
    """
    others = (
        other
        for other in controls
        if other.kind is control.kind and other.to_name == control.to_name and other.groups
    )
    own = next((other for other in others if not other.is_other_tool), None)
    if own is None or not control.is_other_tool:
        return control
    return replace(control, groups=(), shown_in=own.name)


def _with_prompt_labels(controls: Sequence[ControlTag]) -> Iterator[ControlTag]:
    """Yield the control tags; of points in a tag that says it is smart, labels that objects have are prompts.

    Who wants a click to become an object gives both tags its label, and the tag of clicks `smart="true"`.
    Labels that nothing else draws are points to be found, and so are all in a tag that does not say so.
    """
    for control in controls:
        drawn = {
            label
            for other in controls
            if other.kind.draws_objects and other.to_name == control.to_name
            for label in other.labels
        }
        is_prompting = control.says_smart and not control.kind.draws_objects
        prompts = drawn & set(control.labels) if is_prompting else set[str]()
        yield replace(control, prompt_labels=frozenset(prompts)) if prompts else control


def _other_tags(tags: Iterable[WrittenTag], controls: Iterable[ControlTag]) -> tuple[OtherTag, ...]:
    """Return what is left alone; a `<Labels>` that names the shapes of a plain tag is not."""
    paired = {group.tag for control in controls for group in control.groups}
    return tuple(
        OtherTag(tag.name, tag.written, tag.to_name)
        for tag in tags
        if tag.name and tag.to_name and tag.name not in paired
    )


def _image_tag(tag: WrittenTag) -> ImageTag:
    is_list = bool(tag.attributes.get("valuelist"))
    value = (tag.attributes.get("valuelist") or tag.attributes.get("value") or "").strip()
    key = value.removeprefix("$")
    is_one_variable = "$" not in key and (value.startswith("$") or key.isidentifier())
    template = None if is_one_variable else value
    return ImageTag(tag.name, key, is_list, template=template, repeater=tag.repeater)


def _control_tag(tag: WrittenTag, kind: RegionKind, sources: Sequence[WrittenTag]) -> ControlTag:
    """Return a control tag; sources: where its labels stand, itself or every `<Labels>` beside a plain tag.

    What a plain tag does not say about the model, the `<Labels>` beside it may.
    """
    thresholds = (source.attributes.get("model_score_threshold") for source in (tag, *sources))
    own_skip = tag.attributes.get("model_skip")
    groups = tuple(
        LabelGroup(
            source.name,
            tuple(source.labels),
            takes_several=source.attributes.get("choice", "").strip().lower() == "multiple",
            is_skipped=own_skip is None and _is_true(source.attributes.get("model_skip", "")),
            task_key=source.task_key,
        )
        for source in sources
        if source.gives_labels
    )
    return ControlTag(
        name=tag.name,
        kind=kind,
        to_name=tag.to_name,
        groups=groups,
        result_type=tag.lower,
        smart=tag.attributes.get("smart", "true").strip().lower() != "false",
        says_smart=_is_true(tag.attributes.get("smart", "")),
        score_threshold=_score_threshold(tag.name, next((text for text in thresholds if text), None)),
        lack=kind.lack(tag.attributes),
        is_skipped=_is_true(own_skip or "") or (bool(groups) and all(group.is_skipped for group in groups)),
        repeater=tag.repeater,
    )


def _note(label: WrittenLabel, colors: dict[str, str], aliases: dict[str, str]) -> None:
    if label.color:
        colors.setdefault(label.stored, label.color)
    if label.value and label.value != label.stored:
        aliases.setdefault(label.value, label.stored)


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


def _score_threshold(control_name: str, text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise config_error(
            f"model_score_threshold of {control_name!r} must be a number from 0 to 1, got {text[:40]!r}"
        )
    return threshold


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


def _unique(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))
