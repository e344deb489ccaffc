"""A project of drawn pictures, what is in them, and a version that finds nearly all of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.service.jobs.jobs import RunningJob
from backend.service.second_look.findings import Look
from tests.fakes.images import FakeImages
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import make_services
from tests.panel_fakes import KEY, FakePanelLabelStudio, PanelQueue, publish_version

Json = dict[str, Any]
LABELS = ("Cell", "Debris")
WIDTH, HEIGHT = 400, 300
CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Cell"/><Label value="Debris"/></RectangleLabels>
</View>
"""
BOX_SIDE = 50


def objects_of(task_id: int) -> list[tuple[int, int, str]]:
    """Return left, top and label of the objects in the picture of a task."""
    rng = np.random.default_rng(task_id)
    places = [(column * 100 + 20, row * 100 + 20) for column in range(4) for row in range(3)]
    chosen = rng.permutation(len(places))[:7]
    return [(*places[k], LABELS[int(rng.random() < 0.4)]) for k in chosen.tolist()]


def region(task_id: int, number: int) -> Json:
    """Return one object of a picture as it should be drawn."""
    left, top, label = objects_of(task_id)[number]
    return {
        "id": f"r{task_id}-{number}",
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {
            "x": 100 * left / WIDTH,
            "y": 100 * top / HEIGHT,
            "width": 100 * BOX_SIDE / WIDTH,
            "height": 100 * BOX_SIDE / HEIGHT,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }


def sound_result(task_id: int) -> list[Json]:
    """Return all objects of a picture as they should be drawn."""
    return [region(task_id, number) for number in range(len(objects_of(task_id)))]


def with_errors(task_id: int) -> list[Json]:
    """Return what was drawn in a picture: of tasks 1 to 4 the first object is wrong, each in its own way.

    In task 5 the first object has the other label, and the second one is missing.
    """
    result = copy.deepcopy(sound_result(task_id))
    first = result[0]["value"]
    if task_id == 1:
        return result[1:]
    if task_id in (2, 5):
        first["rectanglelabels"] = [LABELS[1 - LABELS.index(first["rectanglelabels"][0])]]
    if task_id == 3:
        first["x"] += 0.4 * first["width"]
    if task_id == 4:
        taken = {place[:2] for place in objects_of(4)}
        left, top = next(
            (column * 100 + 20, row * 100 + 20)
            for column in range(4)
            for row in range(3)
            if (column * 100 + 20, row * 100 + 20) not in taken
        )
        first |= {"x": 100 * left / WIDTH, "y": 100 * top / HEIGHT}
        result.append(region(4, 0) | {"id": "second"})
    return result[:1] + result[2:] if task_id == 5 else result


def tasks(count: int) -> list[Json]:
    """Return tasks from 1 up."""
    return [{"id": number, "data": {"image": f"{number}.png"}} for number in range(1, count + 1)]


class NumberedImages(FakeImages):
    """Pictures that show the number of their task in their first pixel, and nothing else."""

    def __init__(self, count: int) -> None:
        pictures = {}
        for number in range(1, count + 1):
            pictures[f"{number}.png"] = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        super().__init__(pictures)


class FairPredictor(FakePredictor):
    """Finds the objects of numbered pictures nearly where they are, and now and then one that is none."""

    def __init__(self) -> None:
        super().__init__(labels=LABELS)

    def _find(self, image: np.ndarray, confidence_threshold: float) -> Detections:
        number = int(image[0, 0, 0])
        rng = np.random.default_rng(1000 + number)
        rows = [
            (
                *(np.array([x, y, x + BOX_SIDE, y + BOX_SIDE]) + rng.normal(0, 1.5, 4)),
                rng.uniform(0.7, 0.97),
                k,
            )
            for x, y, label in objects_of(number)
            for k in [LABELS.index(label)]
        ]
        left, top = rng.uniform(0, WIDTH - BOX_SIDE), rng.uniform(0, HEIGHT - BOX_SIDE)
        rows.append((left, top, left + BOX_SIDE, top + BOX_SIDE, rng.uniform(0.05, 0.25), rng.integers(2)))
        found = np.array(sorted(rows, key=lambda row: -row[4]), np.float32)
        found = found[found[:, 4] >= confidence_threshold]
        return Detections(
            ImageSize(WIDTH, HEIGHT),
            found[:, :4],
            found[:, 4],
            found[:, 5].astype(np.int64),
            (None,) * len(found),
            image_score=0.5,
        )


COUNT = 30
_LOOKS: list[Look] = []


class LookedProject:
    """A labelled project with four planted errors, and a version that held every task back."""

    def __init__(self, folder):
        self.label_studio = FakePanelLabelStudio(0, CONFIG)
        self.label_studio.known_tasks = tasks(COUNT)
        self.annotation_of = {
            task["id"]: self.label_studio.create_annotation(task["id"], with_errors(task["id"]))["id"]
            for task in self.label_studio.known_tasks
        }
        self.services = make_services(
            folder,
            label_studio=self.label_studio,
            images=NumberedImages(COUNT),
            predictor=FairPredictor(),
            queue=PanelQueue(),
            settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
        )
        self.services.projects.remember(KEY, label_config=CONFIG)
        self.publish(held_out_tasks=list(range(1, COUNT + 1)))
        self.desk = self.services.backend.second_look

    def publish(self, version="v1", **card):
        publish_version(self.services, version, labels=list(LABELS), **card)

    def look(self, images="unseen", **changes):
        job_id = self.desk.requests.request(KEY, images, pushes=changes.pop("pushes", False))
        return self.run(job_id)

    def look_as_before(self):
        """Keep the findings of a look that was taken once, since taking one takes seconds."""
        if not _LOOKS:
            self.look()
            _LOOKS.append(self.desk.kept.look(KEY))
        self.desk.kept.keep(KEY, _LOOKS[0])

    def run(self, job_id, lease=None, **more):
        queue = self.services.queue
        queue.jobs[job_id] = replace(queue.jobs[job_id], status="started")
        outcome = self.services.run(RunningJob(queue, queue.record(job_id), lease or FakeLease(), **more))
        queue.jobs[job_id] = replace(queue.jobs[job_id], status=outcome.status)
        return outcome

    def listed(self, **query):
        return self.desk.listed(KEY, **{"kind": None, "show": "open", "offset": 0, "limit": 100, **query})

    def finding_of(self, task_id):
        return next(one for one in self.listed()["findings"] if one["task_id"] == task_id)

    def result_of(self, task_id):
        return self.label_studio.annotations(task_id)[0]["result"]
