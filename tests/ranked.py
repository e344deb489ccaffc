"""A project of plain pictures in three colours, of which one is not labelled yet, with a twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.service.jobs.jobs import RunningJob
from tests.fakes.images import FakeImages
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import make_services
from tests.fakes.tasks import RECTANGLES
from tests.panel_fakes import KEY, FakePanelLabelStudio, PanelQueue, publish_version

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
COUNT = 24
TWIN, TWIN_OF = 24, 23
"""The last task shows nearly what the one before it does."""


def sort_of(task_id):
    """Return the number of a task's colour: every sixth picture is blue, the others red or green."""
    return 2 if task_id % 6 == 5 else task_id % 2


def coloured(task_id):
    """Return a picture of noise around the colour of its task; its first pixel names the task."""
    seed = TWIN_OF if task_id == TWIN else task_id
    rng = np.random.default_rng(seed)
    corners = rng.normal(0, 25, (2, 2, 3)).repeat(8, axis=0).repeat(8, axis=1)
    picture = np.clip(np.array(COLOURS[sort_of(seed)]) + corners, 0, 255).astype(np.uint8)
    picture[0, 0] = task_id
    return picture


class UnsurePredictor(FakePredictor):
    """Is sure of everything but of task 7, where three objects are in doubt, and of a rare Dog in task 9."""

    def _find(self, image, confidence_threshold):
        task_id = int(image[0, 0, 0])
        found = {7: [(0.5, 0), (0.45, 0), (0.4, 0)], 9: [(0.97, 0), (0.3, 1)]}.get(task_id, [(0.99, 0)])
        boxes = np.tile(np.array([[1, 1, 9, 9]], np.float32), (len(found), 1))
        return Detections(
            ImageSize(16, 16),
            boxes,
            np.array([score for score, _ in found], np.float32),
            np.array([label for _, label in found], np.int64),
            (None,) * len(found),
            image_score=0.25 if task_id == 7 else 0.75,
        )


class RankedProject:
    """The project with its services; nothing is trained, and the tasks of `labelled` are annotated."""

    def __init__(self, folder, labelled=(1, 2, 3, 4)):
        self.label_studio = FakePanelLabelStudio(0, RECTANGLES)
        self.label_studio.known_tasks = [
            {"id": number, "data": {"image": f"{number}.png"}} for number in range(1, COUNT + 1)
        ]
        for task_id in labelled:
            self.label_studio.create_annotation(task_id, [])
        self.images = FakeImages({f"{number}.png": coloured(number) for number in range(1, COUNT + 1)})
        self.services = make_services(
            folder,
            label_studio=self.label_studio,
            images=self.images,
            predictor=UnsurePredictor(),
            queue=PanelQueue(),
            settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
        )
        self.services.projects.remember(KEY, label_config=RECTANGLES)
        self.desk = self.services.backend.label_next

    def train(self):
        counts = {"images": 4, "regions": 60, "regions_by_label": {"Cat": 58, "Dog": 2}}
        publish_version(self.services, "v1", labels=["Cat", "Dog"], counts=counts)

    def rank(self, job_id=None, lease=None):
        job_id = job_id or self.desk.requests.request(KEY)
        queue = self.services.queue
        queue.jobs[job_id] = replace(queue.jobs[job_id], status="started")
        outcome = self.services.run(RunningJob(queue, queue.record(job_id), lease or FakeLease()))
        queue.jobs[job_id] = replace(
            queue.jobs[job_id], status=outcome.status, details=outcome.report.as_json()
        )
        return outcome

    def order(self):
        return [one["task_id"] for one in self.listed()["tasks"]]

    def why(self, task_id):
        return next(one["why"] for one in self.listed()["tasks"] if one["task_id"] == task_id)

    def listed(self, offset=0, limit=100):
        return self.desk.listed(KEY, offset=offset, limit=limit)

    def stored(self, version="v1"):
        """Return the stored scores of a version by task."""
        return {p["task"]: p["score"] for p in self.label_studio.pushed if p["model_version"] == version}

    def predict(self, version="v1"):
        """Store what a version predicts, with its own score."""
        self.label_studio.import_predictions(
            7,
            [
                {
                    "task": number,
                    "result": [{"id": "r", "score": 0.9}],
                    "score": 0.75,
                    "model_version": version,
                }
                for number in range(1, COUNT + 1)
            ],
        )
