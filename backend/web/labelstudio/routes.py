"""The routes that Label Studio (and whoever scripts the service like it) calls."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelConfigError, NotFoundError, ProjectKeyError, RequestError, StoreError
from backend.service.backend import Backend
from backend.service.jobs.status import describe_job, stop_job
from backend.service.projects.projects import key_of_project_object
from backend.service.versions.administration import duplicate_model, list_versions
from backend.training.parameters import THRESHOLD_NAMES
from backend.web.json_bodies import json_response, parse_json, read_json
from backend.web.labelstudio import bodies as schemas
from backend.web.labelstudio.model_class import ModelClassLoader
from backend.web.labelstudio.region_masks import cut_masks, with_masks
from backend.web.problems import problem
from backend.web.security import unauthorized

logger = logging.getLogger(__name__)

MODEL_CLASS_NAME = "LearningBackend"
LABEL_STUDIO_AGENT = "heartex/"
START_TRAINING = "START_TRAINING"
GONE = 410


def create_blueprint(backend: Backend, model_class: ModelClassLoader) -> Blueprint:
    """Return the blueprint of the wire contract."""
    routes = Blueprint("labelstudio", __name__)
    named_versions = partial(list_versions, backend.projects, backend.models.store)

    @routes.get("/health")
    def health() -> Response:
        answer = {"status": "UP", "model_class": MODEL_CLASS_NAME}
        # Anybody may ask for this, so it says how many; the panel says which and why.
        damaged = len(backend.models.store.problems())
        return json_response(answer | ({"damaged_versions": damaged} if damaged else {}))

    @routes.get("/")
    def root() -> AnyResponse:
        wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
        if wants_page and "text/html" in request.headers.get("Accept", ""):
            return redirect("/panel")
        return health()

    @routes.post("/setup")
    def setup() -> Response:
        body = schemas.parse_body(schemas.SetupBody, read_json())
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
        model_class.start()  # whoever connects is about to ask for predictions
        return json_response({"model_version": backend.models.loaded.reported(key)})

    @routes.post("/predict")
    def predict() -> Response:
        content, masks = cut_masks(request.get_data(cache=False))
        body = schemas.parse_body(schemas.PredictBody, parse_json(content))
        known = schemas.parse_body(schemas.PredictParams, body.params)
        if body.label_config is not None:
            parse_label_config(body.label_config)
        limits = {name: body.params[name] for name in THRESHOLD_NAMES if name in body.params}
        model = model_class.get()(
            project_id=str(body.project), label_config=body.label_config, backend=backend
        )
        entries = model.predict(
            body.tasks,
            context=None if known.context is None else {"result": [], **with_masks(known.context, masks)},
            login=known.login,
            password=known.password,
            is_label_studio=(request.user_agent.string or "").startswith(LABEL_STUDIO_AGENT),
            **limits,
        )
        return json_response({"results": entries})

    @routes.post("/train")
    def train() -> Response:
        body = schemas.parse_body(schemas.TrainBody, read_json())
        key = backend.projects.canonical(body.project, body.label_config)
        job_id = backend.trainings.request(
            key,
            label_config=body.label_config,
            params=body.params,
            tasks=body.annotations,
        )
        return json_response({"job": job_id}, 201)

    @routes.post("/webhook")
    def webhook() -> Response:
        body = schemas.parse_body(schemas.WebhookBody, read_json())
        if body.action != START_TRAINING:
            return json_response({"status": backend.events.note(body.action, body.project, body.amount)})
        if backend.settings.basic_auth is not None and not current_app.extensions["is_allowed"]():
            return unauthorized()
        return json_response({"job": _start_training(backend, body.project), "status": "ok"}, 201)

    @routes.post("/job_status")
    def job_status() -> Response:
        body = schemas.parse_body(schemas.JobBody, read_json())
        try:
            return json_response(describe_job(backend.jobs.queue.record(body.job)))
        except NotFoundError as exc:
            return problem(GONE, str(exc))

    @routes.post("/stop")
    def stop() -> Response:
        body = schemas.parse_body(schemas.StopBody, read_json())
        try:
            return json_response(describe_job(stop_job(backend.jobs.queue, body.job, keep=body.keep)))
        except NotFoundError as exc:
            return problem(GONE, str(exc))

    @routes.get("/versions")
    def versions() -> Response:
        return json_response({"versions": named_versions(request.args.get("project"))})

    @routes.post("/versions")
    def ask_versions() -> Response:
        body = schemas.parse_body(schemas.VersionsBody, read_json() if request.get_data() else {})
        project = request.args.get("project") if body.project is None else body.project
        return json_response({"versions": named_versions(project)})

    @routes.get("/is_training")
    def is_training() -> Response:
        project = request.args.get("project")
        if project is None:
            raise ProjectKeyError("name the project: /is_training?project=7", field="project")
        key = backend.projects.canonical(project)
        return json_response({"is_training": backend.jobs.queue.active_training(key) is not None})

    @routes.post("/validate")
    def validate() -> Response:
        body = schemas.parse_body(schemas.ValidateBody, read_json())
        try:
            config = parse_label_config(body.config)
        except LabelConfigError as exc:
            return problem(400, str(exc), field="config", valid=False)
        return json_response({"valid": True, "labels": list(config.labels)})

    @routes.post("/delete")
    def delete() -> Response:
        body = schemas.parse_body(schemas.ProjectBody, read_json())
        key = backend.projects.canonical(body.project)
        return json_response({"project": key, "stopped_jobs": backend.retirement.delete(key)})

    @routes.post("/duplicate_model")
    def duplicate() -> Response:
        body = schemas.parse_body(schemas.DuplicateBody, read_json())
        source = backend.projects.canonical(body.project_src)
        target = backend.projects.canonical(body.project_dst)
        if source == target:
            raise RequestError("project_src and project_dst are the same project", field="project_dst")
        version = duplicate_model(backend.projects, backend.models, source, target)
        return json_response({"model_version": version})

    return routes


def _start_training(backend: Backend, project: Any) -> str:
    label_config = project.get("label_config") if isinstance(project, dict) else None
    if not isinstance(label_config, str):
        label_config = None
    key = backend.projects.canonical(key_of_project_object(project), label_config)
    return backend.trainings.request(key, label_config=label_config, follow_up=True, source=START_TRAINING)
