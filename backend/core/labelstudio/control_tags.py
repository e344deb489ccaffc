"""The tags of a labeling config that show an image or draw regions on one, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from backend.core.labelstudio.config_xml import WrittenLabel
from backend.core.labelstudio.left_alone import NO_LABELS, SKIPPED, why_prompts
from backend.core.labelstudio.repeater import Repeater
from backend.core.regions.kind import RegionKind


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
        return unique(label for group in self.groups for label in group.labels)

    @cached_property
    def learned_labels(self) -> tuple[str, ...]:
        """Those of its labels that are learned and predicted; unique, in order."""
        if self.is_skipped:
            return ()
        learned = (label for group in self.groups if not group.is_skipped for label in group.labels)
        return unique(label for label in learned if label not in self.prompt_labels)

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


def unique(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once, in order."""
    return tuple(dict.fromkeys(labels))
