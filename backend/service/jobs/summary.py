"""How a job ended, in a sentence or two that a person understands."""

from __future__ import annotations

from typing import Any

from backend.service.ports import JobRecord
from backend.service.versions.metric_names import main_metric, metric_title

_GOOD_FROM = 0.7
_USABLE_FROM = 0.4


def summarize_job(record: JobRecord) -> str | None:
    """Return how good the model is and what it learned from, or how many tasks were predicted.

    None before the end.
    """
    if record.status == "failed":
        return record.error or "It failed; the log says why."
    if record.status == "stopped" and record.model_version is None:
        return "Stopped; nothing was kept." if record.kind == "train" else _predicted(record, "Stopped")
    if record.status not in ("finished", "stopped"):
        return None
    if record.kind != "train":
        return _predicted(record, "Done")
    return " ".join(part for part in (_quality(record), _learned_from(record), _serves(record)) if part)


def _predicted(record: JobRecord, word: str) -> str:
    pushed = int(record.progress.get("pushed") or 0)
    failed = int(record.details.get("tasks_without_prediction_count") or 0)
    sentence = f"{word}: {pushed} {'task' if pushed == 1 else 'tasks'} predicted and written to Label Studio."
    return sentence + (f" {failed} could not be predicted; the log names them." if failed else "")


def _quality(record: JobRecord) -> str:
    metrics: dict[str, Any] = record.details.get("metrics") or {}
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
    main = main_metric(numbers)
    if main is None:
        return "Trained; there were too few images to hold some out and measure on."
    value = numbers[main]
    verdict = "good" if value >= _GOOD_FROM else "usable" if value >= _USABLE_FROM else "weak"
    figure = f"{metric_title(main)} {value:.2f}"
    if "recall" not in numbers or "precision" not in numbers:
        return f"The model is {verdict}: {figure} on held-out images."
    return (
        f"The model is {verdict}: on held-out images it finds {numbers['recall']:.0%} of the objects, and "
        f"{numbers['precision']:.0%} of what it finds is right ({figure})."
    )


def _learned_from(record: JobRecord) -> str:
    counts: dict[str, Any] = record.details.get("counts") or {}
    images = counts.get("images") or counts.get("tasks")
    regions = counts.get("regions") or counts.get("objects")
    if not images:
        return ""
    objects = f" with {regions} objects" if isinstance(regions, int) else ""
    return f"It learned from {images} {'image' if images == 1 else 'images'}{objects}."


def _serves(record: JobRecord) -> str:
    if record.details.get("activated") is False:
        reason = str(record.details.get("activation_reason") or "it waits as a candidate: it is worse")
        return f"{reason[:1].upper()}{reason[1:]}."
    return "It serves now." if record.model_version else ""
