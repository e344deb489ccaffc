from __future__ import annotations

import errno
import itertools
import os
import time
import weakref
from dataclasses import replace

import pytest

from backend.core.geometry.points import points_of
from backend.errors import (
    AnnotationError,
    ConflictError,
    HostAway,
    LabelConfigError,
    LabelStudioAuthError,
    LossDiverged,
    NotEnoughData,
    ParameterError,
    QueueError,
    StoreError,
)
from backend.service.jobs.jobs import RunningJob
from backend.service.jobs.report import TrainingJobProgress
from backend.service.jobs.status import describe_job
from backend.service.learning.requests import AUTOMATIC
from backend.training.inputs import CHECKPOINT_FILE, TrainingPaused
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, annotated, picture, rectangle
from tests.fakes.training import FakeTrain

KEY = "7.1763750000"


@pytest.fixture
def services(tmp_path):
    return make_services(tmp_path, images=FakeImages({f"{k}.png": picture() for k in range(1, 9)}))


def queued(services, tasks=None, params=None, **more):
    more = {"label_config": RECTANGLES, "follow_up": False, **more}
    job_id = services.backend.trainings.request(KEY, params=params, tasks=tasks, **more)
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="started")
    return RunningJob(services.queue, services.queue.record(job_id), FakeLease(), clock=iter_clock())


def iter_clock():
    ticks = iter(range(10_000))
    return lambda: float(next(ticks))


def test_a_training_publishes_a_version_that_serves(services):
    job = queued(services, [annotated(1, rectangle("Cat"), rectangle("Dog")), annotated(2)])
    outcome = services.run(job)
    assert outcome.status == "finished"
    assert services.versions.current(KEY) == outcome.model_version
    card = services.store.card(KEY, outcome.model_version)
    assert card.labels == ("Cat", "Dog")
    assert card.counts.images == 2
    assert card.counts.images_without_regions == 1
    assert card.counts.regions_by_label == {"Cat": 1, "Dog": 1}
    record = services.queue.record(job.job_id)
    assert record.details["activated"] is True
    assert record.details["params"]["epochs"] == {"value": 50, "origin": "default"}
    assert [point["epoch"] for point in record.details["curve"]] == [1, 2]
    assert not (services.settings.data_dir / "work" / job.job_id).exists()


def test_progress_names_step_share_epoch_loss_and_time_left(services):
    job = queued(services, [annotated(1, rectangle())])
    services.run(job)
    assert services.queue.record(job.job_id).progress == {
        "step": "training",
        "images": 1,
        "images_total": 1,
        "fraction": 1.0,
        "epoch": 2,
        "epochs": 2,
        "loss": 0.5,
        "seconds_left": 0.0,
    }


def test_each_parameter_names_where_it_came_from(services):
    services.projects.remember(KEY, extra_params={"epochs": 9, "batch_size": 2})
    services.projects.save_settings(
        KEY, replace(services.projects.settings(KEY), params={"batch_size": 4, "image_size": 224})
    )
    config = RECTANGLES.replace('toName="image"', 'toName="image" model_score_threshold="0.6"')
    job_id = services.backend.trainings.request(
        KEY, label_config=config, params={"image_size": 320}, tasks=[annotated(1, rectangle())]
    )
    job = RunningJob(services.queue, services.queue.record(job_id), FakeLease())
    services.run(job)
    params = services.queue.record(job_id).details["params"]
    assert params["image_size"] == {"value": 320, "origin": "request"}
    assert params["batch_size"] == {"value": 4, "origin": "project settings"}
    assert params["epochs"] == {"value": 9, "origin": "Extra params"}
    assert "model_score_threshold" in params["confidence_threshold"]["origin"]
    assert params["nms_threshold"]["origin"] == "default"


