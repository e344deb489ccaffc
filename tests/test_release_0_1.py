"""What the first release wrote (tests/data/release_0_1) loads, serves and goes on."""

from __future__ import annotations

import json
import lzma
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import StoredVersions
from backend.nn.detector.predictor import load_predictor
from backend.service.jobs.jobs import RunningJob
from backend.service.jobs.status import describe_job
from backend.service.jobs.summary import summarize_job
from backend.service.projects.documents import AutoTrain
from backend.training.run import train_version
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.services import make_services

WRITTEN = Path(__file__).parent / "data" / "release_0_1"
FINDINGS = json.loads((WRITTEN / "findings.json").read_text())
WITH_MASKS, ONLY_BOXES, INTERRUPTED = "7.1763750000", "8.1763750000", "9.1763750000"
OWNER = "here:1:bb"


def pictures():
    return {path.name: cv2.imread(str(path))[:, :, ::-1].copy() for path in (WRITTEN / "images").iterdir()}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def queue(redis_url):
    """The queue of Redis as the release left it."""
    restore = {
        "hash": lambda client, key, value: client.hset(key, mapping=value),
        "list": lambda client, key, value: client.rpush(key, *value),
        "zset": lambda client, key, value: client.zadd(key, value),
        "string": lambda client, key, value: client.set(key, value),
    }
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        for key, entry in json.loads((WRITTEN / "redis.json").read_text()).items():
            restore[entry["type"]](client, key, entry["value"])
    return RqJobQueue(redis_url)


