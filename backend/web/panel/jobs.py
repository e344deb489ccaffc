"""Routes that start, show and stop jobs."""

from __future__ import annotations

from flask import Blueprint, Response, request

from backend.service.jobs.log import read_job_log
from backend.service.learning.train import request_training
from backend.service.panel.live_state import job_view
from backend.service.panel.panel import Panel
from backend.service.predicting.background import request_background_predictions
from backend.service.projects.projects import parse_project_key, project_id
from backend.web.panel import job_schemas
from backend.web.panel.requests import answer, read_body

_MOST_JOBS_LISTED = 100


def jobs_blueprint(panel: Panel) -> Blueprint:
    """Return the routes of trainings, background predictions and their jobs."""
    blueprint = Blueprint("panel_jobs", __name__)
    services = panel.services

    def canonical(key: str) -> str:
        return services.projects.canonical(parse_project_key(key))

    @blueprint.post("/api/projects/<key>/train")
    def train(key: str) -> Response:
        key = canonical(key)
        body = read_body(request, job_schemas.TrainProjectBody)
        xml = str(services.label_studio(key).project(project_id(key))["label_config"])
        job_id = request_training(services, key, label_config=xml, params=body.params, source="panel")
        return answer(job_schemas.JobCreated, {"job": job_id}, 201)

    @blueprint.post("/api/projects/<key>/predict-all")
    def predict_all(key: str) -> Response:
        key = canonical(key)
        services.label_studio(key)  # refuses here what the worker would refuse later
        return answer(job_schemas.JobCreated, {"job": request_background_predictions(services, key)}, 201)

    @blueprint.get("/api/projects/<key>/jobs")
    def jobs(key: str) -> Response:
        records = services.queue.records(canonical(key), limit=_MOST_JOBS_LISTED)
        return answer(job_schemas.JobList, {"jobs": [job_view(record) for record in records]})

    @blueprint.get("/api/jobs/<job_id>")
    def job(job_id: str) -> Response:
        return answer(job_schemas.Job, job_view(services.queue.record(job_id)))

    @blueprint.get("/api/jobs/<job_id>/log")
    def job_log(job_id: str) -> Response:
        services.queue.record(job_id)
        return answer(job_schemas.JobLog, {"lines": read_job_log(services.documents, job_id)})

    @blueprint.post("/api/jobs/<job_id>/stop")
    def stop(job_id: str) -> Response:
        body = read_body(request, job_schemas.StopJobBody)
        services.queue.request_stop(job_id, mode=body.mode)
        return answer(job_schemas.Job, job_view(services.queue.record(job_id)))

    return blueprint
