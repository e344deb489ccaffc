"""A Label Studio, pictures, and a worker for tests of the panel: in memory, with all that the panel asks."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.regions.brush_rle import encode_brush_rle
from backend.core.versions.card import VersionCard
from backend.errors import ImageNotFound, LabelStudioAuthError, LabelStudioError, LabelStudioGone
from backend.service.ports import ImageAccess, JobRecord, WorkerState
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.predictor import FakePredictor
from tests.fakes.queue import FakeQueue
from tests.fakes.services import FakeServices, make_services

Json = dict[str, Any]
KEY = "7.1763750000"
CREATED_AT = "2025-11-21T18:33:20Z"
SHAPES_CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">
    <Label value="Cell" background="#d9480f"/><Label value="Debris" background="#1971c2"/>
  </RectangleLabels>
  <EllipseLabels name="oval" toName="image"><Label value="Nucleus" background="#7b2ff2"/></EllipseLabels>
  <PolygonLabels name="outline" toName="image"><Label value="Cell" background="#d9480f"/></PolygonLabels>
  <BrushLabels name="paint" toName="image"><Label value="Tissue" background="#2b8a3e"/></BrushLabels>
</View>
"""


class FakePanelLabelStudio(FakeLabelStudio):
    """One project with tasks, annotations and predictions that can be read, made and deleted."""

    def __init__(
        self, task_count: int = 12, label_config: str = SHAPES_CONFIG, title: str = "Blood cells"
    ) -> None:
        tasks = [
            {"id": number, "data": {"image": f"/data/upload/7/0a1b2c3d-slide_{number:05}.png"}}
            for number in range(1, task_count + 1)
        ]
        super().__init__(tasks, label_config)
        self.title = title
        self.annotations_by_task: dict[int, list[Json]] = {}
        self.backends: list[Json] = []
        self.hooks: list[Json] = []
        self.edits = 0
        self.seconds = 0.0

    def _check(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
        super()._check()

    def project(self, project_id: int) -> Json:
        self._check()
        annotations = [item for items in self.annotations_by_task.values() for item in items]
        return {
            "id": project_id,
            "title": self.title,
            "label_config": self.label_config,
            "created_at": CREATED_AT,
            "model_version": self.model_version,
            "sampling": self.sampling,
            "task_number": len(self.known_tasks),
            "total_annotations_number": len(annotations),
            "total_predictions_number": len(self.pushed),
            "num_tasks_with_annotations": sum(bool(items) for items in self.annotations_by_task.values()),
        }

    def export_annotated(self, project_id: int) -> list[Json]:
        self._check()
        return [
            {**task, "annotations": self.annotations_by_task[task["id"]]}
            for task in self.known_tasks
            if self.annotations_by_task.get(task["id"])
        ]

    def tasks(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Json], int]:
        found, total = super().tasks(project_id, page=page, page_size=page_size)
        return [self._row(task) for task in found], total

    def iterate_tasks(self, project_id: int, *, page_size: int = 500) -> Iterable[Json]:
        self._check()
        return iter([self._row(task) for task in self.known_tasks])

    def _row(self, task: Json) -> Json:
        predictions = [item for item in self.pushed if item["task"] == task["id"]]
        return {
            **task,
            "total_annotations": len(self.annotations_by_task.get(task["id"], ())),
            "total_predictions": len(predictions),
        }

    def prediction_scores(self, project_id: int) -> dict[int, float]:
        self._check()
        scores: dict[int, list[float]] = {}
        for item in self.pushed:
            scores.setdefault(item["task"], []).append(item["score"])
        return {task_id: sum(found) / len(found) for task_id, found in scores.items()}

    def annotations(self, task_id: int) -> list[Json]:
        self._check()
        return [dict(item) for item in self.annotations_by_task.get(task_id, ())]

    def create_annotation(self, task_id: int, result: Sequence[Json], **fields: Any) -> Json:
        self._check()
        annotation = {
            "id": next(self._ids),
            "task": task_id,
            "result": list(result),
            "was_cancelled": False,
            "created_at": CREATED_AT,
            **fields,
        }
        self.annotations_by_task.setdefault(task_id, []).append(annotation)
        return dict(annotation)

    def update_annotation(self, annotation_id: int, result: Sequence[Json]) -> Json:
        self._check()
        for items in self.annotations_by_task.values():
            for number, item in enumerate(items):
                if item["id"] == annotation_id:
                    items[number] = {**item, "result": list(result)}
                    return dict(items[number])
        raise LabelStudioGone(f"there is no annotation {annotation_id}")

    def delete_annotation(self, annotation_id: int) -> None:
        self._check()
        if all(item["id"] != annotation_id for items in self.annotations_by_task.values() for item in items):
            raise LabelStudioGone(f"there is no annotation {annotation_id}")
        for items in self.annotations_by_task.values():
            items[:] = [item for item in items if item["id"] != annotation_id]

    def delete_predictions(self, prediction_ids: Iterable[int]) -> None:
        self._check()
        gone = set(prediction_ids)
        self.pushed[:] = [item for item in self.pushed if item["id"] not in gone]

    def ml_backends(self, project_id: int) -> list[Json]:
        self._check()
        return self.backends

    def webhooks(self, project_id: int) -> list[Json]:
        self._check()
        return self.hooks


