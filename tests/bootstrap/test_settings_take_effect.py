"""Settings from the environment to what they change: `build_backend` hands each to whom it is meant for."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from redis import Redis
from safetensors.numpy import save

from backend.bootstrap.backend import build_backend
from backend.bootstrap.jobs import build_trainings
from backend.core.versions.card import VersionCard
from backend.errors import FetchError, ImageTooLarge, LabelStudioError, VersionError
from backend.infra.labelstudio import http
from backend.infra.queue.tickets import ticket_queue
from backend.service.backend import Backend
from backend.service.ports import ImageAccess
from backend.settings import Settings
from harness.redis_process import RedisProcess
from tests.http_server import Answer, WebServer

KEY = "7.1763750000"
OPEN = ImageAccess()
CARD = VersionCard.from_json(
    {
        "architecture": {"backbone": "resnet18", "label_count": 1, "image_size_px": 416},
        "labels": ["Cat"],
    }
)


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """What a training leaves, of some 40 kB."""
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(save({"w": np.zeros(10_000, np.float32)}))
    return folder


@pytest.fixture
def built(tmp_path: Path):
    """Build a backend of its own folder from environment variables."""

    def build(**environment: str) -> Backend:
        return build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data"), **environment}))

    return build


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 1000]


@pytest.mark.parametrize(("environment", "kept"), [({}, ["v2", "v1"]), ({"KEEP_VERSIONS": "1"}, ["v2"])])
def test_keep_versions(built, trained, environment, kept):
    store = built(**environment).models.store
    for version in ("v1", "v2"):
        store.publish(KEY, version, trained, CARD, activate=True)
    assert [listed.card.version for listed in store.list(KEY)] == kept


def test_max_model_bytes(built, trained, tmp_path):
    store = built(MAX_MODEL_BYTES="10000").models.store
    store.publish(KEY, "v1", trained, CARD, activate=True)
    file = store.export_file(KEY, "v1", tmp_path / "one.model")
    with pytest.raises(VersionError, match="MAX_MODEL_BYTES"):
        store.import_file(KEY, file, activate=False)
    assert built().models.store.import_file("8.1763750000", file, activate=False)


@pytest.mark.parametrize(("environment", "kept"), [({}, 2), ({"VERSION_CACHE_BYTES": "60000"}, 1)])
def test_version_cache_bytes(built, trained, tmp_path, environment, kept):
    store = built(STORE_URL=f"memory://{tmp_path.name}", **environment).models.store
    for version in ("v1", "v2"):
        store.publish(KEY, version, trained, CARD, activate=True)
        assert store.local_folder(KEY, version).is_dir()
    assert len(list((tmp_path / "data" / "cache" / "versions").rglob("weights.safetensors"))) == kept


@pytest.mark.parametrize(
    ("environment", "error", "match"),
    [
        ({"IMAGE_MAX_BYTES": "1000"}, ImageTooLarge, "IMAGE_MAX_BYTES"),
        ({"IMAGE_MAX_PIXELS": "1000"}, ImageTooLarge, "IMAGE_MAX_PIXELS"),
        ({"IMAGE_HOSTS": "pictures.example"}, FetchError, "IMAGE_HOSTS"),
        ({"ALLOW_PRIVATE_ADDRESSES": "false"}, FetchError, "ALLOW_PRIVATE_ADDRESSES"),
        ({"IMAGE_TIMEOUT_S": "0.2"}, FetchError, "ReadTimeout"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_images_may_come(built, web, environment, error, match):
    web.routes["/a.png"] = lambda seen: time.sleep(0.4) or Answer(picture(64, 48))
    with pytest.raises(error, match=match):
        built(**environment).engine.images.load_rgb(f"{web.url}/a.png", OPEN)
    assert built().engine.images.load_rgb(f"{web.url}/a.png", OPEN).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("environment", "folder", "kept"),
    [
        ({}, "images", 1),
        ({"IMAGE_CACHE_BYTES": "20000"}, "images", 0),
        ({}, "decoded", 1),
        ({"DECODED_CACHE_BYTES": "20000"}, "decoded", 0),
    ],
    ids=["images", "IMAGE_CACHE_BYTES", "decoded", "DECODED_CACHE_BYTES"],
)
def test_what_is_kept_of_images(built, web, tmp_path, environment, folder, kept):
    web.routes["/a.png"] = Answer(picture(2000, 10))
    built(**environment).engine.images.pyramid(f"{web.url}/a.png", OPEN)
    assert len(files_below(tmp_path / "data" / "cache" / folder)) == kept


def test_label_studio_timeout_s(built, web, monkeypatch):
    monkeypatch.setattr(http, "RETRY_WAITS_S", ())
    web.routes["/api/projects/7/"] = lambda seen: time.sleep(1.5) or Answer(b"{}")
    backend = built(LABEL_STUDIO_URL=web.url, LABEL_STUDIO_API_KEY="t", LABEL_STUDIO_TIMEOUT_S="1")
    with pytest.raises(LabelStudioError, match="does not answer"):
        backend.connections.label_studio(KEY).project(7)


@pytest.mark.parametrize(("environment", "is_asked"), [({}, True), ({"PREDICT_BY_EXAMPLE": "false"}, False)])
def test_predict_by_example(built, web, environment, is_asked):
    backend = built(LABEL_STUDIO_URL=web.url, LABEL_STUDIO_API_KEY="t", **environment)
    assert backend.models.loaded.reported(KEY) == "not-trained"
    assert bool(web.asked("/api/projects/7/")) is is_asked


def test_job_timeout_s_in_the_redis_that_is_named(built, tmp_path):
    with RedisProcess(tmp_path / "redis") as redis:
        queue = built(REDIS_URL=redis.url, JOB_TIMEOUT_S="60").jobs.queue
        job_id = queue.enqueue("train", KEY, "nothing.json")
        assert queue.record(job_id).status == "queued"
        (ticket,) = ticket_queue(Redis.from_url(redis.url), "train").get_jobs()
        assert ticket.timeout == 60


def test_what_a_training_is_given(built, trained):
    weights = trained / "weights.safetensors"
    learning = build_trainings(built(DEVICE="cuda:1", PRETRAINED_PATH=str(weights))).learning
    assert (learning.device, learning.pretrained_path) == ("cuda:1", weights)