def test_wrong_extra_params_fail_a_started_training_with_the_reason(services):
    services.projects.remember(KEY, extra_params='{"epochs": 0}')
    job_id = services.backend.trainings.request(KEY, label_config=RECTANGLES, follow_up=True)
    job = RunningJob(services.queue, services.queue.record(job_id), FakeLease())
    with pytest.raises(ParameterError, match=r"Extra params.*epochs"):
        services.run(job)


def test_labels_are_fetched_when_the_training_starts(tmp_path):
    label_studio = FakeLabelStudio([annotated(1, rectangle()), {"id": 2, "data": {"image": "2.png"}}])
    images = FakeImages({"1.png": picture(), "3.png": picture()})
    services = make_services(
        tmp_path,
        images=images,
        label_studio=label_studio,
        settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
    )
    job = queued(services, follow_up=True)
    label_studio.known_tasks.append(annotated(3, rectangle("Dog")))
    outcome = services.run(job)
    assert services.store.card(KEY, outcome.model_version).counts.images == 2
    assert images.asked[0][1].token == "k"


def from_prediction(task_id, proposed, **fields):
    """Return a task whose annotation began with a prediction of one region that nobody touched."""
    task = annotated(task_id, {**proposed, "origin": "prediction"})
    task["annotations"][0].update(parent_prediction=1, updated_at="2026-01-01T00:00:00Z", **fields)
    return task


def test_what_became_of_predictions_is_in_the_ledger_when_a_training_ends(tmp_path):
    proposed = rectangle()
    label_studio = FakeLabelStudio([from_prediction(1, proposed)])
    label_studio.import_predictions(7, [{"task": 1, "result": [proposed], "model_version": "v1"}])
    services = make_services(
        tmp_path,
        images=FakeImages({"1.png": picture()}),
        label_studio=label_studio,
        settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
    )
    services.run(queued(services, follow_up=True))
    told = services.backend.ledger.told(KEY)
    assert told["acts"]["kept"] == 1
    assert [one["version"] for one in told["by_version"]] == ["v1"]


def test_tasks_that_came_with_the_request_leave_the_ledger_as_it_was(services):
    services.run(queued(services, [from_prediction(1, rectangle())]))
    assert services.backend.ledger.told(KEY)["counted_at"] is None


def test_without_credentials_the_reason_names_the_settings(services):
    job = queued(services)
    with pytest.raises(LabelStudioAuthError, match="LABEL_STUDIO_URL"):
        services.run(job)


def test_what_cannot_be_used_is_counted_by_reason(services):
    services.images.images["8.png"] = picture()
    tasks = [
        annotated(1, rectangle(), rectangle("Ghost")),
        annotated(2, rectangle(width=0)),
        annotated(99, rectangle()),
        {"id": 4, "data": {}, "annotations": [{"id": 1, "result": []}]},
        {"id": 5, "data": {"image": "5.png"}, "annotations": []},
        "nonsense",
    ]
    job = queued(services, tasks)
    services.run(job)
    unusable = services.queue.record(job.job_id).details["unusable"]
    assert unusable == {
        "unknown_label": 1,
        "zero_area": 1,
        "image_not_found": 1,
        "task_without_image": 1,
        "task_without_annotation": 1,
        "task_malformed": 1,
    }


KEY_POINTS = '<KeyPointLabels name="nose" toName="image"><Label value="Nose"/></KeyPointLabels>'


def test_an_image_that_lost_all_its_regions_is_named_and_not_learned_as_an_empty_one(services):
    pixels = rectangle(x=900, y=700, width=90, height=50)
    tasks = [annotated(1, rectangle()), annotated(2, rectangle("Ghost")), annotated(3, pixels), annotated(4)]
    job = queued(services, tasks)
    services.run(job)
    details = services.queue.record(job.job_id).details
    assert (details["counts"]["images"], details["counts"]["images_without_regions"]) == (2, 1)
    assert [sample.task_id for sample in services.train.inputs[0].samples] == [1, 4]
    assert details["warnings"][0].startswith("no region usable: 2 images are left out")
    assert "(tasks 2, 3)" in details["warnings"][0]