class UnreachableLabelStudio:
    """Every call fails as an unreachable Label Studio does, or one that refuses the token."""

    def __init__(self, refuses: bool = False) -> None:
        self._error = (
            LabelStudioAuthError("Label Studio refused the token (401); set LABEL_STUDIO_API_KEY")
            if refuses
            else LabelStudioError("http://127.0.0.1:9 does not answer; is Label Studio running?")
        )

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            raise self._error

        return call


class DrawnImages(FakeImages):
    """Pictures of cells, drawn from the number in their name; `cached` holds the references in the cache."""

    def __init__(self, width: int = 640, height: int = 480) -> None:
        super().__init__()
        self.size_wh = (width, height)

    def load_rgb(self, reference: str, access: ImageAccess) -> np.ndarray:
        digits = reference.rpartition("_")[2].partition(".")[0]
        if not digits.isdigit():
            raise ImageNotFound(f"there is no image {reference}")
        self.cached.add(reference)
        return draw_cells(int(digits), *self.size_wh)


def draw_cells(seed: int, width: int = 640, height: int = 480) -> np.ndarray:
    """Return a picture with some round cells."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), (236, 222, 226), np.uint8)
    for _ in range(14):
        center = (int(random.integers(30, width - 30)), int(random.integers(30, height - 30)))
        radius = int(random.integers(14, 40))
        tint = (int(random.integers(150, 215)), int(random.integers(80, 130)), int(random.integers(130, 170)))
        cv2.circle(image, center, radius, tint, -1, cv2.LINE_AA)
        cv2.circle(image, center, radius // 3, (96, 44, 130), -1, cv2.LINE_AA)
    return image


def region(
    kind: str, label: str, region_id: str, value: Json, score: float | None = None, **more: Any
) -> Json:
    """Return one result of SHAPES_CONFIG; kind: rectangle, ellipse, polygon or brush."""
    names = {"rectangle": "box", "ellipse": "oval", "polygon": "outline", "brush": "paint"}
    result = {
        "id": region_id,
        "from_name": names[kind],
        "to_name": "image",
        "type": f"{kind}labels",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": {**value, f"{kind}labels": [label]},
        **more,
    }
    return result if score is None else {**result, "score": score}


def all_shapes(scores: Sequence[float] = (0.95, 0.72, 0.55, 0.31)) -> list[Json]:
    """Return a turned rectangle, an ellipse, a polygon and a painted disc."""
    mask = np.zeros((480, 640), bool)
    mask[cv2.circle(np.zeros((480, 640), np.uint8), (470, 330), 60, 1, -1) > 0] = True
    return [
        region(
            "rectangle",
            "Cell",
            "r1",
            {"x": 20, "y": 15, "width": 25, "height": 20, "rotation": 20},
            scores[0],
        ),
        region(
            "ellipse",
            "Nucleus",
            "e1",
            {"x": 70, "y": 25, "radiusX": 9, "radiusY": 14, "rotation": 30},
            scores[1],
        ),
        region(
            "polygon",
            "Cell",
            "p1",
            {"points": [[15, 55], [35, 58], [38, 80], [18, 88]], "closed": True},
            scores[2],
        ),
        region("brush", "Tissue", "b1", {"format": "rle", "rle": encode_brush_rle(mask)}, scores[3]),
    ]


class PanelQueue(FakeQueue):
    """The queue, with a number of workers to show."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__()
        self.workers = workers

    def worker_state(self) -> WorkerState:
        self._check()
        busy = sum(job.status == "started" for job in self.jobs.values())
        waiting = sum(job.status == "queued" for job in self.jobs.values())
        return WorkerState(self.workers, busy, waiting)


