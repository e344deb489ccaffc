"""Jobs as `/job_status` shows them, and how they are stopped."""

from __future__ import annotations

from datetime import datetime, timezone

from backend.service.jobs import jobs
from backend.service.jobs.left_out import explain_left_out
from backend.service.jobs.report import JobReport
from backend.service.ports import JobQueue, JobRecord, Json

_SHOWN = (
    "params",
    "warnings",
    "counts",
    "unusable",
    "left_alone",
    "disputed_tasks",
    "disputed_tasks_count",
    "tiles",
    "metrics",
    "curve",
    "activated",
    "activation_reason",
    "comparison",
    "prediction_job",
    "stopped_by",
    "waiting_for",
    "tasks_without_prediction",
    "tasks_without_prediction_count",
    "set_model_version",
)
_EMPTY_PROGRESS: dict[str, Json] = {
    jobs.TRAIN: {
        "step": None,
        "fraction": 0.0,
        "epoch": 0,
        "epochs": None,
        "loss": None,
        "seconds_left": None,
    },
    jobs.LOOK: {"step": None, "fraction": 0.0, "seconds_left": None},
    jobs.RANK: {"step": None, "fraction": 0.0, "seconds_left": None},
    jobs.PREDICT: {"done": 0, "total": None, "pushed": 0},
    jobs.ACCEPT: {"done": 0, "total": None, "pushed": 0},
}


def describe_job(record: JobRecord) -> Json:
    """Return a job's state as JSON; times in UTC, ISO 8601."""
    progress = {**_EMPTY_PROGRESS.get(record.kind, {}), **record.progress}
    report = JobReport.from_json(record.details)
    if record.kind == jobs.TRAIN and progress["epochs"] is None and report.params is not None:
        progress["epochs"] = report.params["epochs"].value
    return {
        "job": record.job_id,
        "kind": record.kind,
        "project": record.project_key,
        "job_status": record.status,
        "progress": progress,
        "model_version": record.model_version,
        "error": record.error,
        "created_at": _iso(record.created_at),
        "started_at": _iso(record.started_at),
        "ended_at": _iso(record.ended_at),
        **{name: value for name, value in report.as_json().items() if name in _SHOWN},
        "left_out": explain_left_out(report.unusable or {}, report.left_out_where),
    }


def stop_job(queue: JobQueue, job_id: str, *, keep: bool) -> JobRecord:
    """Ask a job to end and return it; keep: make a version of what it learned. Raises NotFoundError."""
    queue.request_stop(job_id, mode="keep" if keep else "discard")
    return queue.record(job_id)


def _iso(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