def test_an_image_with_key_points_alone_is_learned(services):
    config = RECTANGLES.replace("</View>", f"{KEY_POINTS}</View>")
    point = {"id": "p", "type": "keypointlabels", "from_name": "nose", "to_name": "image"}
    point["value"] = {"x": 5, "y": 5, "width": 1, "keypointlabels": ["Nose"]}
    job = queued(services, [annotated(1, rectangle()), annotated(2, point)], label_config=config)
    services.run(job)
    details = services.queue.record(job.job_id).details
    assert (details["unusable"], details["counts"]["images_without_regions"]) == ({}, 0)
    assert details["counts"]["regions_by_label"] == {"Cat": 1, "Dog": 0, "Nose": 1}
    assert len(points_of(services.train.inputs[0].samples[1].target)) == 1


def test_the_status_says_in_which_tasks_something_was_left_out(services):
    keyless = {"id": 4, "data": {"photo": "4.png"}, "annotations": [{"id": 1, "result": []}]}
    ghosts = [annotated(number, rectangle(), rectangle("Ghost"), rectangle("Ghost")) for number in (3, 1)]
    job = queued(services, [*ghosts, annotated(99, rectangle()), keyless])
    services.run(job)
    told = {entry["reason"]: entry for entry in describe_job(services.queue.record(job.job_id))["left_out"]}
    assert {reason: entry["tasks"] for reason, entry in told.items()} == {
        "unknown_label": [1, 3],
        "image_not_found": [99],
        "task_without_image": [4],
    }
    assert "(Ghost; the config has Cat, Dog)" in told["unknown_label"]["meaning"]
    assert "(it has photo; the config looks for image)" in told["task_without_image"]["meaning"]


def test_tags_that_are_not_learned_are_named_in_the_job(services):
    clicks = KEY_POINTS.replace("Nose", "Cat").replace("<KeyPointLabels", '<KeyPointLabels smart="true"')
    config = RECTANGLES.replace("</View>", f"{clicks}</View>")
    job = queued(services, [annotated(1, rectangle())], label_config=config)
    services.run(job)
    [left_alone] = services.queue.record(job.job_id).details["left_alone"]
    assert (left_alone["name"], left_alone["tag"]) == ("nose", "KeyPointLabels")


def test_start_training_with_a_config_that_teaches_nothing_fails_with_the_reason(services):
    skipped = KEY_POINTS.replace("<KeyPointLabels", '<KeyPointLabels model_skip="true"')
    config = f'<View><Image name="image" value="$image"/>{skipped}</View>'
    job = queued(services, [annotated(1)], label_config=config, follow_up=True)
    with pytest.raises(LabelConfigError, match=r"nothing can be learned .* nose \(KeyPointLabels\)"):
        services.run(job)


def test_tasks_on_which_annotators_disagree_are_counted_and_named(services):
    task = annotated(2, rectangle())
    task["annotations"][0]["completed_by"] = 1
    task["annotations"].append({"id": 99, "completed_by": 2, "result": []})
    job = queued(services, [annotated(1, rectangle()), task])
    services.run(job)
    details = services.queue.record(job.job_id).details
    assert (details["disputed_tasks"], details["disputed_tasks_count"]) == ([2], 1)
    assert details["counts"]["regions"] == 2


def test_what_converters_and_older_editors_write_is_learned_and_what_is_odd_is_counted(services):
    untyped = rectangle("Dog")
    del untyped["type"]
    dragged = rectangle("Cat", x=60, width=-30)
    several = {**rectangle(), "value": {**rectangle()["value"], "rectanglelabels": ["Cat", "Dog"]}}
    one_id = [{**rectangle("Cat", x=x), "id": "result1"} for x in (5, 40, 60)]
    tasks = [annotated(1, untyped), annotated(2, dragged), annotated(3, several), annotated(4, *one_id)]
    job = queued(services, tasks)
    services.run(job)
    details = services.queue.record(job.job_id).details
    assert details["counts"] | {"tasks": 4, "images": 4} == details["counts"]
    assert (details["counts"]["regions"], details["counts"]["regions_by_label"]) == (6, {"Cat": 5, "Dog": 2})
    assert details["unusable"] == {"shared_id": 2}


