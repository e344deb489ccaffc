"""The operations of Label Studio's wire contract and of the service's own pages, for the description."""

from __future__ import annotations

from backend.web.labelstudio import answers
from backend.web.labelstudio import bodies as schemas
from backend.web.operations import NAMES_PROJECT, Operation

_TEXT = {"type": "string"}
_QUEUE = 503

LABELSTUDIO_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/health", "health", "label studio", "Whether the service is up", answers.Health, is_open=True
    ),
    Operation(
        "GET",
        "/",
        "root",
        "label studio",
        "The same; a browser is sent to the panel",
        answers.Health,
        other_answers={302: None},
    ),
    Operation(
        "POST",
        "/setup",
        "setup",
        "label studio",
        "Connect a project: Label Studio sends this when a model is added or its page is opened",
        answers.ModelVersion,
        schemas.SetupBody,
        problems=NAMES_PROJECT,
    ),
    Operation(
        "POST",
        "/predict",
        "predict",
        "label studio",
        "Predict tasks; with a context, answer the prompts of a smart tool",
        answers.Predictions,
        schemas.PredictBody,
        problems=(*NAMES_PROJECT, 409, 502),
    ),
    Operation(
        "POST",
        "/train",
        "train",
        "label studio",
        "Queue a training; without annotations it fetches them itself",
        answers.TrainingQueued,
        schemas.TrainBody,
        status=201,
        problems=(*NAMES_PROJECT, 409, _QUEUE),
    ),
    Operation(
        "POST",
        "/webhook",
        "webhook",
        "label studio",
        "An event of Label Studio; START_TRAINING queues a training and wants the password, if one is set",
        answers.EventTaken,
        schemas.WebhookBody,
        other_answers={201: answers.TrainingQueued},
        problems=(*NAMES_PROJECT, _QUEUE),
    ),
    Operation(
        "POST",
        "/job_status",
        "job_status",
        "label studio",
        "The state of a job",
        answers.JobState,
        schemas.JobBody,
        problems=(400, 410, _QUEUE),
    ),
    Operation(
        "POST",
        "/stop",
        "stop",
        "label studio",
        "Stop a job; a training may keep what it has learned so far",
        answers.JobState,
        schemas.StopBody,
        problems=(400, 410, _QUEUE),
    ),
    Operation(
        "GET",
        "/versions",
        "versions",
        "label studio",
        "Model versions of a project, or of all",
        answers.VersionNames,
        query={"project": {**_TEXT, "pattern": schemas.PROJECT_PATTERN}},
        problems=NAMES_PROJECT,
    ),
    Operation(
        "POST",
        "/versions",
        "ask_versions",
        "label studio",
        "The same, with the project in the body",
        answers.VersionNames,
        schemas.VersionsBody,
        needs_body=False,
        problems=NAMES_PROJECT,
    ),
    Operation(
        "GET",
        "/is_training",
        "is_training",
        "label studio",
        "Whether a training of the project is queued or running",
        answers.IsTraining,
        query={"project": {**_TEXT, "pattern": schemas.PROJECT_PATTERN}},
        required_query=("project",),
        problems=(*NAMES_PROJECT, _QUEUE),
    ),
    Operation(
        "POST",
        "/validate",
        "validate",
        "label studio",
        "Whether a labeling config can be used",
        answers.ConfigAccepted,
        schemas.ValidateBody,
        problems=(400,),
        problem=answers.ConfigRefused,
    ),
    Operation(
        "POST",
        "/delete",
        "delete",
        "label studio",
        "Take a project out of service; its versions are kept for 30 days",
        answers.ProjectDeleted,
        schemas.ProjectBody,
        problems=(*NAMES_PROJECT, _QUEUE),
    ),
    Operation(
        "POST",
        "/duplicate_model",
        "duplicate_model",
        "label studio",
        "Let the serving version of one project serve another one too",
        answers.ModelVersion,
        schemas.DuplicateBody,
        problems=(*NAMES_PROJECT, 409),
    ),
)

PAGE_OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/metrics", "metrics", "pages", "Figures for Prometheus", content_type="text/plain"),
    Operation("GET", "/openapi.json", "openapi", "pages", "This description"),
    Operation("GET", "/panel", "panel", "pages", "ML Mode, the panel's page", content_type="text/html"),
    Operation(
        "GET", "/panel/", "panel_with_slash", "pages", "Leads to the page", status=302, content_type=None
    ),
    Operation(
        "GET",
        "/panel/static/{filename}",
        "panel_file",
        "pages",
        "Scripts and styles of the page",
        content_type="*/*",
        other_answers={304: None},
        problems=(404,),
    ),
)
