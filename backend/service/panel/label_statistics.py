"""How much has been labelled in a project: annotated images, and objects by label and kind of shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.core.labelstudio.annotations import AnnotatedTask, LabelledRegion, annotated_task
from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.results import Region
from backend.core.labelstudio.task_labels import config_of_tasks
from backend.errors import AnnotationError
from backend.service.ports import Json


def count_labels(tasks: Iterable[Json], config: LabelConfig) -> Json:
    """Count what a training of these tasks would learn from; only the images themselves are not looked at.

    Returns annotated_images, shapes (geometric), painted (painted areas), total, and labels: one entry for
    every label that is learned, also those at zero, with its color; then the labels of regions that no
    training learns, since the config no longer has them. Those are in no total. A region of several labels
    counts once in the totals, and once for each of its labels. answers: what is said about whole images, an
    entry for each thing that a control tag may say, with the number of images; attributes: the same about
    regions, with their number.
    """
    if config.task_keys:
        tasks = list(tasks)
        config = config_of_tasks(config, tasks)
    by_label = {label: _zero() for label in config.labels}
    totals = _zero()
    answers = _nothing_said(config.learned_answers)
    attributes = _nothing_said(config.learned_attributes)
    annotated = 0
    for task in tasks:
        read = _read(task, config)
        if read is None:
            continue
        annotated += 1
        for tag, name in _answers(read, config):
            answers[tag, name] += 1
        for labelled in (labelled for page in read.pages for labelled in page.regions):
            counted_as = _counted_as(labelled.region)
            totals[counted_as] += 1
            for said in _attributes(labelled, config):
                attributes[said] += 1
            for label in labelled.labels:
                by_label[label][counted_as] += 1
        for region in read.unlearned:
            for label in region.labels:
                if label not in config.all_labels:
                    by_label.setdefault(label, _zero())[_counted_as(region)] += 1
    return {
        "annotated_images": annotated,
        **totals,
        "total": sum(totals.values()),
        "labels": [
            {"label": label, "color": config.colors.get(label), "in_config": label in config.labels, **counts}
            for label, counts in by_label.items()
        ],
        "answers": [
            {"control": control, "answer": name, "images": count}
            for (control, name), count in answers.items()
        ],
        "attributes": [
            {"control": control, "answer": name, "regions": count}
            for (control, name), count in attributes.items()
        ],
    }


def _nothing_said(tags: Iterable[AnswerTag]) -> dict[tuple[str, str], int]:
    return {(tag.name, name): 0 for tag in tags for name in tag.kind.names(tag.asked)}


def _attributes(labelled: LabelledRegion, config: LabelConfig) -> Iterator[tuple[str, str]]:
    """Yield the control tag and the name of everything that is said about a region."""
    for tag in config.learned_attributes:
        taught = labelled.attributes.get(tag.written_name)
        if taught is not None:
            yield from ((tag.name, name) for name in tag.kind.given(tag.asked, taught))


def _answers(read: AnnotatedTask, config: LabelConfig) -> Iterator[tuple[str, str]]:
    """Yield the control tag and the name of everything that is said about an image of a task."""
    for page in read.pages:
        for tag in config.learned_answers:
            taught = page.extras.get(tag.head, {}).get(tag.name)
            if taught is not None:
                yield from ((tag.name, name) for name in tag.kind.given(tag.asked, taught))


def _zero() -> dict[str, int]:
    return {"shapes": 0, "painted": 0}


def _counted_as(region: Region) -> str:
    return "painted" if region.kind.is_painted else "shapes"


def _read(task: Json, config: LabelConfig) -> AnnotatedTask | None:
    try:
        return annotated_task(task, config)
    except AnnotationError:  # it has no image to learn from
        return None
