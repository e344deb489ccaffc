from __future__ import annotations

import time
from dataclasses import replace

import pytest

from backend.errors import ImageDecodeError, LabelStudioAuthError, QueueError, StoreError
from backend.service.engine.pipeline import MOST_WAITING_IMAGES
from backend.service.predicting.answer import PredictRequest
from backend.service.projects.documents import ProjectSettings
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1763750000"
TWO_IMAGES = """
<View>
  <Image name="left" value="$left"/><Image name="right" value="$right"/>
  <RectangleLabels name="a" toName="left"><Label value="Cat"/></RectangleLabels>
  <RectangleLabels name="b" toName="right"><Label value="Dog"/></RectangleLabels>
</View>
"""
PAGES = """
<View>
  <Image name="image" valueList="$pages"/>
  <RectangleLabels name="label" toName="image"><Label value="Cat"/></RectangleLabels>
</View>
"""
CREDENTIALS = {"label_studio_url": "http://ls", "label_studio_api_key": "k"}


def tasks(*ids):
    return [{"id": k, "data": {"image": f"{k}.png"}} for k in ids]


def request(*ids, **more):
    return PredictRequest(**{"project": KEY, "label_config": RECTANGLES, "tasks": tasks(*ids), **more})


def make(tmp_path, count=40, **more):
    images = more.pop("images", None) or FakeImages({f"{k}.png": picture() for k in range(1, count + 1)})
    services = make_services(tmp_path, images=images, **more)
    add_version(services, KEY)
    return services


def test_many_tasks_come_back_in_order(tmp_path):
    services = make(tmp_path)
    sizes = {k: picture(10 + k, 20) for k in range(1, 41)}
    services.images.images = {f"{k}.png": sizes[k] for k in sizes}
    entries = services.backend.predictions.predict(request(*range(1, 41)))
    widths = [entry["result"][0]["original_width"] for entry in entries]
    assert widths == [10 + k for k in range(1, 41)]


def test_no_tasks_no_entries(tmp_path):
    assert make(tmp_path).backend.predictions.predict(request()) == []


@pytest.mark.parametrize("is_trained", [True, False], ids=["trained", "before any training"])
def test_a_task_that_is_predicted_alone_is_told_of_once_nobody_waits_any_more(tmp_path, is_trained):
    told = []

    def after_task(key, task, config, access):
        assert services.waiting_room.inside == 0
        told.append((key, task["id"], config.labels, access.login))

    services = make_services(tmp_path, images=FakeImages({"1.png": picture()}), after_task=after_task)
    if is_trained:
        add_version(services, KEY)
    services.backend.predictions.predict(request(1, 2))
    assert told == []
    services.backend.predictions.predict(request(1, login="me", password="secret"))
    assert told == [(KEY, 1, ("Cat", "Dog"), "me")]


def test_an_unreadable_image_costs_its_own_task_and_is_logged_with_its_id(tmp_path, caplog):
    services = make(tmp_path)
    services.images.images["3.png"] = ImageDecodeError("it is HTML, not an image")
    entries = services.backend.predictions.predict(request(*range(1, 11)))
    assert [index for index, entry in enumerate(entries) if entry == []] == [2]
    assert "task 3 gets no prediction: it is HTML" in caplog.text


def test_an_error_for_one_image_in_a_batch_costs_its_own_task(tmp_path):
    predictor = FakePredictor()
    services = make(tmp_path, predictor=predictor)
    services.images.images["3.png"] = picture(7, 7)
    predictor.failure = lambda images: ValueError("odd") if any(i.shape[1] == 7 for i in images) else None
    entries = services.backend.predictions.predict(request(*range(1, 11)))
    assert [index for index, entry in enumerate(entries) if entry == []] == [2]


