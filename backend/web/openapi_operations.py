"""The table of operations that the OpenAPI description is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from backend.service.task_index import FILTERS, LARGEST_WINDOW, SORTS
from backend.web import panel_schemas as s

Json = dict[str, Any]
_JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    name: also the endpoint's function. problems: statuses beside the usual answer, whose body is `problem`.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    needs_body: bool = True
    takes_file: bool = False
    status: int = 200
    content_type: str | None = _JSON
    query: Mapping[str, Json] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    problem: type[BaseModel] = s.Problem


_READ = (400, 404, 502)
_CHANGE = (400, 403, 404, 409, 415, 502)
_OFFSET = {"type": "integer", "minimum": 0, "default": 0}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": LARGEST_WINDOW, "default": 100}
_SHOW = {"type": "string", "enum": list(FILTERS), "default": "all"}
_PROJECT = "/api/projects/{key}"
_TASK = _PROJECT + "/tasks/{task_id}"
_VERSION = _PROJECT + "/versions/{version}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/api/projects",
        "list_projects",
        "projects",
        "Projects, and what is missing to reach them",
        s.ProjectList,
    ),
    Operation(
        "GET",
        _PROJECT,
        "show_project",
        "projects",
        "Title, labels and control tags of a project",
        s.ProjectView,
        problems=(400,),
    ),
    Operation(
        "GET",
        _PROJECT + "/state",
        "show_state",
        "projects",
        "What happens now: jobs, workers, model, statistics; waits for a change if asked to",
        s.State,
        query={
            "since": {"type": "integer", "description": "Answer once the revision differs from this one."},
            "wait_s": {"type": "number", "minimum": 0, "maximum": 25, "default": 0},
        },
        problems=(400,),
    ),
    Operation(
        "GET",
        _PROJECT + "/events",
        "stream_events",
        "projects",
        "The same as server-sent events `state`, one for each change; ends after a minute, connect again",
        content_type="text/event-stream",
        problems=(400, 503),
    ),
    Operation(
        "GET",
        _PROJECT + "/check",
        "check_project",
        "projects",
        "Check connection: every link of the chain, with the fix beside a broken one",
        s.CheckReport,
        problems=(400,),
    ),
    Operation(
        "GET", "/api/check", "check_service", "projects", "The checks that need no project", s.CheckReport
    ),
    Operation(
        "GET",
        _PROJECT + "/tasks",
        "list_tasks",
        "tasks",
        "A part of the task list, filtered and sorted",
        s.TaskWindowView,
        query={
            "show": _SHOW,
            "sort": {"type": "string", "enum": list(SORTS), "default": "id"},
            "offset": _OFFSET,
            "limit": _LIMIT,
        },
        problems=_READ,
    ),
    Operation(
        "GET",
        _PROJECT + "/task-ids",
        "list_task_ids",
        "tasks",
        "Ids of all tasks that pass a filter",
        s.TaskIds,
        query={"show": _SHOW},
        problems=_READ,
    ),
    Operation(
        "GET",
        _TASK,
        "show_task",
        "tasks",
        "Images, annotations and the prediction of a task",
        s.TaskView,
        problems=_READ,
    ),
    Operation(
        "GET",
        _TASK + "/images/{page}",
        "show_image",
        "tasks",
        "One image of a task, upright",
        content_type="image/jpeg",
        problems=_READ,
    ),
    Operation(
        "GET",
        _TASK + "/thumbnails/{page}",
        "show_thumbnail",
        "tasks",
        "One image of a task, small",
        content_type="image/jpeg",
        problems=_READ,
    ),
    Operation(
        "POST",
        _TASK + "/predict",
        "predict_task",
        "tasks",
        "Predict Current: predict the task now, from a score of 0.10 up",
        s.TaskView,
        problems=_CHANGE,
    ),
    Operation(
        "POST",
        _TASK + "/accept",
        "accept_prediction",
        "tasks",
        "Accept Predictions: make an annotation of what was shown; 409 if any of it changed",
        s.Accepted,
        s.AcceptBody,
        problems=_CHANGE,
    ),
    Operation(
        "POST",
        _TASK + "/undo-accept",
        "undo_accept",
        "tasks",
        "Delete the annotation that the last accept made, for ten minutes and unless it was edited",
        s.TaskView,
        problems=_CHANGE,
    ),
    Operation(
        "DELETE",
        _TASK + "/predictions",
        "clear_predictions",
        "tasks",
        "Clear Predictions: remove all predictions of the task, in Label Studio too",
        s.Cleared,
        problems=_CHANGE,
    ),
    Operation(
        "GET",
        _PROJECT + "/training-images",
        "list_training_images",
        "training",
        "Images with their state: loaded, labelled but not loaded, unlabelled",
        s.TrainingImages,
        query={"offset": _OFFSET, "limit": _LIMIT},
        problems=_READ,
    ),
    Operation(
        "POST",
        _PROJECT + "/train",
        "train_project",
        "training",
        "Train Model on the current annotations",
        s.JobCreated,
        s.TrainBody,
        needs_body=False,
        status=201,
        problems=(*_CHANGE, 503),
    ),
    Operation(
        "POST",
        _PROJECT + "/predict-all",
        "predict_all",
        "training",
        "Predict All: every task without a prediction of this version, in the background",
        s.JobCreated,
        status=201,
        problems=(*_CHANGE, 503),
    ),
    Operation(
        "GET",
        _PROJECT + "/jobs",
        "list_jobs",
        "jobs",
        "Known jobs of a project, newest first",
        s.JobList,
        problems=(400, 503),
    ),
    Operation("GET", "/api/jobs/{job_id}", "show_job", "jobs", "One job", s.Job, problems=(404, 503)),
    Operation(
        "GET",
        "/api/jobs/{job_id}/log",
        "show_job_log",
        "jobs",
        "What was logged while a job ran",
        s.JobLog,
        problems=(404, 503),
    ),
    Operation(
        "POST",
        "/api/jobs/{job_id}/stop",
        "stop_job",
        "jobs",
        "Stop a job; a training keeps its best epoch so far, or discards it",
        s.Job,
        s.StopBody,
        needs_body=False,
        problems=(400, 403, 404, 415, 503),
    ),
    Operation(
        "GET",
        _PROJECT + "/settings",
        "show_settings",
        "settings",
        "Saved values, the values a training would use now, and what each may be",
        s.SettingsView,
        problems=(400,),
    ),
    Operation(
        "PATCH",
        _PROJECT + "/settings",
        "change_settings",
        "settings",
        "Save values as defaults of every later training; nothing is saved if one is wrong",
        s.SettingsView,
        s.SettingsBody,
        problems=(400, 403, 415),
    ),
    Operation("GET", "/api/backbones", "list_backbones", "settings", "Backbones by family", s.Backbones),
    Operation(
        "GET",
        _PROJECT + "/versions",
        "list_versions",
        "versions",
        "Cards of all model versions",
        s.VersionList,
        problems=(400,),
    ),
    Operation(
        "POST",
        _PROJECT + "/versions",
        "import_version",
        "versions",
        "Load Existing Model: take a saved file, check that it fits, and let it serve",
        s.VersionChanged,
        takes_file=True,
        status=201,
        query={"activate": {"type": "boolean", "default": True}},
        problems=(400, 403, 409, 413, 415, 422, 507),
    ),
    Operation(
        "GET",
        _PROJECT + "/versions/compare",
        "compare_two_versions",
        "versions",
        "Two versions side by side, class by class",
        s.Comparison,
        query={"before": {"type": "string"}, "after": {"type": "string"}},
        problems=(400, 404),
    ),
    Operation(
        "GET",
        _VERSION + "/file",
        "export_version",
        "versions",
        "Save Trained Model: the version as one file",
        content_type="application/octet-stream",
        problems=(400, 404),
    ),
    Operation(
        "POST",
        _VERSION + "/activate",
        "activate_version",
        "versions",
        "Let a version serve",
        s.VersionChanged,
        problems=(400, 403, 404),
    ),
    Operation(
        "PUT",
        _VERSION + "/pin",
        "pin_version",
        "versions",
        "Keep a version however old it gets",
        s.VersionChanged,
        s.PinBody,
        problems=(400, 403, 404, 415),
    ),
    Operation(
        "DELETE",
        _VERSION,
        "delete_version",
        "versions",
        "Delete a version that does not serve",
        s.VersionChanged,
        problems=(400, 403, 404, 409),
    ),
)
