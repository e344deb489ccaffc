"""Writes the folder it lies in; run it on a checkout of release 0.1.0 (commit 8575740), never on later code.

    cd CHECKOUT && OMP_NUM_THREADS=1 PYTHONPATH=$PWD python /path/to/tests/data/release_0_1/write.py OUTPUT

See README.md here for what it writes and why networks are narrow and a checkpoint is hollow.
"""

# Where an import belongs is asked of the modules of today, and these are of that release.
# ruff: noqa: I001

from __future__ import annotations

import contextlib
import json
import lzma
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import redis
import torch
from backend.infra.document_store import JsonDocuments
from backend.infra.embedded_redis import EmbeddedRedis
from backend.infra.object_store import open_object_store
from backend.infra.rq_queue import RqJobQueue
from backend.infra.version_store import Versions as StoredVersions
from backend.nn.predictor import load_predictor
from backend.service.background import finish_in_background, request_background_predictions, run_predictions
from backend.service.train import request_training, run_training

from backend.service.jobs import RunningJob
from backend.service.projects import AutoTrain, ProjectSettings
from backend.service.services import Services
from backend.training import run
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.services import make_services

POLYGONS = """
<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="shape" toName="image"><Label value="Red"/><Label value="Blue"/></PolygonLabels>
  <RectangleLabels name="box" toName="image"><Label value="Red"/><Label value="Blue"/></RectangleLabels>
</View>
"""
BOXES = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="shape" toName="image"><Label value="Red"/><Label value="Blue"/></RectangleLabels>
</View>
"""
PARAMS = {
    "epochs": 30,
    "image_size": 224,
    "batch_size": 4,
    "backbone": "test_efficientnet",
    "pretrained": False,
}
WITH_MASKS, ONLY_BOXES, INTERRUPTED = "7.1763750000", "8.1763750000", "9.1763750000"
UNUSABLE = "10.1763750000"
IMAGES = 24
WIDTH_PX, HEIGHT_PX = 96, 64


def draw(number: int) -> tuple[np.ndarray, list[tuple[str, int, int, int]]]:
    """Return a picture with a red and a blue disc, and (label, x, y, radius in pixels) of each."""
    rng = np.random.default_rng(number)
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), rng.integers(20, 60), np.uint8)
    discs = []
    for k, (label, colour) in enumerate((("Red", (220, 40, 40)), ("Blue", (40, 60, 230)))):
        radius = int(rng.integers(8, 15))
        x = k * WIDTH_PX // 2 + int(rng.integers(radius, WIDTH_PX // 2 - radius))
        y = int(rng.integers(radius, HEIGHT_PX - radius))
        cv2.circle(image, (x, y), radius, colour, -1)
        discs.append((label, x, y, radius))
    return image, discs


def task(number: int, discs: list[tuple[str, int, int, int]], kind: str) -> dict[str, Any]:
    """Return an exported task with one annotation that outlines each disc, as polygon or as rectangle."""
    regions = []
    for label, x, y, radius in discs:
        if kind == "polygonlabels":
            angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
            points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
            shape: dict[str, Any] = {"points": np.round(points / (WIDTH_PX, HEIGHT_PX) * 100, 2).tolist()}
        else:
            shape = {
                "x": round((x - radius) / WIDTH_PX * 100, 2),
                "y": round((y - radius) / HEIGHT_PX * 100, 2),
                "width": round(2 * radius / WIDTH_PX * 100, 2),
                "height": round(2 * radius / HEIGHT_PX * 100, 2),
                "rotation": 0,
            }
        regions.append(
            {
                "id": f"{number}{label}",
                "from_name": "shape",
                "to_name": "image",
                "type": kind,
                "original_width": WIDTH_PX,
                "original_height": HEIGHT_PX,
                "image_rotation": 0,
                "value": {**shape, kind: [label]},
            }
        )
    return {
        "id": number,
        "data": {"image": f"{number}.png"},
        "annotations": [{"id": number, "result": regions}],
    }


def train_narrow(inputs: Any, observer: Any) -> Any:
    """Train a network with fewer channels: a fifth of the file."""
    make = run._architecture
    run._architecture = lambda *given: replace(make(*given), neck_channels=24, mask_channels=16)
    try:
        return run.train_version(inputs, observer)
    finally:
        run._architecture = make


class PowerCut(BaseException):
    """Ends a process between two epochs, as a power cut would."""


def dying(inputs: Any, observer: Any) -> Any:
    """Train until the second epoch is reported."""
    on_epoch = observer.on_epoch

    def report(epoch_report: Any) -> None:
        on_epoch(epoch_report)
        if epoch_report.epoch == 2:
            raise PowerCut

    observer.on_epoch = report
    return run.train_version(inputs, observer)


def hollow_out(path: Path) -> None:
    """Set the large tensors of a checkpoint to a constant and compress it; names, shapes and types stay."""

    def emptied(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() > 256:
            return torch.full_like(value, 0.01)
        if isinstance(value, dict):
            return {key: emptied(item) for key, item in value.items()}
        return [emptied(item) for item in value] if isinstance(value, list) else value

    stored = torch.load(path, map_location="cpu", weights_only=True)
    torch.save(emptied(stored), path)
    path.with_suffix(".pt.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
    path.unlink()


def claimed(services: Services, kind: str) -> RunningJob:
    """Take the next job of a kind as a worker does."""
    record = services.queue.claim_next(kind, "elsewhere:1:aa")
    return RunningJob(services.queue, record, FakeLease())


def write_jobs(services: Services, tasks: dict[str, list[dict[str, Any]]], label_studio: Any) -> None:
    """Run, interrupt and queue jobs of every state."""
    # Finished: two trainings, one of which may not make masks, and a prediction of a whole project.
    for key, xml, more in ((WITH_MASKS, POLYGONS, {}), (ONLY_BOXES, BOXES, {"enable_segmentation": False})):
        job_id = request_training(
            services, key, label_config=xml, params={**PARAMS, **more}, tasks=tasks[key]
        )
        job = claimed(services, "train")
        outcome = run_training(services, job)
        services.queue.end(
            job_id,
            "elsewhere:1:aa",
            status=outcome.status,
            model_version=outcome.model_version,
            details=outcome.details,
        )
    request_background_predictions(services, WITH_MASKS)
    job = claimed(services, "predict")
    outcome = run_predictions(services, job)
    services.queue.end(
        job.job_id,
        "elsewhere:1:aa",
        status=outcome.status,
        model_version=outcome.model_version,
        details=outcome.details,
    )
    label_studio.pushed.clear()
    # Failed: nothing to learn from.
    job_id = request_training(
        services, WITH_MASKS, label_config=POLYGONS, tasks=[tasks[WITH_MASKS][0] | {"data": {}}]
    )
    job = claimed(services, "train")
    try:
        run_training(services, job)
    except Exception as exc:
        services.queue.end(job_id, "elsewhere:1:aa", status="failed", error=str(exc), details=job.details)
    # Interrupted with a checkpoint, and its follow-up.
    request_training(
        services,
        INTERRUPTED,
        label_config=POLYGONS,
        params={**PARAMS, "epochs": 4},
        tasks=tasks[WITH_MASKS][:4],
    )
    job = claimed(services, "train")
    with contextlib.suppress(PowerCut):
        run_training(replace(services, train=dying), job)
    request_training(services, INTERRUPTED, label_config=None, follow_up=True, source="START_TRAINING")
    # Queued: a training that somebody asked for, one by itself, and predictions with a password.
    request_training(
        services, WITH_MASKS, label_config=POLYGONS, params={"epochs": 2}, tasks=tasks[WITH_MASKS]
    )
    request_training(services, ONLY_BOXES, label_config=BOXES, follow_up=True, source="automatic")
    finish_in_background(
        services,
        WITH_MASKS,
        services.versions.current(WITH_MASKS),
        tasks[WITH_MASKS][-2:],
        POLYGONS,
        {"confidence_threshold": 0.25},
        login="reader",
        password="opensesame",
    )


def write_projects(services: Services) -> None:
    """Write what `/setup` and the panel leave."""
    services.projects.remember(
        WITH_MASKS,
        hostname="http://label-studio.example",
        access_token="0123456789abcdef",
        label_config=POLYGONS,
        extra_params='{"nms_threshold": 0.45}',
    )
    services.projects.remember(UNUSABLE, hostname="http://label-studio.example", extra_params='{"epochs": 0}')
    services.projects.save_settings(
        WITH_MASKS,
        ProjectSettings(
            params={"epochs": 12, "confidence_threshold": 0.2},
            predict_after_training=False,
            activation="newest",
            auto_train=AutoTrain(annotations=10, quiet_minutes=5.0),
        ),
    )


def dump_redis(url: str) -> dict[str, Any]:
    """Return the queue's own keys; RQ's tickets are left out, since lost ones are replaced."""
    found: dict[str, Any] = {}
    with redis.Redis.from_url(url, decode_responses=True) as client:
        for key in sorted(client.scan_iter("lsb:*")):
            kind = client.type(key)
            value = {
                "hash": client.hgetall,
                "list": lambda name: client.lrange(name, 0, -1),
                "zset": lambda name: dict(client.zrange(name, 0, -1, withscores=True)),
                "string": client.get,
            }[kind](key)
            found[key] = {"type": kind, "value": value}
    return found


def main() -> None:
    """Write everything into the folder that the command line names."""
    output = Path(sys.argv[1])
    data = output / "data"
    shutil.rmtree(data, ignore_errors=True)
    torch.set_num_threads(1)
    run.train_prompt_head = lambda *_, **__: {
        "smart_tools": {"tuned": False, "why": "left out to keep this small"}
    }
    pictures = {f"{k}.png": draw(k) for k in range(1, IMAGES + 1)}
    (output / "images").mkdir(parents=True, exist_ok=True)
    for name, (image, _) in pictures.items():
        cv2.imwrite(str(output / "images" / name), image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    tasks = {
        key: [task(k, pictures[f"{k}.png"][1], kind) for k in range(1, IMAGES + 1)]
        for key, kind in ((WITH_MASKS, "polygonlabels"), (ONLY_BOXES, "rectanglelabels"))
    }
    objects = open_object_store(str(data))
    store = StoredVersions(objects, output / "cache")
    label_studio = FakeLabelStudio(tasks[WITH_MASKS], POLYGONS)
    with EmbeddedRedis(output / "redis") as server:
        services = make_services(
            output,
            documents=JsonDocuments(objects),
            store=store,
            images=FakeImages({name: image for name, (image, _) in pictures.items()}),
            queue=RqJobQueue(server.url),
            train=train_narrow,
            label_studio=label_studio,
            settings={
                "data_dir": data,
                "device": "cpu",
                "label_studio_url": "http://ls",
                "label_studio_api_key": "k",
            },
        )
        services = replace(
            services,
            versions=type(services.versions)(store, lambda folder: load_predictor(folder, "cpu")),
        )
        write_projects(services)
        write_jobs(services, tasks, label_studio)
        (output / "redis.json").write_text(json.dumps(dump_redis(server.url), indent=1) + "\n")
    for path in (data / "work").glob("*/checkpoint.pt"):
        hollow_out(path)
    for folder in (output / "redis", output / "cache", *(data / "work").glob("*/images")):
        shutil.rmtree(folder, ignore_errors=True)
    write_findings(output, store, pictures)


def write_findings(output: Path, store: Any, pictures: Any) -> None:
    """Write what each version finds in two pictures."""
    findings: dict[str, Any] = {}
    for key in (WITH_MASKS, ONLY_BOXES):
        predictor = load_predictor(store.local_folder(key, store.current(key)), "cpu")
        found = predictor.predict(
            [pictures[name][0] for name in ("23.png", "24.png")], confidence_threshold=0.3, nms_threshold=0.4
        )
        findings[key] = [
            {
                "labels": [predictor.labels[k] for k in one.label_indices],
                "scores": [round(float(score), 4) for score in one.scores],
                "boxes_xyxy_px": [[round(float(side), 2) for side in box] for box in one.boxes_xyxy_px],
                "mask_areas_px": [None if mask is None else int(mask.bits.sum()) for mask in one.masks],
            }
            for one in found
        ]
    (output / "findings.json").write_text(json.dumps(findings, indent=1) + "\n")


if __name__ == "__main__":
    main()