def test_nothing_to_learn_from_says_why(services):
    job = queued(services, [annotated(99, rectangle())])
    with pytest.raises(NotEnoughData, match="1 × there is no such image"):
        services.run(job)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (
            rectangle("Ghost"),
            "1 × its label is not in the labeling config (Ghost; the config has Cat, Dog). Add the label",
        ),
        (
            {**rectangle(), "from_name": "old"},
            "1 × its from_name or to_name is not in the labeling config (old; the config has label)",
        ),
        (rectangle(x=900, y=700, width=90, height=50), "1 × it lies outside the image. Delete these regions"),
        (rectangle(x="12.5"), "1 × its coordinates are texts, not numbers. Write coordinates as numbers"),
    ],
    ids=["label gone", "tag renamed", "outside", "text"],
)
def test_all_regions_dropped_for_one_reason_says_what_how_often_why_and_the_next_move(services, region, said):
    job = queued(services, [annotated(1, region)])
    with pytest.raises(NotEnoughData) as caught:
        services.run(job)
    assert str(caught.value).startswith("There is nothing to learn from: no region of 1 task could be used.")
    assert said in str(caught.value)


def test_tasks_of_an_old_release_teach_as_those_of_today(services):
    old = annotated(1, rectangle())
    old["completions"] = old.pop("annotations")
    services.run(job := queued(services, [old]))
    assert services.queue.record(job.job_id).details["counts"]["regions"] == 1


def test_tasks_of_another_format_fail_with_its_name_and_the_way_out(services):
    task = {"id": 1, "image": "1.png", "label": [{"x": 1}], "annotator": 1, "annotation_id": 1}
    job = queued(services, [task])
    with pytest.raises(AnnotationError, match=r"JSON_MIN; in Label Studio choose Export, then JSON"):
        services.run(job)


def test_images_of_another_shape_than_labelled_are_left_out_and_named(services):
    services.images.images |= {"1.png": picture(80, 60), "2.png": picture(40, 40)}
    services.images.images |= {f"{number}.png": picture(30, 40) for number in (3, 4)}
    services.images.orientations["4.png"] = 5
    job = queued(services, [annotated(number, rectangle()) for number in (1, 2, 3, 4)])
    services.run(job)
    details = services.queue.record(job.job_id).details
    assert details["unusable"] == {"size_disagrees": 2} and details["counts"]["images"] == 2
    boxes = [sample.target.boxes_xyxy_px.tolist() for sample in services.train.inputs[0].samples]
    # 10 % to 50 % of either side; turned back to the left: what was the upper edge is the left one.
    assert boxes == [[[8, 6, 40, 30]], [[3, 20, 15, 36]]]
    sizes, turned = details["warnings"][:2]
    assert sizes.startswith("size disagrees: 2 images are left out") and "(tasks 2, 4)" in sizes
    assert turned.startswith("1 images lie turned") and "(tasks 3)" in turned


def test_pictures_of_twelve_bits_are_told_of_in_the_card(services):
    services.images.images |= {"1.png": picture(80, 60), "2.png": picture(80, 60)}
    services.images.stretched["2.png"] = (101, 3890)
    outcome = services.run(queued(services, [annotated(number, rectangle()) for number in (1, 2)]))
    (said,) = services.store.card(KEY, outcome.model_version).warnings
    assert said.startswith("1 16-bit picture uses no more than 12 bits") and "101 to 3890 (tasks 2)" in said