class FakeWorker:
    """Runs the queue's jobs in a thread: trainings with a curve, predictions of all shapes for every task."""

    def __init__(
        self, services: FakeServices, label_studio: FakePanelLabelStudio, epoch_s: float = 0.15
    ) -> None:
        self._services, self._label_studio, self._epoch_s = services, label_studio, epoch_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.versions = itertools.count(1)

    def __enter__(self) -> FakeWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            for job in list(self._services.queue.jobs.values()):
                if job.status == "queued":
                    (self._train if job.kind == "train" else self._predict)(job)

    def _set(self, job_id: str, **fields: Any) -> None:
        jobs = self._services.queue.jobs
        jobs[job_id] = replace(jobs[job_id], **fields)

    def _train(self, job: JobRecord) -> None:
        self._set(job.job_id, status="started", started_at=time.time())
        epochs, curve = 12, []
        for epoch in range(1, epochs + 1):
            if self._ending.wait(self._epoch_s):
                return
            curve = [
                *curve,
                {"epoch": epoch, "loss": 2.4 / epoch + 0.1, "box_map50": min(0.86, 0.12 * epoch)},
            ]
            self._set(
                job.job_id,
                progress={
                    "epoch": epoch,
                    "epochs": epochs,
                    "loss": curve[-1]["loss"],
                    "seconds_left": (epochs - epoch) * self._epoch_s,
                },
                details={"curve": curve, "warnings": ["ImageNet weights could not be had: random weights."]},
            )
            mode = self._services.queue.stop_modes.get(job.job_id)
            if mode == "discard":
                self._set(job.job_id, status="stopped", ended_at=time.time())
                return
            if mode == "keep":
                break
        self._publish(job, curve)

    def _publish(self, job: JobRecord, curve: list[Json]) -> None:
        version = f"20261121-2044{next(self.versions):02}-3f2a"
        metrics = {"box_map": 0.61, "box_map50": curve[-1]["box_map50"], "precision": 0.9, "recall": 0.84}
        publish_version(self._services, version, metrics=metrics)
        details = {
            **self._services.queue.jobs[job.job_id].details,
            "metrics": metrics,
            "activated": True,
            "counts": {"images": 3, "regions": 12},
        }
        self._set(job.job_id, status="finished", ended_at=time.time(), model_version=version, details=details)

    def _predict(self, job: JobRecord) -> None:
        self._set(job.job_id, status="started", started_at=time.time())
        version = self._services.versions.current(KEY)
        tasks = self._label_studio.known_tasks
        for done, task in enumerate(tasks, 1):
            if self._ending.wait(2 * self._epoch_s) or self._services.queue.stop_modes.get(job.job_id):
                self._set(job.job_id, status="stopped", ended_at=time.time())
                return
            self._label_studio.import_predictions(
                7,
                [
                    {
                        "task": task["id"],
                        "result": all_shapes(),
                        "score": 0.4 + 0.5 * done / len(tasks),
                        "model_version": version,
                    }
                ],
            )
            tiles = {"tiles": 6 * done, "tiles_total": 6 * len(tasks)}
            self._set(job.job_id, progress={"done": done, "total": len(tasks), "pushed": done, **tiles})
        self._set(job.job_id, status="finished", ended_at=time.time(), model_version=version)


def publish_version(services: FakeServices, version: str, **card: Any) -> None:
    """Publish a version of the project, as a training would, and let it serve."""
    content = {
        "labels": ["Cell", "Debris", "Nucleus", "Tissue"],
        "backbone": "resnet18",
        "created_at": time.time(),
        "params": {"backbone": "resnet18", "epochs": 12},
        "counts": {"images": 3, "regions": 12},
        "metrics": {"box_map": 0.61, "box_map50": 0.86, "precision": 0.9, "recall": 0.84},
        "per_class": {"Cell": {"recall": 0.91, "f1": 0.9}, "Tissue": {"recall": 0.78, "f1": 0.8}},
        **card,
    }
    services.store.publish(KEY, version, Path("/nonexistent"), VersionCard.from_json(content), activate=True)
    services.versions.announce(KEY)


def make_panel_services(folder: Path, label_studio: Any = None, **changes: Any) -> FakeServices:
    """Return services of fakes with one connected project."""
    settings = {"label_studio_url": "http://127.0.0.1:8080", "label_studio_api_key": "0123", "web_threads": 8}
    services = make_services(
        folder,
        **{
            "label_studio": label_studio or FakePanelLabelStudio(),
            "images": DrawnImages(),
            "queue": PanelQueue(),
            "predictor": FakePredictor(labels=("Cell", "Debris")),
            "settings": {**settings, **changes.pop("settings", {})},
            **changes,
        },
    )
    services.projects.remember(
        KEY, label_config=SHAPES_CONFIG, hostname="http://127.0.0.1:8080", access_token="0123"
    )
    return services
