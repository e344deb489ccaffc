"""`enable_detection: false` through HTTP: trained, served and refused as a user meets it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.geometry.instances import MaskPatch
from backend.core.regions.brush_rle import decode_brush_rle, encode_patch_rle
from backend.errors import ParameterError
from backend.nn.detector.predictor import load_predictor
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs.jobs import RunningJob
from backend.training.run import train_version
from tests.area_scenes import SIZE, landscape
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.tasks import rectangle
from tests.fakes.version_store import FakeVersionStore
from tests.learning_scenes import QUICK
from tests.web.conftest import KEY

LABELS = '<Label value="sky"/><Label value="road"/>'
CONFIG = f"""<View><Image name="image" value="$image"/>
<BrushLabels name="paint" toName="image">{LABELS}</BrushLabels>
<PolygonLabels name="outline" toName="image"><Label value="road"/></PolygonLabels>
<RectangleLabels name="box" toName="image">{LABELS}</RectangleLabels></View>"""
ONLY_BOXES = f"""<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image">{LABELS}</RectangleLabels></View>"""
PARAMS = {
    "enable_detection": False,
    "epochs": 8,
    "image_size": 224,
    "batch_size": 4,
    "learning_rate": 0.01,
    "pretrained": False,
    "backbone": "test_resnet",
}


def painted(label, mask):
    """Return a brush region as Label Studio stores it."""
    rle = encode_patch_rle(MaskPatch.from_full(mask), SIZE)
    return {
        "id": label,
        "from_name": "paint",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": SIZE.width,
        "original_height": SIZE.height,
        "value": {"format": "rle", "rle": rle, "brushlabels": [label]},
    }


def task(task_id, *more):
    _, sky, road = landscape(task_id, has_tower=task_id % 2 == 1)
    result = [painted("sky", sky), painted("road", road), *more]
    return {
        "id": task_id,
        "data": {"image": f"{task_id}.png"},
        "annotations": [{"id": task_id, "result": result}],
    }


@pytest.fixture
def learning_client(make_client, tmp_path):
    """A client of a backend that really learns and predicts; jobs run where the test says."""
    pictures = {f"{k}.png": landscape(k, has_tower=k % 2 == 1)[0] for k in range(60)}
    store = FakeVersionStore(tmp_path / "store")
    return make_client(
        settings={"device": "cpu"},
        images=FakeImages(pictures),
        store=store,
        versions=LoadedVersions(store, load_predictor),
        train=lambda inputs, observer: train_version(replace(inputs, recipe=QUICK), observer),
    )


def run_job(client, job_id):
    """Run a queued job as a worker does, and return its record."""
    queue = client.services.queue
    client.services.run(RunningJob(queue, queue.record(job_id), FakeLease()))
    return queue.record(job_id)


def test_areas_are_learned_and_predicted_and_rectangles_get_nothing(learning_client):
    size = {"original_width": SIZE.width, "original_height": SIZE.height}
    box = {**rectangle("sky"), "from_name": "box", **size}
    tasks = [task(0, box), *(task(k) for k in range(1, 22))]
    body = {"project": KEY, "label_config": CONFIG, "annotations": tasks, "params": PARAMS}
    answer = learning_client.post("/train", json=body)
    assert answer.status_code == 201
    record = run_job(learning_client, answer.json["job"])
    (warning,) = [w for w in record.details["warnings"] if "enable_detection" in w]
    assert "box will get no predictions, and 1 region is a box that teaches no area" in warning
    assert "area_iou" in record.details["metrics"]

    wanted = [{"id": k, "data": {"image": f"{k}.png"}} for k in (40, 41)]
    body = {"project": KEY, "label_config": CONFIG, "tasks": wanted, "params": {}}
    plain, with_tower = (
        found["result"] for found in learning_client.post("/predict", json=body).json["results"]
    )
    assert {region["from_name"] for region in (*plain, *with_tower)} == {"paint", "outline"}
    brushed = [r for r in plain if r["from_name"] == "paint"]
    assert sorted(r["value"]["brushlabels"][0] for r in brushed) == ["road", "sky"]
    for region in brushed:
        mask = decode_brush_rle(region["value"]["rle"], SIZE) > 0
        drawn = dict(zip(("sky", "road"), landscape(40)[1:], strict=True))[region["value"]["brushlabels"][0]]
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.8
        assert 0 < region["score"] <= 1
    skies = [r for r in with_tower if r["value"].get("brushlabels") == ["sky"]]
    assert len(skies) == 2 and len({r["id"] for r in skies}) == 2


def test_a_threshold_above_an_areas_score_leaves_it_out(learning_client):
    body = {"project": KEY, "label_config": CONFIG, "annotations": [task(k) for k in range(3)]}
    params = {**PARAMS, "epochs": 1}
    run_job(learning_client, learning_client.post("/train", json={**body, "params": params}).json["job"])
    asked = {"project": KEY, "label_config": CONFIG, "tasks": [{"id": 1, "data": {"image": "1.png"}}]}

    def regions(threshold):
        answer = learning_client.post(
            "/predict", json={**asked, "params": {"confidence_threshold": threshold}}
        )
        return answer.json["results"][0]["result"]

    assert regions(1.0) == []
    assert all(region["score"] >= 0.01 for region in regions(0.01))


def test_a_config_of_rectangles_alone_is_refused(client):
    body = {"project": KEY, "label_config": ONLY_BOXES, "annotations": [task(1)]}
    answer = client.post("/train", json={**body, "params": {"enable_detection": False}})
    assert answer.status_code == 400
    assert answer.json["field"] == "enable_detection"
    for words in ("box", "only painted areas", "BrushLabels", "switch enable_detection on"):
        assert words in answer.json["error"]


def test_a_started_training_of_rectangles_alone_fails_with_the_reason(make_client):
    client = make_client(
        label_studio=FakeLabelStudio([task(1)], ONLY_BOXES),
        settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
    )
    client.services.projects.remember(KEY, extra_params={"enable_detection": False})
    event = {"action": "START_TRAINING", "project": {"id": 7, "created_at": "2025-11-21T18:33:20.5Z"}}
    job_id = client.post("/webhook", json=event).json["job"]
    with pytest.raises(ParameterError, match="only painted areas can be learned"):
        run_job(client, job_id)