def test_a_picture_is_out_of_memory_before_more_is_asked_of_it(services, monkeypatch):
    alive = set()

    def load_rgb(reference, access):
        pixels = picture()
        alive.add(reference)
        weakref.finalize(pixels, alive.remove, reference)
        return pixels

    def stretched_range(reference, access):
        assert reference not in alive

    monkeypatch.setattr(services.images, "load_rgb", load_rgb)
    monkeypatch.setattr(services.images, "stretched_range", stretched_range)
    assert (
        services.run(queued(services, [annotated(1, rectangle()), annotated(2, rectangle())])).status
        == "finished"
    )


def test_an_image_that_was_labelled_as_it_is_stored_turns_its_regions_with_it(services):
    services.images.images["1.png"] = picture(30, 40)
    services.images.orientations["1.png"] = 6
    services.run(queued(services, [annotated(1, rectangle())]))
    (sample,) = services.train.inputs[0].samples
    assert sample.target.boxes_xyxy_px.tolist() == [[15, 4, 27, 20]]


def test_only_the_chosen_tasks_teach(services):
    tasks = [annotated(1, rectangle()), annotated(2, rectangle()), annotated(3, rectangle())]
    job = queued(services, tasks, {"task_ids": [1, 3, 77]})
    outcome = services.run(job)
    assert services.store.card(KEY, outcome.model_version).counts.images == 2
    assert "77" in services.queue.record(job.job_id).details["warnings"][0]


def test_start_from_a_version_hands_over_its_folder(services):
    add_version(services, KEY, "v1", backbone="resnet18")
    job = queued(services, [annotated(1, rectangle())], {"start_from": "v1"})
    services.run(job)
    assert services.train.inputs[0].start_folder == services.store.local_folder(KEY, "v1")


def test_what_the_version_to_start_from_has_learned_from_is_not_held_back(services):
    numbers = range(1, 31)
    services.images.images |= {f"{number}.png": picture() for number in numbers}
    tasks = [annotated(number, rectangle()) for number in numbers]

    def trained(**params):
        job = queued(services, tasks, params)
        version = services.run(job).model_version
        services.queue.jobs[job.job_id] = replace(services.queue.jobs[job.job_id], status="finished")
        return version, services.store.card(KEY, version).held_out_tasks

    first, held_out = trained()
    assert trained(start_from=first)[1] == held_out != ()
    assert services.train.inputs[1].known_tasks == set(numbers) - set(held_out)
    add_version(services, KEY, version="v9", held_out_tasks=[])  # learned from all, as few images make it
    assert trained(start_from="v9")[1] == ()
    assert services.train.inputs[2].known_tasks == set(numbers)


def test_start_from_another_backbone_is_refused_at_once(services):
    add_version(services, KEY, "v1", backbone="resnet18")
    with pytest.raises(ParameterError, match="resnet18"):
        services.backend.trainings.request(
            KEY, label_config=RECTANGLES, params={"start_from": "v1", "backbone": "resnet50"}
        )


def trained(services, tasks, **more):
    """Run a training to its end; return its outcome and what the job says of it."""
    job = queued(services, tasks, **more)
    outcome = services.run(job)
    details = services.queue.record(job.job_id).details
    services.queue.jobs[job.job_id] = replace(services.queue.jobs[job.job_id], status=outcome.status)
    return outcome, details


def test_an_automatic_training_needs_labels_that_the_newest_version_does_not_know(tmp_path):
    minutes = itertools.count()
    images = FakeImages({f"{k}.png": picture() for k in (1, 2)})
    services = make_services(tmp_path, images=images, now=lambda: 1.8e9 + 60 * next(minutes))
    one, two = annotated(1, rectangle("Cat")), annotated(2)
    first, _ = trained(services, [one, two])
    again, details = trained(services, [two, {**one, "updated_at": "later"}], source=AUTOMATIC)
    assert (again.status, again.model_version) == ("finished", first.model_version)
    assert "nothing was trained" in details["activation_reason"]
    assert len(services.train.inputs) == 1
    changed, _ = trained(services, [annotated(1, rectangle("Dog")), annotated(2)], source=AUTOMATIC)
    assert changed.model_version != first.model_version
    back, _ = trained(services, [one, two], source=AUTOMATIC)
    assert back.model_version not in (first.model_version, changed.model_version)


