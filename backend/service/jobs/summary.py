"""How a job ended, in a sentence or two that a person understands."""

from __future__ import annotations

from backend.service.jobs.report import JobReport, PredictionProgress
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
        return _predicted(record, "Stopped") if record.kind == "predict" else "Stopped; nothing was kept."
    if record.status not in ("finished", "stopped"):
        return None
    report = JobReport.from_json(record.details)
    if record.kind == "look":
        return f"{report.findings or 0} places listed in {report.images_compared or 0} images."
    if record.kind == "accept":
        return "Done."
    if record.kind == "rank":
        return f"{report.pictures_ranked or 0} unlabelled pictures are ordered by their usefulness."
    if record.kind != "train":
        return _predicted(record, "Done")
    parts = (_quality(report), _learned_from(report), _serves(report, record.model_version))
    return " ".join(part for part in parts if part)


def _predicted(record: JobRecord, word: str) -> str:
    pushed = PredictionProgress.from_json(record.progress).pushed
    failed = JobReport.from_json(record.details).tasks_without_prediction_count
    sentence = f"{word}: {pushed} {'task' if pushed == 1 else 'tasks'} predicted and written to Label Studio."
    return sentence + (f" {failed} could not be predicted; the log names them." if failed else "")


def _quality(report: JobReport) -> str:
    numbers = report.metrics or {}
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


def _learned_from(report: JobReport) -> str:
    counts = report.counts
    if counts is None or not counts.images:
        return ""
    things = [
        (counts.regions, "objects"),
        (counts.answers, "answers"),
        (counts.attributes, "attributes of regions"),
    ]
    said = " and ".join(f"{number} {name}" for number, name in things if number)
    tail = f" with {said}" if said else ""
    return f"It learned from {counts.images} {'image' if counts.images == 1 else 'images'}{tail}."


def _serves(report: JobReport, version: str | None) -> str:
    if report.activated is False:
        reason = report.activation_reason or "it waits as a candidate: it is worse"
        return f"{reason[:1].upper()}{reason[1:]}."
    return "It serves now." if version else ""
