"""Routes that start, show and stop jobs."""

from __future__ import annotations

from backend.errors import NotFoundError, QueueError
from backend.service.backend import Backend
from backend.service.jobs.log import read_job_log
from backend.service.panel.live_state import job_view
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key, project_id
from backend.web.panel import job_schemas
from backend.web.panel.refusals import CHANGES
from backend.web.routing import NAMES_PROJECT, Routes

_MOST_JOBS_LISTED = 100
_OF_A_JOB = (NotFoundError, QueueError)


def jobs_routes(backend: Backend) -> Routes:
    """Return the routes of trainings, background predictions and their jobs."""
    routes = Routes("panel_jobs", __name__, tag="jobs", json_only=True)
    queue = backend.jobs.queue

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @routes.post(
        "/api/projects/<key>/train",
        tag="training",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def train_project(key: str, body: job_schemas.TrainProjectBody) -> Json:
        """Train Model: learn from the current annotations."""
        key = canonical(key)
        xml = str(backend.connections.label_studio(key).project(project_id(key))["label_config"])
        job_id = backend.trainings.request(key, label_config=xml, params=body.params, source="panel")
        return {"job": job_id}

    @routes.post(
        "/api/projects/<key>/predict-all",
        tag="training",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def predict_all(key: str) -> Json:
        """Predict All: every task without a prediction of this version, in the background."""
        key = canonical(key)
        backend.connections.label_studio(key)  # refuses here what the worker would refuse later
        return {"job": backend.background.predict_project(key)}

    @routes.get("/api/projects/<key>/jobs", answer=job_schemas.JobList, refuses=(*NAMES_PROJECT, QueueError))
    def list_jobs(key: str) -> Json:
        """List the newest jobs of a project, newest first, and all that run or wait."""
        records = queue.records(canonical(key), limit=_MOST_JOBS_LISTED)
        return {"jobs": [job_view(record) for record in records]}

    @routes.get("/api/jobs/<job_id>", answer=job_schemas.Job, refuses=_OF_A_JOB)
    def show_job(job_id: str) -> Json:
        """Show a job."""
        return job_view(queue.record(job_id))

    @routes.get("/api/jobs/<job_id>/log", answer=job_schemas.JobLog, refuses=_OF_A_JOB)
    def show_job_log(job_id: str) -> Json:
        """Show what was logged while a job ran."""
        queue.record(job_id)
        return {"lines": read_job_log(backend.jobs.documents, job_id)}

    @routes.post("/api/jobs/<job_id>/stop", answer=job_schemas.Job, refuses=_OF_A_JOB)
    def stop_job(job_id: str, body: job_schemas.StopJobBody) -> Json:
        """Stop a job; a training keeps what it has learned so far, or discards it."""
        queue.request_stop(job_id, mode=body.mode)
        return job_view(queue.record(job_id))

    return routes