def test_a_training_that_somebody_asked_for_is_never_skipped(services):
    tasks = [annotated(1, rectangle("Cat"))]
    trained(services, tasks)
    trained(services, tasks)
    assert len(services.train.inputs) == 2


def test_a_second_training_is_refused_and_names_the_first(services):
    first = services.backend.trainings.request(KEY, label_config=RECTANGLES)
    with pytest.raises(ConflictError) as refused:
        services.backend.trainings.request(KEY, label_config=RECTANGLES)
    assert refused.value.job_id == first
    assert len([path for path in services.documents.content if path.startswith("jobs/")]) == 1


@pytest.mark.parametrize("error", [LossDiverged("the loss is not finite"), StoreError("disk full")])
def test_a_failed_training_leaves_the_old_version_serving(services, error):
    add_version(services, KEY, "v1")
    if isinstance(error, StoreError):
        services.store.failure = error
    else:
        services.train.failure = error
    job = queued(services, [annotated(1, rectangle())])
    with pytest.raises(type(error)):
        services.run(job)
    assert services.versions.current(KEY) == "v1"


@pytest.mark.parametrize("where", ["training", "publishing"])
def test_a_full_disk_fails_the_job_saying_so_and_leaves_nothing_behind(services, where):
    add_version(services, KEY, "v1")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if where == "training":
        services.train.failure = full
    else:
        services.store.failure = full
    job = queued(services, [annotated(1, rectangle())])
    with pytest.raises(StoreError, match="No space left on device"):
        services.run(job)
    assert services.versions.current(KEY) == "v1"
    assert [listed.card.version for listed in services.store.list(KEY)] == ["v1"]
    assert not (services.settings.data_dir / "work" / job.job_id).exists()


class Copies:
    """The CheckpointStore port, noting what it is asked."""

    def __init__(self, fetched=b""):
        self.calls, self.fetched = [], fetched

    def fetch(self, job_id, path):
        self.calls.append("fetch")
        if self.fetched:
            path.write_bytes(self.fetched)

    def keep(self, job_id, path):
        self.calls.append("keep")

    def finish(self, job_id, path, within_s):
        self.calls.append("finish")

    def drop(self, job_id):
        self.calls.append("drop")


def test_checkpoints_are_copied_to_where_other_machines_find_them(services):
    copies = Copies(fetched=b"epoch 3 of another machine")
    job = queued(services, [annotated(1, rectangle())])
    train, seen = services.train, []

    def look(inputs, observer):
        seen.append((inputs.workdir / CHECKPOINT_FILE).read_bytes())
        return train(inputs, observer)

    replace(services, checkpoints=copies, train=look).run(job)
    assert seen == [copies.fetched]
    assert copies.calls == ["fetch", "keep", "keep", "drop"]


def test_an_epoch_is_in_the_record_before_its_checkpoint_leaves_the_machine(services):
    shown = []

    class Watched(Copies):
        def keep(self, job_id, path):
            curve = services.queue.record(job_id).details["curve"]
            shown.append([point["epoch"] for point in curve])

    job_id = queued(services, [annotated(1, rectangle())]).job_id
    record = services.queue.record(job_id)
    hurried = RunningJob(services.queue, record, FakeLease(), clock=lambda: 1000.0)  # no time goes by
    replace(services, checkpoints=Watched()).run(hurried)
    assert shown == [[1], [1, 2]]


def test_a_paused_training_leaves_its_newest_checkpoint_to_others(services):
    def pause(inputs, observer):
        raise TrainingPaused("paused in epoch 4")

    copies = Copies()
    job = queued(services, [annotated(1, rectangle())])
    assert replace(services, checkpoints=copies, train=pause).run(job).status == "requeue"
    assert copies.calls == ["fetch", "finish"]
    assert (services.settings.data_dir / "work" / job.job_id).exists()


