"""Whether every control tag and every label of a labeling config is predicted, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.left_alone import SKIPPED as MODEL_SKIP
from backend.core.labelstudio.text_tags import TextTag
from backend.core.regions.kind import Teaches
from backend.core.versions.card import VersionCard
from backend.service.checks.check import FAILED, OK, SKIPPED, WARNING, Check, Item
from backend.service.text.reading import TextState

_SKIPPED_EVERYWHERE = "model_skip is set on every tag that has it"


def coverage_checks(config: LabelConfig, card: VersionCard | None, text: TextState) -> Iterator[Check]:
    """Yield the checks of control tags and labels, one item for each.

    card: of the version that serves; None before any training. text: what reads the text of regions.
    """
    yield _controls(config, card, text)
    if config.all_labels or config.task_keys:
        yield _untrained(config) if card is None else _labels(config, card)


def _controls(config: LabelConfig, card: VersionCard | None, text: TextState) -> Check:
    items = [_control_item(control, config, card) for control in config.controls]
    items += [_text_item(tag, text) for tag in config.texts]
    covered = sum(_why_not_served(control, card) is None for control in config.controls)
    answers = [_answer_item(tag, card) for tag in config.answers]
    items += answers
    covered += sum(item.state == OK for item in answers)
    covered += sum(not tag.is_skipped and text.engine is not None for tag in config.texts)
    others = {tag.name for tag in config.others}
    items += [
        Item(f"{tag.name} ({tag.tag})", WARNING if tag.draws else SKIPPED, tag.why)
        for tag in config.left_alone
        if tag.name in others
    ]
    found = f"{covered} of {len(items)} control tags are predicted."
    if any(item.state == WARNING for item in items):
        fix = "The tags with a warning say what to change."
        return Check("controls", "Control tags", WARNING, found, fix, items=tuple(items))
    if covered:
        return Check("controls", "Control tags", OK, found, items=tuple(items))
    fix = "Give the config a tag for shapes on an image, with labels and without model_skip."
    return Check("controls", "Control tags", FAILED, found, fix, items=tuple(items))


def _control_item(control: ControlTag, config: LabelConfig, card: VersionCard | None) -> Item:
    name = f"{control.name} ({control.kind.name})"
    if control.says_smart and not control.kind.draws_objects and _drawn_beside(control, config):
        return _prompt_item(name, control, config)
    if control.shown_in is not None:
        return Item(name, OK, f"what it draws is learned, and predicted in {control.shown_in}")
    why_not = _why_not_served(control, card)
    if why_not is not None:
        return Item(name, WARNING if control.is_learned else SKIPPED, why_not)
    threshold = control.score_threshold
    tail = "" if threshold is None else f" from a score of {threshold:g} up (model_score_threshold)"
    keys = [f"${group.task_key}" for group in control.groups if group.task_key is not None]
    tail += f"; labels come from each task ({', '.join(keys)})" if keys else ""
    if control.why_left_alone is not None:  # learned in part
        return Item(name, WARNING, f"{control.kind.check_text}{tail}; {control.why_left_alone}")
    return Item(name, OK, control.kind.check_text + tail)


def _answer_item(tag: AnswerTag, card: VersionCard | None) -> Item:
    name = f"{tag.name} ({tag.written_tag})"
    if not tag.is_learned:
        return Item(name, SKIPPED, tag.why_left_alone or "")
    tail = (
        ""
        if tag.score_threshold is None
        else f" from a score of {tag.score_threshold:g} up (model_score_threshold)"
    )
    learned = None if card is None else card.asked.get(tag.head, {}).get(tag.name)
    if card is not None and not tag.kind.is_same(tag.asked, learned):
        return Item(name, WARNING, "it came or was changed after the last training, so it is not learned yet")
    of_regions = "of each region: " if tag.is_of_regions else ""
    return Item(name, OK, of_regions + tag.kind.check_text + tail)


def _text_item(tag: TextTag, text: TextState) -> Item:
    """Return the item of a tag that takes the text of regions, which an engine reads and no training."""
    name = f"{tag.name} (text of regions)"
    if tag.is_skipped:
        return Item(name, SKIPPED, MODEL_SKIP)
    if text.engine is None:
        return Item(name, WARNING, f"text is not read: {text.problem}")
    return Item(name, OK, f"text is read by {text.engine}; what people write is not learned")


def _why_not_served(control: ControlTag, card: VersionCard | None) -> str | None:
    """Return why a tag gets no predictions; None where it gets some, if not of all its labels."""
    if not control.is_learned:
        return control.why_left_alone or "none of its labels is learned"
    if card is None:
        return None
    if control.kind.needs_mask and not card.learned_masks:
        return "the model that serves has no segmentation head: switch it on under Model Options and train"
    if control.kind.teaches is Teaches.BOX and not card.learned_boxes:
        return "the model that serves finds areas, no boxes: switch the detection head on and train"
    if control.kind.teaches is Teaches.POINT and not card.learned_points:
        return f"the model that serves has learned no {control.kind.plural}: draw some and train"
    return None


def _prompt_item(name: str, control: ControlTag, config: LabelConfig) -> Item:
    """Return the item of a tag of prompts: whether its labels are those of the tags that draw objects."""
    prompts = f"its {control.kind.plural} are prompts of smart tools"
    drawn = _drawn_beside(control, config)
    others = [label for label in control.labels if label not in drawn]
    if not others:
        return Item(name, SKIPPED, control.why_left_alone or prompts)
    named = ", ".join(others)
    if len(drawn) == 1:
        return Item(name, SKIPPED, f"{prompts}; {named} is answered as {drawn[0]}")
    why = (
        f"{prompts}. No tag that draws has its labels {named}: such a click is answered with "
        f"the label that the trained model gives the object, else not at all. Name them as what is drawn: "
        f'{", ".join(drawn)}. To have them found, take smart="true" away'
    )
    return Item(name, WARNING, why)


def _drawn_beside(control: ControlTag, config: LabelConfig) -> list[str]:
    """Return the labels of the objects that are drawn on the image of a tag; unique, in order."""
    tags = [tag for tag in config.controls_for_image(control.to_name) if tag.kind.draws_objects]
    return list(dict.fromkeys(label for tag in tags for label in tag.learned_labels))


def _untrained(config: LabelConfig) -> Check:
    return Check(
        "labels",
        "Labels",
        SKIPPED,
        "Nothing is trained yet.",
        items=tuple(
            Item(label, SKIPPED, "to be learned" if label in config.labels else _SKIPPED_EVERYWHERE)
            for label in config.all_labels
        ),
    )


def _labels(config: LabelConfig, card: VersionCard) -> Check:
    learned = card.labels
    objects = card.counts.regions_by_label if card.counts is not None else {}
    items = [_label_item(label, config, learned, objects) for label in config.all_labels]
    others = [label for label in learned if label not in config.all_labels]
    if config.task_keys:
        items += [Item(label, OK, _of_tasks(objects.get(label))) for label in others]
    else:
        gone = "learned, but no longer in the config, so not predicted"
        items += [Item(label, SKIPPED, gone) for label in others]
    covered = sum(item.state == OK for item in items)
    where = "of the config and the tasks" if config.task_keys else "of the config"
    known = len(config.all_labels) + (len(others) if config.task_keys else 0)
    found = f"{covered} of {known} labels {where} are predicted."
    if any(item.state == WARNING for item in items):
        fix = "Label some objects of those that are missing, then train again."
        return Check("labels", "Labels", WARNING, found, fix, items=tuple(items))
    return Check("labels", "Labels", OK, found, items=tuple(items))


def _label_item(
    label: str, config: LabelConfig, learned: tuple[str, ...], objects: Mapping[str, int]
) -> Item:
    if label not in config.labels:
        return Item(label, SKIPPED, _SKIPPED_EVERYWHERE)
    if label not in learned:
        return Item(label, WARNING, "came after the last training, so it is not learned yet")
    count = objects.get(label)
    if count is None:
        return Item(label, OK, "learned")
    if count == 0:
        return Item(label, WARNING, "no object with this label was there to learn from")
    return Item(label, OK, f"learned from {count} {'object' if count == 1 else 'objects'}")


def _of_tasks(count: int | None) -> str:
    objects = "" if count is None else f" from {count} {'object' if count == 1 else 'objects'}"
    return f"learned{objects}; predicted in tasks that name it"
