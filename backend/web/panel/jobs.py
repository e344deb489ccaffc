"""Routes that start, show and stop jobs."""

from __future__ import annotations

from flask import Blueprint, Response, request

from backend.service.backend import Backend
from backend.service.jobs.log import read_job_log
from backend.service.panel.live_state import job_view
from backend.service.projects.projects import parse_project_key, project_id
from backend.web.panel import job_schemas
from backend.web.panel.requests import answer, read_body

_MOST_JOBS_LISTED = 100


def jobs_blueprint(backend: Backend) -> Blueprint:
    """Return the routes of trainings, background predictions and their jobs."""
    blueprint = Blueprint("panel_jobs", __name__)
    queue = backend.jobs.queue

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @blueprint.post("/api/projects/<key>/train")
    def train(key: str) -> Response:
        key = canonical(key)
        body = read_body(request, job_schemas.TrainProjectBody)
        xml = str(backend.connections.label_studio(key).project(project_id(key))["label_config"])
        job_id = backend.trainings.request(key, label_config=xml, params=body.params, source="panel")
        return answer(job_schemas.JobCreated, {"job": job_id}, 201)

    @blueprint.post("/api/projects/<key>/predict-all")
    def predict_all(key: str) -> Response:
        key = canonical(key)
        backend.connections.label_studio(key)  # refuses here what the worker would refuse later
        return answer(job_schemas.JobCreated, {"job": backend.background.predict_project(key)}, 201)

    @blueprint.get("/api/projects/<key>/jobs")
    def jobs(key: str) -> Response:
        records = queue.records(canonical(key), limit=_MOST_JOBS_LISTED)
        return answer(job_schemas.JobList, {"jobs": [job_view(record) for record in records]})

    @blueprint.get("/api/jobs/<job_id>")
    def job(job_id: str) -> Response:
        return answer(job_schemas.Job, job_view(queue.record(job_id)))

    @blueprint.get("/api/jobs/<job_id>/log")
    def job_log(job_id: str) -> Response:
        queue.record(job_id)
        return answer(job_schemas.JobLog, {"lines": read_job_log(backend.jobs.documents, job_id)})

    @blueprint.post("/api/jobs/<job_id>/stop")
    def stop(job_id: str) -> Response:
        body = read_body(request, job_schemas.StopJobBody)
        queue.request_stop(job_id, mode=body.mode)
        return answer(job_schemas.Job, job_view(queue.record(job_id)))

    return blueprint