def test_a_worker_told_to_leave_while_images_load_puts_the_training_back(services):
    job = queued(services, [annotated(1, rectangle())])
    job.lease.pause_requested = True
    assert services.run(job).status == "requeue"
    job.lease.pause_requested = False
    assert services.run(job).status == "finished"


@pytest.mark.parametrize("mode", ["keep", "discard"])
def test_a_training_stopped_while_images_load_is_stopped_and_leaves_nothing(services, mode):
    job = queued(services, [annotated(1, rectangle())])
    workdir = services.settings.data_dir / "work" / job.job_id
    workdir.mkdir(parents=True)  # as of a run before, whose worker died
    services.queue.request_stop(job.job_id, mode=mode)
    copies = Copies()
    assert replace(services, checkpoints=copies).run(job).status == "stopped"
    assert not workdir.exists() and copies.calls == ["drop"]


def test_stop_and_keep_while_a_training_is_taken_up_again_keeps_what_it_had_learned(services):
    job = queued(services, [annotated(1, rectangle())])
    job.progress = TrainingJobProgress(epoch=4, epochs=9)  # as of a run before, whose worker died
    services.queue.request_stop(job.job_id, mode="keep")
    outcome = services.run(job)
    assert outcome.status == "finished" and outcome.model_version is not None


def test_a_worker_told_to_leave_does_not_wait_for_images_that_are_tried_again(services):
    job = queued(services, [annotated(1, rectangle())])

    def away(reference, access):
        job.lease.pause_requested = True
        raise HostAway("the host does not answer")

    services.images.load_rgb = away
    started = time.monotonic()
    assert services.run(job).status == "requeue"
    assert time.monotonic() - started < 2


def test_redis_away_while_labels_are_read_or_the_version_is_out_costs_no_training(services):
    services.projects.save_settings(
        KEY, replace(services.projects.settings(KEY), predict_after_training=True)
    )
    job = queued(services, [annotated(1, rectangle())])
    services.queue.failure = QueueError("Redis is away")
    outcome = services.run(job)
    assert outcome.status == "finished"
    assert services.versions.current(KEY) == outcome.model_version


def test_stop_and_keep_publishes_what_there_is(services):
    job = queued(services, [annotated(1, rectangle())])
    services.queue.request_stop(job.job_id, mode="keep")
    services.images.images["1.png"] = picture()
    outcome = run_training_after_loading(services, job)
    assert outcome.status == "finished"
    assert services.queue.record(job.job_id).details["stopped_by"] == "user"


def run_training_after_loading(services, job):
    """Run a job whose stop request arrives only once the images are loaded."""
    mode = services.queue.stop_modes.pop(job.job_id)
    train = services.train

    def late(inputs, observer):
        services.queue.stop_modes[job.job_id] = mode
        return train(inputs, observer)

    return replace(services, train=late).run(job)


def test_progress_survives_a_redis_that_is_away(services):
    class Flaky(FakeTrain):
        def __call__(self, inputs, observer):
            services.queue.failure = QueueError("Redis is away")
            observer.on_warning("random weights")
            outcome = super().__call__(inputs, observer)
            services.queue.failure = None
            return outcome

    job = queued(services, [annotated(1, rectangle())])
    outcome = replace(services, train=Flaky()).run(job)
    assert outcome.status == "finished"
    record = services.queue.record(job.job_id)
    assert record.details["warnings"] == ["random weights"]
    assert len(record.details["curve"]) == 2


def test_a_lost_lease_publishes_nothing(services):
    class LostError(Exception):
        pass

    job = queued(services, [annotated(1, rectangle())])
    job.lease.lost = LostError()
    with pytest.raises(LostError):
        services.run(job)
    assert services.store.list(KEY) == []


