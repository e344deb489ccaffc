"""What a training left out, in words: how often, why, and what to do about it.

Regions are counted by `backend.core.regions.unusable.REASONS`; tasks and images by the reasons below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.unusable import NEXT_MOVES as NEXT_MOVES_OF_REGIONS
from backend.core.regions.unusable import REASONS
from backend.service.ports import Json

LEARNED_ANYWAY = frozenset({"shared_id"})
"""Counted because they are odd, though they were learned from."""
MOST_NAMED = 3
MOST_NAME_CHARS = 80
"""Of one name: what was named may be a whole page of text in the wrong place."""
MOST_TASKS_NAMED = 20
OF_TASKS_AND_IMAGES = {
    "image_address_refused": "the image's address is of a kind that is never fetched",
    "image_not_fetched": "the image could not be fetched",
    "image_not_found": "there is no such image",
    "image_not_readable": "the image's file cannot be read",
    "image_too_large": "the image is larger than allowed",
    "task_malformed": "the task is no JSON object",
    "task_without_annotation": "the task has no annotation, or only skipped ones",
    "size_disagrees": "its regions were drawn on a picture of another shape",
    "task_without_labels": "the task's data has no list of labels where the labeling config looks for it",
    "task_without_image": "the task's data has no image where the labeling config looks for it",
}
NEXT_MOVES = {
    **NEXT_MOVES_OF_REGIONS,
    "image_address_refused": "Import these images again, from a web address or as files.",
    "image_not_fetched": "See that the image host answers, then train again.",
    "image_not_found": "Import these images again, or correct their addresses in the tasks.",
    "image_not_readable": "Replace these files by JPEG, PNG or WebP images.",
    "image_too_large": "Make these images smaller, or raise IMAGE_MAX_BYTES or IMAGE_MAX_PIXELS.",
    "task_malformed": "Send tasks as Label Studio exports them.",
    "task_without_annotation": "Annotate these tasks.",
    "size_disagrees": "Import the labelled images again, or label these anew.",
    "task_without_labels": 'Give each task a list of objects with a "value" there.',
    "task_without_image": "Let the <Image> tag's value name the data field that has the image.",
}


@dataclass(frozen=True)
class LeftOutWhere:
    """Where one reason was met: in which tasks, the first of them by id.

    names: what was named there and what the labeling config has instead; "" where names are not the reason.
    """

    tasks: tuple[int, ...] = ()
    tasks_count: int = 0
    names: str = ""


def explain_left_out(
    unusable: Mapping[str, int], where: Mapping[str, LeftOutWhere] | None = None
) -> list[Json]:
    """Return an entry for each reason, the most frequent first.

    Each has reason, count, meaning, next_move ("" where there is nothing to do), is_learned: whether it was
    learned from all the same, tasks: the ids of the first in which it was met, and tasks_count: of all. Jobs
    of older releases do not say where.
    """
    met = where or {}
    ordered = sorted(unusable.items(), key=lambda entry: (entry[0] in LEARNED_ANYWAY, -entry[1], entry[0]))
    return [
        {
            "reason": reason,
            "count": count,
            "meaning": _meaning(reason, met.get(reason, LeftOutWhere()).names),
            "next_move": NEXT_MOVES.get(reason, ""),
            "is_learned": reason in LEARNED_ANYWAY,
            "tasks": list(met.get(reason, LeftOutWhere()).tasks),
            "tasks_count": met.get(reason, LeftOutWhere()).tasks_count,
        }
        for reason, count in ordered
    ]


def locate_left_out(
    tasks_by_reason: Mapping[str, Sequence[int]],
    unknown: Mapping[tuple[str, str], int],
    config: LabelConfig,
) -> dict[str, LeftOutWhere]:
    """Return where each reason was met; tasks_by_reason: ids, each once.

    unknown: how often what the config does not have was named, by reason and name.
    """
    reasons = dict.fromkeys((*tasks_by_reason, *(reason for reason, _ in unknown)))
    return {
        reason: LeftOutWhere(
            tasks=tuple(tasks_by_reason.get(reason, ())[:MOST_TASKS_NAMED]),
            tasks_count=len(tasks_by_reason.get(reason, ())),
            names=_names(reason, unknown, config),
        )
        for reason in reasons
    }


def nothing_to_learn(
    unusable: Mapping[str, int],
    unknown: Mapping[tuple[str, str], int],
    config: LabelConfig,
    task_count: int,
) -> str:
    """Return why a training has nothing to learn from: what was left out, how often, why, the next move.

    unknown: how often what the config does not have was named, by reason and name.
    """
    where = locate_left_out({}, unknown, config)
    tasks = f"{task_count} {'task' if task_count == 1 else 'tasks'}"
    left_out = [entry for entry in explain_left_out(unusable, where) if not entry["is_learned"]]
    if not left_out:
        missing, move = ("a region", "Draw") if config.controls else ("an answer", "Give")
        return f"There is nothing to learn from: {tasks} came without {missing}. {move} some and train again."
    sentences = [
        f"{entry['count']} × {entry['meaning']}. {entry['next_move']}".strip()
        for entry in left_out[:MOST_NAMED]
    ]
    more = len(left_out) - MOST_NAMED
    tail = [f"There are {more} more reasons; the job lists them."] if more > 0 else []
    what = "region" if config.controls else "answer"
    first = f"There is nothing to learn from: no {what} of {tasks} could be used."
    return " ".join([first, *sentences, *tail])


def _names(reason: str, unknown: Mapping[tuple[str, str], int], config: LabelConfig) -> str:
    counts = {name: count for (of, name), count in unknown.items() if of == reason}
    if not counts:
        return ""
    named = _first(sorted(counts, key=lambda name: (-counts[name], name)))
    if reason == "unknown_control":
        return f"{named}; the config has {_first(config.control_names)}"
    if reason == "unknown_label":
        return f"{named}; the config has {_first(config.labels)}"
    if reason in ("unknown_choice", "unknown_path"):
        tags = (*config.learned_answers, *config.learned_attributes)
        names = [name for tag in tags for name in tag.kind.names(tag.asked)]
        return f"{named}; the config has {_first(names)}"
    if reason == "task_without_image":
        wanted = [tag.repeater.on_key if tag.repeater else tag.value_key for tag in config.images]
        return f"it has {named}; the config looks for {_first(wanted)}"
    return named


def _meaning(reason: str, names: str) -> str:
    # A job of another release may have counted by a reason that this one does not know.
    meaning = REASONS.get(reason) or OF_TASKS_AND_IMAGES.get(reason) or reason.replace("_", " ")
    return f"{meaning} ({names})" if names else meaning


def _first(names: Sequence[str]) -> str:
    shown = [
        name if len(name) <= MOST_NAME_CHARS else f"{name[:MOST_NAME_CHARS]}…" for name in names[:MOST_NAMED]
    ]
    return ", ".join(shown) + (", …" if len(names) > MOST_NAMED else "")
