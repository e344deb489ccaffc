"""What annotations answer about whole images, and what was found about them as Label Studio results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.core.answers.kinds import answer_kind
from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.results import read_item_index
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.labelstudio.written_results import new_region_id, rounded_score
from backend.core.regions.unusable import UnusableRegion

Json = dict[str, Any]
Extras = dict[str, dict[str, Any]]
"""By the name of a head: by the name of a control tag, what an image teaches it, or what it found."""


@dataclass(frozen=True)
class AnsweredTogether:
    """The images of a task that one answer of a tag is about, by their positions among the task's pages.

    item_index: the place in a list that the answer names; None for none.
    """

    tag: AnswerTag
    pages: tuple[int, ...]
    item_index: int | None = None


def answered_together(tags: Sequence[AnswerTag], pages: Sequence[TaskPage]) -> Iterator[AnsweredTogether]:
    """Yield what is asked of the images of a task, tag by tag."""
    for tag in tags:
        places: dict[tuple[str, int | None], tuple[AnswerTag, list[int]]] = {}
        for position, page in enumerate(pages):
            its_tag = tag.for_image(page.image_tag)
            if its_tag is not None:
                place = its_tag.name, page.item_index if tag.is_per_item else None
                places.setdefault(place, (its_tag, []))[1].append(position)
        for (_, item_index), (its_tag, positions) in places.items():
            yield AnsweredTogether(its_tag, tuple(positions), item_index)


@dataclass
class AnswersRead:
    """What an annotation answers: extras of each page, and answers that could not be used, by reason.

    unknown: how often what the config does not have was named, by reason and name.
    """

    extras: list[Extras]
    unusable: Counter[str] = field(default_factory=Counter)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)


def read_answers(results: Sequence[Any], config: LabelConfig, pages: Sequence[TaskPage]) -> AnswersRead:
    """Return what the `result` of an annotation answers about the pages of its task.

    An answer that cannot be used costs no other.
    """
    read = AnswersRead([{} for _ in pages])
    given = [result for result in results if isinstance(result, Mapping)]
    asked_now = list(answered_together(config.learned_answers, pages))
    for asked in asked_now:
        try:
            taught = asked.tag.kind.taught(asked.tag.asked, _values(given, asked))
        except UnusableRegion as exc:
            _count(read, exc)
            continue
        if taught is not None:
            for position in asked.pages:
                by_control = read.extras[position].setdefault(asked.tag.head, {})
                by_control[asked.tag.written_name] = taught
    for result in given if config.answers else ():
        left_out = _why_left_out(result, asked_now, config)
        if left_out is not None:
            _count(read, left_out)
    return read


def answers_to_results(
    found: Sequence[tuple[TaskPage, Mapping[str, Any]]],
    config: LabelConfig,
    thresholds: Mapping[str, float],
    rng: np.random.Generator,
) -> list[Json]:
    """Return the results about whole images of one task, in the config's order.

    found: its pages, each with what the heads found in it beside objects, by name. thresholds: lowest score
    by name of the control tag. A tag that the heads have not learned gets nothing.
    """
    results: list[Json] = []
    for asked in answered_together(config.learned_answers, [page for page, _ in found]):
        tag = asked.tag
        of_pages = [found[k][1].get(tag.head, {}).get(tag.written_name) for k in asked.pages]
        known = [one for one in of_pages if one is not None]
        if not known:
            continue
        joined = known[0] if len(known) == 1 else tag.kind.joined(known)
        for answer in tag.kind.answers(tag.asked, joined, thresholds[tag.written_name]):
            result: Json = {
                "id": new_region_id(rng),
                "from_name": tag.name,
                "to_name": found[asked.pages[0]][0].image_tag,
                "type": tag.kind.tag,
                "value": dict(answer.value),
                "score": rounded_score(answer.score),
            }
            if asked.item_index is not None:
                result["item_index"] = asked.item_index
            results.append(result)
    return results


def _values(results: Sequence[Mapping[str, Any]], asked: AnsweredTogether) -> list[Mapping[str, Any]]:
    """Return the values of the results that answer; raises UnusableRegion for one that has none."""
    values = []
    for result in results:
        if not _is_of(result, asked.tag) or not _is_at(result, asked):
            continue
        value = result.get("value")
        if not isinstance(value, Mapping):
            raise UnusableRegion("bad_answer")
        values.append(value)
    return values


def _is_of(result: Mapping[str, Any], tag: AnswerTag) -> bool:
    type_ = result.get("type")
    is_type = not type_ or str(type_).lower() == tag.kind.tag
    return is_type and result.get("from_name") == tag.name and tag.is_about(result.get("to_name"))


def _is_at(result: Mapping[str, Any], asked: AnsweredTogether) -> bool:
    return asked.item_index is None or read_item_index(result) == asked.item_index


def _why_left_out(
    result: Mapping[str, Any], asked: Sequence[AnsweredTogether], config: LabelConfig
) -> UnusableRegion | None:
    """Return why a result answers nothing that is asked of these images; None where it does, or is no answer.

    What its value says is not looked at.
    """
    name = str(result.get("from_name"))
    if not any(tag.is_named(name) for tag in config.learned_answers):
        is_answer = answer_kind(str(result.get("type"))) is not None
        is_unknown = is_answer and not config.has_control(name)
        return UnusableRegion("unknown_control", (name,)) if is_unknown else None
    of_tag = [one for one in asked if one.tag.name == name]
    if not of_tag:
        return UnusableRegion("unknown_page")
    if not of_tag[0].tag.is_about(result.get("to_name")):
        return UnusableRegion("unknown_control", (str(result.get("to_name")),))
    if not _is_of(result, of_tag[0].tag):
        return UnusableRegion("bad_answer")
    return None if any(_is_at(result, one) for one in of_tag) else UnusableRegion("unknown_page")


def _count(read: AnswersRead, error: UnusableRegion) -> None:
    read.unusable[error.reason] += 1
    read.unknown.update((error.reason, name) for name in error.names)