class OutOfMemoryError(RuntimeError):
    """Called as torch calls its own."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
    ids=["gpu", "cpu"],
)
def test_a_network_out_of_memory_is_asked_in_halves(tmp_path, error):
    predictor = FakePredictor(seconds=0.01)
    predictor.failure = lambda images: error if len(images) > 1 else None
    services = make(tmp_path, predictor=predictor)
    entries = services.backend.predictions.predict(request(*range(1, 31)))
    assert all(entry["result"] for entry in entries)
    assert 1 in predictor.batches


def test_images_are_predicted_in_batches_while_others_are_fetched(tmp_path):
    predictor = FakePredictor(seconds=0.005)
    services = make(tmp_path, predictor=predictor)
    services.images.seconds = 0.1
    started = time.perf_counter()
    services.backend.predictions.predict(request(*range(1, 41)))
    assert time.perf_counter() - started < 0.7 * 40 * (0.1 + 0.005)  # a fifth of it on an idle machine
    assert max(predictor.batches) > 1
    assert max(predictor.batches) <= 8


def test_the_fetched_images_in_memory_are_bounded(tmp_path):
    predictor = FakePredictor(seconds=0.01)
    services = make(tmp_path, count=2 * MOST_WAITING_IMAGES, predictor=predictor)
    ahead = []

    def note(images):
        ahead.append(len(services.images.asked) - sum(predictor.batches[:-1]))

    predictor.failure = note
    services.backend.predictions.predict(request(*range(1, 2 * MOST_WAITING_IMAGES)))
    assert max(ahead) <= MOST_WAITING_IMAGES + 1


def test_thresholds_come_from_request_then_tag_then_project_then_extra_params(tmp_path):
    services = make(tmp_path)
    tagged = RECTANGLES.replace('toName="image"', 'toName="image" model_score_threshold="0.85"')

    def found(config=RECTANGLES, **params):
        entry = services.backend.predictions.predict(request(1, label_config=config, params=params))[0]
        return len(entry["result"])

    assert found() == 2
    services.projects.remember(KEY, extra_params={"confidence_threshold": 0.95})
    assert found() == 0
    services.projects.save_settings(KEY, ProjectSettings(params={"confidence_threshold": 0.5}))
    assert found() == 2
    assert found(tagged) == 1
    assert found(tagged, confidence_threshold=0.1) == 2


@pytest.mark.parametrize(
    ("config", "data", "expected"),
    [
        (TWO_IMAGES, {"left": "1.png", "right": "2.png"}, [("a", None), ("b", None)]),
        (PAGES, {"pages": ["1.png", "2.png"]}, [("label", 0), ("label", 1)]),
    ],
    ids=["two image tags", "pages"],
)
def test_every_image_of_a_task_is_predicted(tmp_path, config, data, expected):
    services = make(tmp_path)
    entry = services.backend.predictions.predict(
        request(tasks=[{"id": 1, "data": data}], label_config=config)
    )[0]
    found = [(region["from_name"], region.get("item_index")) for region in entry["result"]]
    assert found == expected


def test_one_unreadable_page_costs_the_task(tmp_path):
    services = make(tmp_path)
    task = {"id": 1, "data": {"pages": ["1.png", "nope.png"]}}
    assert services.backend.predictions.predict(request(tasks=[task], label_config=PAGES)) == [[]]


def test_a_label_that_is_gone_is_not_predicted_and_a_new_one_is_reported(tmp_path, caplog):
    services = make(tmp_path)
    caplog.set_level("INFO")
    config = RECTANGLES.replace("Dog", "Horse")
    entry = services.backend.predictions.predict(request(1, label_config=config))[0]
    assert [region["value"]["rectanglelabels"] for region in entry["result"]] == [["Cat"]]
    assert "has not been trained on Horse" in caplog.text


def test_jobs_know_the_credentials_that_came_last_and_their_requests_hold_none(tmp_path):
    images = FakeImages({f"{k}.png": picture() for k in range(1, 41)}, seconds=0.05)
    settings = {"predict_deadline_s": 0.2, "label_studio_url": "http://ls", "label_studio_api_key": "k"}
    services = make(tmp_path, images=images, settings=settings)
    services.backend.predictions.predict(request(*range(1, 41), login="ann", password="opensesame"))
    (job,) = services.queue.records(KEY)
    assert "opensesame" not in services.documents.content[job.payload_path]
    assert services.backend.connections.image_access(KEY, 1).password == "opensesame"
    services.backend.predictions.predict(request(1))  # a script that says nothing of them
    assert services.backend.connections.image_access(KEY, 1).login == "ann"
    services.backend.predictions.predict(request(1, is_label_studio=True))  # taken out of the project
    assert services.backend.connections.image_access(KEY, 1).login is None


def test_credentials_that_cannot_be_kept_still_serve_their_call(tmp_path):
    services = make(tmp_path)
    services.documents.failure = StoreError("the disk is full")
    [entry] = services.backend.predictions.predict(request(1, login="ann", password="opensesame"))
    assert entry["result"]
    assert services.images.asked[0][1].password == "opensesame"


def test_credentials_of_the_project_go_with_the_images(tmp_path):
    services = make(tmp_path)
    services.projects.remember(KEY, hostname="http://ls", access_token="t")
    services.backend.predictions.predict(request(1, login="ann", password="pw"))
    access = services.images.asked[0][1]
    assert (access.hostname, access.token, access.login, access.password, access.task_id) == (
        "http://ls",
        "t",
        "ann",
        "pw",
        1,
    )


def test_what_the_deadline_leaves_goes_to_the_background_once(tmp_path):
    predictor = FakePredictor(seconds=0.03)
    services = make(
        tmp_path,
        count=60,
        predictor=predictor,
        label_studio=FakeLabelStudio(),
        settings={"predict_deadline_s": 1.0, **CREDENTIALS},
    )
    ids = range(1, 61)
    entries = services.backend.predictions.predict(request(*ids, is_label_studio=True))
    done = {task_id for task_id, entry in zip(ids, entries, strict=True) if entry}
    assert 0 < len(done) < 60
    [job] = services.queue.records(KEY)
    document = services.documents.read(job.payload_path)
    assert [task["id"] for task in document["tasks"]] == [k for k in ids if k not in done]

    again = services.backend.predictions.predict(request(*ids, is_label_studio=True))
    assert {task_id for task_id, entry in zip(ids, again, strict=True) if entry} <= done
    queued = [
        task["id"]
        for job in services.queue.records(KEY)
        for task in services.documents.read(job.payload_path)["tasks"]
    ]
    assert len(queued) == len(set(queued))


def test_without_credentials_it_works_on_past_the_usual_deadline(tmp_path, caplog):
    services = make(tmp_path, predictor=FakePredictor(seconds=0.05), settings={"predict_deadline_s": 1.0})
    entries = services.backend.predictions.predict(request(*range(1, 31)))
    assert all(entries)
    assert services.queue.records(KEY) == []


def test_a_request_with_no_time_left_says_what_is_missing(tmp_path, caplog):
    services = make(tmp_path, predictor=FakePredictor(seconds=0.2), settings={"predict_deadline_s": 1.0})
    predictions = replace(services.backend.predictions, deadline_without_api_s=1.0)
    entries = predictions.predict(request(*range(1, 31)))
    assert not all(entries)
    assert "LABEL_STUDIO_API_KEY" in caplog.text


def test_a_single_task_over_the_deadline_gets_nothing(tmp_path):
    services = make(
        tmp_path, predictor=FakePredictor(seconds=1.5), settings={"predict_deadline_s": 1.0, **CREDENTIALS}
    )
    assert services.backend.predictions.predict(request(1)) == [[]]


def test_predictions_go_on_without_redis(tmp_path, caplog):
    services = make(
        tmp_path,
        predictor=FakePredictor(seconds=0.05),
        settings={"predict_deadline_s": 1.0, **CREDENTIALS},
    )
    services.queue.failure = QueueError("Redis is away")
    entries = services.backend.predictions.predict(request(*range(1, 41), is_label_studio=True))
    assert 0 < sum(bool(entry) for entry in entries) < 40
    assert "tasks get no prediction: Redis is away" in caplog.text


def test_a_refused_token_of_the_connection_counts_as_none(tmp_path, caplog):
    label_studio = FakeLabelStudio()
    label_studio.failures = [LabelStudioAuthError("401: legacy token authentication has been disabled")]
    services = make(
        tmp_path,
        predictor=FakePredictor(seconds=0.05),
        label_studio=label_studio,
        settings={"predict_deadline_s": 1.0},
    )
    services.projects.remember(KEY, hostname="http://ls", access_token="legacy")
    entries = services.backend.predictions.predict(request(*range(1, 31)))
    assert all(entries)  # it worked on past the deadline
    assert "legacy token" in caplog.text


def test_a_process_that_has_to_leave_answers_what_it_has(tmp_path):
    services = make(tmp_path, predictor=FakePredictor(seconds=0.1), settings=CREDENTIALS)
    services.engine.pipeline.hurry(0.5)
    started = time.monotonic()
    entries = services.backend.predictions.predict(request(*range(1, 41)))
    assert time.monotonic() - started < 3.0
    assert len(entries) == 40
    [job] = services.queue.records(KEY)
    assert len(services.documents.read(job.payload_path)["tasks"]) == sum(entry == [] for entry in entries)
