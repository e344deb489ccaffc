"""The routes that Label Studio (and whoever scripts the service like it) calls."""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial
from typing import Any

from flask import Response, after_this_request, current_app, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import (
    ConflictError,
    LabelConfigError,
    LabelStudioError,
    NotFoundError,
    QueueError,
    RequestError,
    StoreError,
    VersionError,
)
from backend.service.backend import Backend
from backend.service.jobs.status import describe_job, stop_job
from backend.service.ports import Json
from backend.service.projects.projects import key_of_project_object
from backend.service.versions.administration import duplicate_model as duplicate_version
from backend.service.versions.administration import list_versions
from backend.training.parameters import THRESHOLD_NAMES
from backend.web.json_bodies import json_response, validated
from backend.web.labelstudio import answers, bodies
from backend.web.labelstudio.model_class import ModelClassLoader
from backend.web.labelstudio.region_masks import parse_with_masks
from backend.web.problems import problem
from backend.web.routing import NAMES_PROJECT, Routes
from backend.web.security import unauthorized

logger = logging.getLogger(__name__)

MODEL_CLASS_NAME = "LearningBackend"
LABEL_STUDIO_AGENT = "heartex/"
START_TRAINING = "START_TRAINING"
GONE = 410
_OF_A_JOB = (NotFoundError, QueueError)