def test_a_worker_that_dies_after_publishing_leaves_no_second_version(services):
    job = queued(services, [annotated(1, rectangle())])
    version = services.run(job).model_version
    again = RunningJob(services.queue, services.queue.record(job.job_id), FakeLease())
    assert services.run(again).model_version == version
    assert len(services.store.list(KEY)) == 1
    assert len(services.train.inputs) == 1


def test_an_invalid_config_fails_in_plain_words(services):
    with pytest.raises(LabelConfigError):
        services.backend.trainings.request(KEY, label_config="<View")
    job_id = services.backend.trainings.request(
        KEY, label_config="<View", follow_up=True, tasks=[annotated(1)]
    )
    job = RunningJob(services.queue, services.queue.record(job_id), FakeLease())
    with pytest.raises(LabelConfigError):
        services.run(job)


@pytest.mark.parametrize(
    ("backbone", "serves", "expected"),
    [
        ("resnet18", True, "v1"),
        ("regnety_004", True, "scratch"),
        ("resnet18", False, "scratch"),
        ("auto", True, "v1"),
    ],
    ids=["same backbone", "other backbone", "nothing serves", "its own backbone"],
)
def test_the_current_model_is_gone_on_from_where_it_fits(services, backbone, serves, expected):
    if serves:
        add_version(services, KEY, "v1", backbone="resnet18")
    job = queued(services, [annotated(1, rectangle())], {"start_from": "current", "backbone": backbone})
    services.run(job)
    assert services.train.inputs[0].params.start_from == expected


def test_points_are_counted_as_regions_and_choices_as_answers(services):
    choices = '<Choices name="light" toName="image"><Choice value="Day"/><Choice value="Night"/></Choices>'
    config = RECTANGLES.replace("</View>", f"{KEY_POINTS}{choices}</View>")
    point = {"id": "p", "type": "keypointlabels", "from_name": "nose", "to_name": "image"}
    point["value"] = {"x": 5, "y": 5, "width": 1, "keypointlabels": ["Nose"]}
    choice = {"id": "c", "type": "choices", "from_name": "light", "to_name": "image"}
    choice["value"] = {"choices": ["Day"]}
    job = queued(services, [annotated(1, rectangle(), point, choice)], label_config=config)
    services.run(job)
    assert (job.report.counts.regions, job.report.counts.answers) == (2, 1)


def test_attributes_are_counted_and_what_cannot_be_used_of_them_by_reason(services):
    rating = '<Rating name="grade" toName="image" perRegion="true" maxRating="3"/>'
    drawn = {**rectangle(), "id": "r"}
    said = {**drawn, "type": "rating", "from_name": "grade"}
    results = [
        [drawn, {**said, "value": {**drawn["value"], "rating": 2}}],
        [drawn, {**said, "value": {**drawn["value"], "rating": 4}}],
        [drawn, {**said, "id": "gone", "value": {**drawn["value"], "rating": 1}}],
    ]
    job = queued(
        services,
        [annotated(k, *some) for k, some in enumerate(results, 1)],
        label_config=RECTANGLES.replace("</View>", f"{rating}</View>"),
    )
    services.run(job)
    assert (job.report.counts.regions, job.report.counts.attributes) == (3, 1)
    assert job.report.unusable == {"rating_out_of_range": 1, "region_missing": 1}
    assert services.train.inputs[0].asked["attributes"]["grade"]["marks"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("asked", "backbone"),
    [
        ({}, "tf_efficientnet_lite0"),
        ({"pretrained": False}, "resnet18"),
        ({"start_from": "v1"}, "regnety_004"),
        ({"backbone": "resnet34", "pretrained": False}, "resnet34"),
    ],
    ids=["pretrained", "not pretrained", "start version", "named"],
)
def test_auto_names_the_backbone_that_starts_best(services, asked, backbone):
    add_version(services, KEY, "v1", backbone="regnety_004")
    job = queued(services, [annotated(1, rectangle())], {"backbone": "auto", **asked})
    services.run(job)
    assert services.train.inputs[0].params.backbone == backbone
    assert job.report.params["backbone"].value == backbone
