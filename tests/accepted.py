"""A project of drawn pictures of which some are annotated, and a version that is sure of most others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.service.jobs.jobs import RunningJob
from tests.fakes.lease import FakeLease
from tests.fakes.services import make_services
from tests.looked_at import CONFIG, LABELS, FairPredictor, NumberedImages, sound_result, tasks
from tests.panel_fakes import KEY, FakePanelLabelStudio, PanelQueue, publish_version

ANNOTATED, COUNT = 24, 40


class DoubtfulPredictor(FairPredictor):
    """Finds something that is none, at a score of 0.45, in every third picture."""

    def _find(self, image, confidence_threshold):
        found = super()._find(image, confidence_threshold)
        if image[0, 0, 0] % 3 or confidence_threshold > 0.45:
            return found
        return replace(
            found,
            boxes_xyxy_px=np.concatenate([found.boxes_xyxy_px, np.float32([[380, 0, 400, 10]])]),
            scores=np.append(found.scores, np.float32(0.45)),
            label_indices=np.append(found.label_indices, 0),
            masks=(*found.masks, None),
        )


class AcceptanceProject:
    """A project whose first tasks are annotated, and were held back from the version that serves."""

    def __init__(self, folder):
        self.label_studio = FakePanelLabelStudio(0, CONFIG)
        self.label_studio.known_tasks = tasks(COUNT)
        for task_id in range(1, ANNOTATED + 1):
            self.label_studio.create_annotation(task_id, sound_result(task_id))
        self.services = make_services(
            folder,
            label_studio=self.label_studio,
            images=NumberedImages(COUNT),
            predictor=DoubtfulPredictor(),
            queue=PanelQueue(),
            settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
        )
        self.services.projects.remember(KEY, label_config=CONFIG)
        self.publish("v1")
        self.desk = self.services.backend.acceptance

    def publish(self, version, held_out_tasks=tuple(range(1, ANNOTATED + 1))):
        publish_version(self.services, version, labels=list(LABELS), held_out_tasks=list(held_out_tasks))

    def run(self, job_id, lease=None):
        queue = self.services.queue
        queue.jobs[job_id] = replace(queue.jobs[job_id], status="started")
        outcome = self.services.run(RunningJob(queue, queue.record(job_id), lease or FakeLease()))
        queue.jobs[job_id] = replace(queue.jobs[job_id], status=outcome.status)
        return outcome

    def count(self):
        return self.run(self.desk.requests.survey(KEY))

    def accept(self, precision=0.97):
        return self.run(self.desk.requests.accept(KEY, precision))

    def shown(self, precision=0.97):
        return self.desk.shown(KEY, precision)

    def accepted_tasks(self):
        return {task for task in range(ANNOTATED + 1, COUNT + 1) if self.label_studio.annotations(task)}