def labelstudio_routes(backend: Backend, model_class: ModelClassLoader) -> Routes:
    """Return the routes of the wire contract."""
    routes = Routes("labelstudio", __name__, tag="label studio")
    named_versions = partial(list_versions, backend.projects, backend.models.store)

    @routes.get("/health", answer=answers.Health)
    def health() -> Json:
        """Tell whether the service is up."""
        # Anybody may ask for this, so it says how many; the panel says which and why.
        damaged = len(backend.models.store.problems())
        return {
            "status": "UP",
            "model_class": MODEL_CLASS_NAME,
            **({"damaged_versions": damaged} if damaged else {}),
        }

    @routes.get("/", answer=answers.Health, other_answers={302: None})
    def root() -> Json | AnyResponse:
        """Tell the same; a browser is sent to the panel."""
        wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
        if wants_page and "text/html" in request.headers.get("Accept", ""):
            return redirect("/panel")
        return health()

    @routes.post("/setup", answer=answers.ModelVersion, refuses=NAMES_PROJECT)
    def setup(body: bodies.SetupBody) -> Json:
        """Connect a project: Label Studio sends this when a model is added or its page is opened."""
        key = backend.projects.canonical(body.project, body.label_config)
        try:
            backend.projects.remember(
                key,
                hostname=body.hostname,
                access_token=body.access_token,
                label_config=body.label_config,
                extra_params=body.extra_params,
            )
        except StoreError as exc:  # a full disk must not disconnect the model that serves
            logger.error("project %s: its connection could not be kept: %s", key, exc)

        @after_this_request
        def load_afterwards(response: AnyResponse) -> AnyResponse:
            # Whoever connects is about to ask for predictions; the imports begin once the answer is out.
            response.call_on_close(model_class.start)
            return response

        return {"model_version": backend.models.loaded.reported(key)}

    @routes.post(
        "/predict",
        answer=answers.Predictions,
        parse=parse_with_masks,
        refuses=(*NAMES_PROJECT, VersionError, LabelStudioError),
    )
    def predict(body: bodies.PredictBody) -> Response:
        """Predict tasks; with a context, answer the prompts of a smart tool."""
        known = validated(bodies.PredictParams, body.params)
        if body.label_config is not None:
            parse_label_config(body.label_config)
        limits = {name: body.params[name] for name in THRESHOLD_NAMES if name in body.params}
        model = model_class.get()(
            project_id=str(body.project), label_config=body.label_config, backend=backend
        )
        entries = model.predict(
            body.tasks,
            context=None if known.context is None else {"result": [], **known.context},
            login=known.login,
            password=known.password,
            is_label_studio=(request.user_agent.string or "").startswith(LABEL_STUDIO_AGENT),
            **limits,
        )
        # Unchecked: masks may be millions of numbers, and looking at each costs more than finding them.
        return json_response({"results": entries})

    @routes.post(
        "/train",
        answer=answers.TrainingQueued,
        status=201,
        refuses=(*NAMES_PROJECT, ConflictError, QueueError),
    )
    def train(body: bodies.TrainBody) -> Json:
        """Queue a training; without annotations it fetches them itself."""
        key = backend.projects.canonical(body.project, body.label_config)
        job_id = backend.trainings.request(
            key,
            label_config=body.label_config,
            params=body.params,
            tasks=body.annotations,
        )
        return {"job": job_id}

    @routes.post(
        "/webhook",
        answer=answers.EventTaken,
        other_answers={201: answers.TrainingQueued},
        refuses=(*NAMES_PROJECT, QueueError),
    )
    def webhook(body: bodies.WebhookBody) -> Json | Response:
        """Take an event of Label Studio; START_TRAINING queues a training and wants the password, if set."""
        if body.action != START_TRAINING:
            return {"status": backend.events.note(body.action, body.project, body.amount)}
        if backend.settings.basic_auth is not None and not current_app.extensions["is_allowed"]():
            return unauthorized()
        return json_response({"job": _start_training(backend, body.project), "status": "ok"}, 201)

    @routes.post("/job_status", answer=answers.JobState, refuses=_OF_A_JOB, statuses={NotFoundError: GONE})
    def job_status(body: bodies.JobBody) -> Json:
        """Show the state of a job."""
        return describe_job(backend.jobs.queue.record(body.job))

    @routes.post("/stop", answer=answers.JobState, refuses=_OF_A_JOB, statuses={NotFoundError: GONE})
    def stop(body: bodies.StopBody) -> Json:
        """Stop a job; a training may keep what it has learned so far."""
        return describe_job(stop_job(backend.jobs.queue, body.job, keep=body.keep))

    @routes.get("/versions", answer=answers.VersionNames, refuses=NAMES_PROJECT)
    def versions(query: bodies.VersionsQuery) -> Json:
        """List the model versions of a project, or of all."""
        return {"versions": named_versions(query.project)}

    @routes.post("/versions", answer=answers.VersionNames, refuses=NAMES_PROJECT)
    def ask_versions(body: bodies.VersionsBody, query: bodies.VersionsQuery) -> Json:
        """List the same, with the project in the body."""
        return {"versions": named_versions(query.project if body.project is None else body.project)}

    @routes.get("/is_training", answer=answers.IsTraining, refuses=(*NAMES_PROJECT, QueueError))
    def is_training(query: bodies.ProjectQuery) -> Json:
        """Tell whether a training of the project is queued or running."""
        key = backend.projects.canonical(query.project)
        return {"is_training": backend.jobs.queue.active_training(key) is not None}

    @routes.post("/validate", answer=answers.ConfigAccepted, refusal=answers.ConfigRefused)
    def validate(body: bodies.ValidateBody) -> Json | Response:
        """Tell whether a labeling config can be learned from, and which of its tags are not."""
        try:
            config = parse_label_config(body.config)
        except LabelConfigError as exc:
            return problem(400, str(exc), field="config", valid=False)
        if config.why_nothing_is_learned is not None:
            return problem(400, config.why_nothing_is_learned, field="config", valid=False)
        left_alone = [asdict(tag) for tag in config.left_alone]
        return {"valid": True, "labels": list(config.labels), "left_alone": left_alone}

    @routes.post("/delete", answer=answers.ProjectDeleted, refuses=(*NAMES_PROJECT, QueueError))
    def delete(body: bodies.ProjectBody) -> Json:
        """Take a project out of service; its versions are kept for 30 days."""
        key = backend.projects.canonical(body.project)
        return {"project": key, "stopped_jobs": backend.retirement.delete(key)}

    @routes.post("/duplicate_model", answer=answers.ModelVersion, refuses=(*NAMES_PROJECT, VersionError))
    def duplicate_model(body: bodies.DuplicateBody) -> Json:
        """Let the serving version of one project serve another one too."""
        source = backend.projects.canonical(body.project_src)
        target = backend.projects.canonical(body.project_dst)
        if source == target:
            raise RequestError("project_src and project_dst are the same project", field="project_dst")
        return {"model_version": duplicate_version(backend.projects, backend.models, source, target)}

    return routes


def _start_training(backend: Backend, project: Any) -> str:
    label_config = project.get("label_config") if isinstance(project, dict) else None
    if not isinstance(label_config, str):
        label_config = None
    key = backend.projects.canonical(key_of_project_object(project), label_config)
    return backend.trainings.request(key, label_config=label_config, follow_up=True, source=START_TRAINING)
