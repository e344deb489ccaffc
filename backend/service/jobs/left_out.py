"""What a training left out, in words: how often, why, and what to do about it.

Regions are counted by `backend.core.regions.unusable.REASONS`; tasks and images by the reasons below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.unusable import NEXT_MOVES as NEXT_MOVES_OF_REGIONS
from backend.core.regions.unusable import REASONS
from backend.service.ports import Json

LEARNED_ANYWAY = frozenset({"shared_id"})
"""Counted because they are odd, though they were learned from."""
MOST_NAMED = 3
OF_TASKS_AND_IMAGES = {
    "image_address_refused": "the image's address is of a kind that is never fetched",
    "image_not_fetched": "the image could not be fetched",
    "image_not_found": "there is no such image",
    "image_not_readable": "the image's file cannot be read",
    "image_too_large": "the image is larger than allowed",
    "task_malformed": "the task is no JSON object",
    "task_without_annotation": "the task has no annotation, or only skipped ones",
    "size_disagrees": "its regions were drawn on a picture of another shape",
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
    "task_without_image": "Let the <Image> tag's value name the data field that has the image.",
}


def explain_left_out(unusable: Mapping[str, int]) -> list[Json]:
    """Return an entry for each reason, the most frequent first.

    Each has reason, count, meaning, next_move ("" where there is nothing to do), and is_learned: whether it
    was learned from all the same.
    """
    ordered = sorted(unusable.items(), key=lambda entry: (entry[0] in LEARNED_ANYWAY, -entry[1], entry[0]))
    return [
        {
            "reason": reason,
            "count": count,
            "meaning": _meaning(reason),
            "next_move": NEXT_MOVES.get(reason, ""),
            "is_learned": reason in LEARNED_ANYWAY,
        }
        for reason, count in ordered
    ]


def nothing_to_learn(
    unusable: Mapping[str, int],
    unknown: Mapping[tuple[str, str], int],
    config: LabelConfig,
    task_count: int,
) -> str:
    """Return why a training has nothing to learn from: what was left out, how often, why, the next move.

    unknown: how often what the config does not have was named, by reason and name.
    """
    tasks = f"{task_count} {'task' if task_count == 1 else 'tasks'}"
    left_out = [entry for entry in explain_left_out(unusable) if not entry["is_learned"]]
    if not left_out:
        return f"There is nothing to learn from: {tasks} came without a region. Draw some and train again."
    known = {
        "unknown_control": [control.written_name for control in config.controls],
        "unknown_label": config.labels,
    }
    sentences = [_sentence(entry, unknown, known) for entry in left_out[:MOST_NAMED]]
    more = len(left_out) - MOST_NAMED
    tail = [f"There are {more} more reasons; the job lists them."] if more > 0 else []
    first = f"There is nothing to learn from: no region of {tasks} could be used."
    return " ".join([first, *sentences, *tail])


def _sentence(entry: Json, unknown: Mapping[tuple[str, str], int], known: Mapping[str, Sequence[str]]) -> str:
    reason = entry["reason"]
    counts = {name: count for (of, name), count in unknown.items() if of == reason}
    named = _first(sorted(counts, key=lambda name: (-counts[name], name)))
    has = f"; the config has {_first(known[reason])}" if reason in known else ""
    names = f" ({named}{has})" if named else ""
    return f"{entry['count']} × {entry['meaning']}{names}. {entry['next_move']}".strip()


def _meaning(reason: str) -> str:
    # A job of another release may have counted by a reason that this one does not know.
    return REASONS.get(reason) or OF_TASKS_AND_IMAGES.get(reason) or reason.replace("_", " ")


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
