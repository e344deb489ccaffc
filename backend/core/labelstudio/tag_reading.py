"""From the elements of a labeling config to its tags: what an image shows, what draws, what is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backend.core.answers.kinds import answer_kind
from backend.core.labelstudio.answer_tags import AnswerTag, answer_tag
from backend.core.labelstudio.config_xml import WrittenLabel, WrittenTag, config_error
from backend.core.labelstudio.control_tags import ControlTag, ImageTag, LabelGroup
from backend.core.labelstudio.left_alone import NO_REGIONS, OtherTag
from backend.core.labelstudio.repeater import Repeater
from backend.core.labelstudio.text_tags import is_text_of_regions
from backend.core.regions.kind import RegionKind


def read_answer_tag(tag: WrittenTag, images: Mapping[str, Repeater | None]) -> AnswerTag | None:
    """Return the tag that asks something of images; None for another. Raises LabelConfigError.

    images: the names of the `<Image>` tags, and their repeaters.
    """
    kind = answer_kind(tag.lower)
    if kind is None:
        return None
    return answer_tag(
        tag, kind, images, _score_threshold(tag.name, tag.attributes.get("model_score_threshold"))
    )


def beside_regions(tag: AnswerTag, controls: Sequence[ControlTag]) -> AnswerTag:
    """Return a tag; one about regions is not learned where no tag draws objects that are."""
    drawn_on = {control.to_name for control in controls if control.is_learned and control.kind.draws_objects}
    if tag.asked is None or not tag.is_of_regions or not drawn_on.isdisjoint(tag.to_names):
        return tag
    return replace(tag, asked=None, why_not=NO_REGIONS)


def shown_in_another(control: ControlTag, controls: Sequence[ControlTag]) -> ControlTag:
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


def with_prompt_labels(controls: Sequence[ControlTag]) -> Iterator[ControlTag]:
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


def other_tags(tags: Iterable[WrittenTag], controls: Iterable[ControlTag]) -> tuple[OtherTag, ...]:
    """Return what is left alone; a `<Labels>` that names the shapes of a plain tag is not."""
    paired = {group.tag for control in controls for group in control.groups}
    return tuple(
        OtherTag(tag.name, tag.written, tag.to_name, is_text_of_regions(tag.lower, tag.attributes))
        for tag in tags
        if tag.name and tag.to_name and tag.name not in paired
    )


def image_tag(tag: WrittenTag) -> ImageTag:
    """Return the tag that shows an image or a list of them."""
    is_list = bool(tag.attributes.get("valuelist"))
    value = (tag.attributes.get("valuelist") or tag.attributes.get("value") or "").strip()
    key = value.removeprefix("$")
    is_one_variable = "$" not in key and (value.startswith("$") or key.isidentifier())
    template = None if is_one_variable else value
    return ImageTag(tag.name, key, is_list, template=template, repeater=tag.repeater)


def control_tag(tag: WrittenTag, kind: RegionKind, sources: Sequence[WrittenTag]) -> ControlTag:
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
            is_skipped=own_skip is None and is_true(source.attributes.get("model_skip", "")),
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
        says_smart=is_true(tag.attributes.get("smart", "")),
        score_threshold=_score_threshold(tag.name, next((text for text in thresholds if text), None)),
        lack=kind.lack(tag.attributes),
        is_skipped=is_true(own_skip or "") or (bool(groups) and all(group.is_skipped for group in groups)),
        repeater=tag.repeater,
    )


def note_label(label: WrittenLabel, colors: dict[str, str], aliases: dict[str, str]) -> None:
    """Note the colour of a label, and the value that it is written with where it is stored otherwise."""
    if label.color:
        colors.setdefault(label.stored, label.color)
    if label.value and label.value != label.stored:
        aliases.setdefault(label.value, label.stored)


def is_true(text: str) -> bool:
    """Tell whether an attribute says yes."""
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