@pytest.fixture
def services(tmp_path, queue):
    """Services on a copy of the release's folder, with its queue and its pictures."""
    data = tmp_path / "data"
    shutil.copytree(WRITTEN / "data", data)
    for packed in (data / "work").glob("*/*.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    objects = open_object_store(str(data))
    made = make_services(
        tmp_path,
        documents=JsonDocuments(objects),
        store=StoredVersions(objects, tmp_path / "cache"),
        images=FakeImages(pictures()),
        label_studio=FakeLabelStudio({"id": k, "data": {"image": f"{k}.png"}} for k in range(1, 25)),
        queue=queue,
        settings={
            "data_dir": data,
            "device": "cpu",
            "label_studio_url": "http://ls",
            "label_studio_api_key": "k",
        },
    )
    return made


def claimed(services, kind, job_id):
    """Claim jobs of a kind until it is this one's turn."""
    while (record := services.queue.claim_next(kind, OWNER)) is not None:
        if record.job_id == job_id:
            return RunningJob(services.queue, record, FakeLease())
    raise AssertionError(f"{job_id} is not queued")


def job_of(queue, key, kind, status):
    """Return the one job of a project in a state."""
    (found,) = [job for job in queue.records(key) if (job.kind, job.status) == (kind, status)]
    return found


@pytest.mark.parametrize("key", [WITH_MASKS, ONLY_BOXES])
def test_a_version_finds_what_it_found(services, key):
    version = services.store.current(key)
    images = [services.images.images[name] for name in ("23.png", "24.png")]
    predictor = load_predictor(services.store.local_folder(key, version), "cpu")
    found = predictor.predict(images, confidence_threshold=0.3, nms_threshold=0.4)
    for one, wanted in zip(found, FINDINGS[key], strict=True):
        order = sorted(range(len(one.scores)), key=lambda k: predictor.labels[one.label_indices[k]])
        told = sorted(range(len(wanted["labels"])), key=wanted["labels"].__getitem__)
        assert [predictor.labels[one.label_indices[k]] for k in order] == sorted(wanted["labels"])
        np.testing.assert_allclose(one.scores[order], np.array(wanted["scores"])[told], atol=0.02)
        boxes = np.array(wanted["boxes_xyxy_px"])[told]
        np.testing.assert_allclose(one.boxes_xyxy_px[order], boxes, atol=0.7)
        for k, area_px in zip(order, (wanted["mask_areas_px"][k] for k in told), strict=True):
            mask = one.masks[k]
            assert (mask is None) is (area_px is None)
            assert mask is None or mask.bits.sum() == pytest.approx(area_px, rel=0.05)


def test_a_training_may_start_from_a_version(services):
    version = services.store.current(ONLY_BOXES)
    job = job_of(services.queue, ONLY_BOXES, "train", "queued")
    services.queue.request_stop(job.job_id, mode="discard")
    params = {"start_from": version, "backbone": "test_efficientnet"}
    config = services.projects.connection(ONLY_BOXES).label_config
    finished = job_of(services.queue, ONLY_BOXES, "train", "finished")
    task = services.documents.read(finished.payload_path)["tasks"][0]
    job_id = services.backend.trainings.request(ONLY_BOXES, label_config=config, params=params, tasks=[task])
    services.run(claimed(services, "train", job_id))
    assert services.train.inputs[0].start_folder.name == version


def test_settings_and_connections_are_read(services):
    settings = services.projects.settings(WITH_MASKS)
    assert settings.params == {"epochs": 12, "confidence_threshold": 0.2}
    assert (settings.activation, settings.auto_train) == ("newest", AutoTrain(10, 5.0))
    connection = services.projects.connection(WITH_MASKS)
    assert connection.hostname == "http://label-studio.example"
    assert connection.access_token == "0123456789abcdef"
    assert connection.extra_params == {"nms_threshold": 0.45}
    assert "epochs" in services.projects.connection("10.1763750000").extra_params_problem
    assert services.projects.settings(ONLY_BOXES).activation == "better"
    assert services.projects.known() == sorted(["10.1763750000", WITH_MASKS, ONLY_BOXES, INTERRUPTED])


def test_job_records_are_read(queue):
    states = Counter((job.kind, job.status) for job in queue.records())
    assert states == {
        ("train", "finished"): 2,
        ("train", "failed"): 1,
        ("train", "started"): 1,
        ("train", "queued"): 3,
        ("predict", "finished"): 1,
        ("predict", "queued"): 1,
    }
    finished = job_of(queue, WITH_MASKS, "train", "finished")
    shown = describe_job(finished)
    assert shown["params"]["epochs"] == {"value": 30, "origin": "request"}
    assert shown["counts"]["regions_by_label"] == {"Red": 24, "Blue": 24}
    assert (shown["progress"]["epoch"], len(shown["curve"])) == (30, 30)
    assert shown["activation_reason"] == "it is the first version"
    assert "finds 100% of the objects" in summarize_job(finished)
    assert "learned from 24 images with 48 objects" in summarize_job(finished)
    failed = describe_job(job_of(queue, WITH_MASKS, "train", "failed"))
    assert failed["unusable"] == {"task_without_image": 1}
    assert "nothing to learn from" in failed["error"]
    predicted = job_of(queue, WITH_MASKS, "predict", "finished")
    assert summarize_job(predicted) == "Done: 24 tasks predicted and written to Label Studio."
    assert describe_job(job_of(queue, INTERRUPTED, "train", "started"))["progress"]["epoch"] == 2


def test_a_queued_training_runs(services):
    job = job_of(services.queue, WITH_MASKS, "train", "queued")
    outcome = services.run(claimed(services, "train", job.job_id))
    assert outcome.status == "finished"
    inputs = services.train.inputs[0]
    assert len(inputs.samples) == 24
    assert (inputs.params.epochs, inputs.params.confidence_threshold) == (2, 0.2)


def test_queued_predictions_run_with_their_password_which_then_leaves_their_request(services):
    job = job_of(services.queue, WITH_MASKS, "predict", "queued")
    assert "opensesame" in json.dumps(services.documents.read(job.payload_path))
    assert services.run(claimed(services, "predict", job.job_id)).status == "finished"
    access = services.images.asked[0][1]
    assert (access.login, access.password) == ("reader", "opensesame")
    assert {item["task"] for item in services.connect("", "").pushed} == {23, 24}
    assert "opensesame" not in json.dumps(services.documents.read(job.payload_path))
    known = services.projects.connection(WITH_MASKS)
    assert (known.image_credentials.login, known.image_credentials.password) == ("reader", "opensesame")
    assert known.access_token == "0123456789abcdef"


def test_an_interrupted_training_goes_on_after_its_last_epoch(services):
    job = job_of(services.queue, INTERRUPTED, "train", "started")
    services.queue.abandon("elsewhere:1:", "the machine lost power")
    epochs = []

    def train(inputs, observer):
        on_epoch = observer.on_epoch

        def told(report):
            epochs.append(report.epoch)
            on_epoch(report)
            if report.epoch == report.epochs:
                services.queue.request_stop(job.job_id, mode="keep")  # the smart tools need no tuning here

        observer.on_epoch = told
        return train_version(inputs, observer)

    outcome = replace(services, train=train).run(claimed(services, "train", job.job_id))
    assert outcome.status == "finished"
    assert epochs == [3, 4]
    assert [point.epoch for point in outcome.report.curve] == [1, 2, 3, 4]
    assert services.store.card(INTERRUPTED, outcome.model_version).facts["images_seen"] == 4 * 18
