"""Review in a real Label Studio: a second look, accepting by precision, the ledger and the report.

Every test goes on where the one before it ended; one small version is trained for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from demo.pictures import Picture, Thing, draw_pictures, iou, region_of
from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import region_to_mask

TRAINING = {"epochs": 12, "image_size": 224, "pretrained": False, "learning_rate": 0.004}
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<RectangleLabels name="box" toName="image"><Label value="Thing"/></RectangleLabels></View>'
)
SIZE_WH = (160, 120)
LEARNED, LATER, UNLABELLED = 20, 14, 10
DROPPED_FROM, INVENTED_IN = 3, 8
"""Of the tasks that were annotated after the training, those with a planted error."""
INVENTED = {"x": 8.0, "y": 58.0, "width": 17.0, "height": 22.0, "rotation": 0, "rectanglelabels": ["Thing"]}
"""As large as a thing, where that picture shows nothing."""


@dataclass(frozen=True)
class Reviewed:
    """A connected project with a version, and annotations that it did not learn from."""

    project_id: int
    key: str
    later: tuple[int, ...]
    unlabelled: tuple[int, ...]
    pictures: tuple[Picture, ...]
    dropped: Thing

    def url(self, path: str) -> str:
        return f"/api/projects/{self.key}/{path}"


def regions(picture: Picture) -> list[dict[str, Any]]:
    """Return a box around each object; of one label, so that a few pictures show enough of it."""
    drawn = []
    for number, thing in enumerate(picture.things):
        region = region_of(thing, "rectangle", "box")
        region["value"]["rectanglelabels"] = ["Thing"]
        drawn.append({**region, "id": f"drawn{number}"})
    return drawn


def finish(service: ServiceProcess, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    status = service.wait_for_job(answer.json()["job"], within_s=1500)
    assert status["job_status"] == "finished", as_json(status)
    return status


@pytest.fixture(scope="module")
def reviewed(label_studio: LabelStudio, service: ServiceProcess) -> Reviewed:
    """Train on clean annotations, then annotate more, with an object dropped and one invented."""
    pictures = draw_pictures(LEARNED + LATER + UNLABELLED, 21, SIZE_WH)
    project_id = label_studio.create_project(CONFIG, title="review")["id"]

    def tasks_of(some: Sequence[Picture], first: int) -> list[dict[str, Any]]:
        return [
            {"data": {"image": label_studio.upload(project_id, one.as_jpeg(), f"{first + number}.jpg")}}
            for number, one in enumerate(some)
        ]

    tasks = tasks_of(pictures, 0)
    learned, later, rest = tasks[:LEARNED], tasks[LEARNED : LEARNED + LATER], tasks[LEARNED + LATER :]
    for task, picture in zip(learned + later, pictures, strict=False):
        task["annotations"] = [{"result": regions(picture)}]
    dropped = max(range(len(pictures[LEARNED + DROPPED_FROM].things)), key=_area(pictures))
    del later[DROPPED_FROM]["annotations"][0]["result"][dropped]
    later[INVENTED_IN]["annotations"][0]["result"].append(
        {**regions(pictures[LEARNED + INVENTED_IN])[0], "id": "invented", "value": INVENTED}
    )
    label_studio.import_tasks(project_id, learned)
    unlabelled = label_studio.import_tasks(project_id, rest)
    ml_id = label_studio.connect(project_id, service.url, extra_params=TRAINING)
    label_studio.start_training(ml_id)
    status = service.wait_for_job(service.training_of(project_id), within_s=1500)
    assert status["job_status"] == "finished", as_json(status)
    later_ids = label_studio.import_tasks(project_id, later)
    listed = service.get("/api/projects").json()["projects"]
    (key,) = [one["key"] for one in listed if one["id"] == project_id]
    thing = pictures[LEARNED + DROPPED_FROM].things[dropped]
    return Reviewed(project_id, key, tuple(later_ids), tuple(unlabelled), tuple(pictures), thing)


def _area(pictures: Sequence[Picture]) -> Any:
    things = pictures[LEARNED + DROPPED_FROM].things
    return lambda number: int(things[number].mask.sum())


def found(service: ServiceProcess, reviewed: Reviewed, show: str = "open") -> list[dict[str, Any]]:
    return list(service.get(reviewed.url(f"second-look?limit=50&show={show}")).json()["findings"])


def planted(service: ServiceProcess, reviewed: Reviewed) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the findings of the dropped and of the invented object, which stand among the first."""
    first = found(service, reviewed)[:6]
    (missing,) = [
        one
        for one in first
        if (one["task_id"], one["kind"]) == (reviewed.later[DROPPED_FROM], "missing_object")
    ]
    (invented,) = [one for one in first if one["region_id"] == "invented"]
    assert invented["task_id"] == reviewed.later[INVENTED_IN]
    assert invented["kind"] == "object_too_many"
    return missing, invented


def drawn(label_studio: LabelStudio, task_id: int) -> dict[str, dict[str, Any]]:
    (annotation,) = label_studio.annotations(task_id)
    return {one["id"]: one for one in annotation["result"]}


def test_a_second_look_finds_both_errors_first(service: ServiceProcess, reviewed: Reviewed) -> None:
    finish(service, service.post(reviewed.url("second-look"), {"images": "unseen"}))
    look = service.get(reviewed.url("second-look")).json()
    assert look["images"] >= LATER
    missing, invented = planted(service, reviewed)
    assert missing["can_be_taken"] and invented["can_be_taken"]


def test_a_proposal_changes_the_annotation_and_is_taken_back(
    label_studio: LabelStudio, service: ServiceProcess, reviewed: Reviewed
) -> None:
    missing, _ = planted(service, reviewed)
    task_id, address = missing["task_id"], reviewed.url(f"second-look/{missing['finding_id']}")
    before = drawn(label_studio, task_id)
    for _ in range(2):
        answer = service.post(f"{address}/take", {})
        assert answer.status_code == 200, answer.text
        after = drawn(label_studio, task_id)
        (added,) = [one for region_id, one in after.items() if region_id not in before]
        assert iou(region_to_mask(added), _box(reviewed.dropped)) > 0.5
        assert {region_id: after[region_id] for region_id in before} == before
        answer = service.post(f"{address}/undo", {})
        assert answer.status_code == 200, answer.text
        assert drawn(label_studio, task_id) == before
    service.post(f"{address}/take", {}).raise_for_status()


def test_what_somebody_changed_meanwhile_is_left_alone(
    label_studio: LabelStudio, service: ServiceProcess, reviewed: Reviewed
) -> None:
    _, invented = planted(service, reviewed)
    address = reviewed.url(f"second-look/{invented['finding_id']}/take")
    (annotation,) = label_studio.annotations(invented["task_id"])
    moved = [
        {**one, "value": {**one["value"], "x": one["value"]["x"] + 1}} if one["id"] == "drawn0" else one
        for one in annotation["result"]
    ]
    label_studio.call("PATCH", f"/api/annotations/{annotation['id']}/", {"result": moved})
    assert service.post(address, {}).status_code == 409
    assert "invented" in drawn(label_studio, invented["task_id"])
    label_studio.call("PATCH", f"/api/annotations/{annotation['id']}/", {"result": annotation["result"]})
    answer = service.post(address, {})
    assert answer.status_code == 200, answer.text
    assert "invented" not in drawn(label_studio, invented["task_id"])


def test_a_dismissed_finding_is_not_listed_again(service: ServiceProcess, reviewed: Reviewed) -> None:
    missing, invented = (one["finding_id"] for one in planted(service, reviewed))
    for step in ("undo", "dismiss"):
        answer = service.post(reviewed.url(f"second-look/{invented}/{step}"), {})
        assert answer.status_code == 200, answer.text
    finish(service, service.post(reviewed.url("second-look"), {"images": "unseen"}))
    listed = {one["finding_id"] for one in found(service, reviewed)}
    assert not listed & {missing, invented}


def test_what_is_sure_enough_is_accepted_and_taken_back_as_a_whole(
    label_studio: LabelStudio, service: ServiceProcess, reviewed: Reviewed
) -> None:
    finish(service, service.post(reviewed.url("acceptance/count"), {}))
    survey = service.get(reviewed.url("acceptance?precision=0.95")).json()["survey"]
    assert survey["tasks"] == UNLABELLED
    assert survey["tasks_accepted"] > 0, as_json(survey)
    finish(service, service.post(reviewed.url("acceptance/accept"), {"precision": 0.95}))
    (batch,) = service.get(reviewed.url("acceptance")).json()["batches"]
    assert (batch["state"], batch["tasks"]) == ("accepted", survey["tasks_accepted"])
    accepted = {i: label_studio.annotations(i) for i in reviewed.unlabelled if label_studio.annotations(i)}
    assert len(accepted) == batch["tasks"]
    results = [one for (annotation,) in accepted.values() for one in annotation["result"]]
    assert len(results) == batch["regions"]
    assert {(one["meta"]["text"][0], one["origin"]) for one in results} == {(batch["batch_id"], "prediction")}

    finish(service, service.post(reviewed.url(f"acceptance/batches/{batch['batch_id']}/undo"), {}))
    (batch,) = service.get(reviewed.url("acceptance")).json()["batches"]
    assert (batch["state"], batch["kept"]) == ("undone", 0)
    assert not any(label_studio.annotations(task_id) for task_id in reviewed.unlabelled)


def test_the_ledger_says_what_annotators_did_with_predictions(
    label_studio: LabelStudio, service: ServiceProcess, reviewed: Reviewed
) -> None:
    label_studio.retrieve_predictions(reviewed.project_id, reviewed.unlabelled)
    predicted = {i: label_studio.predictions(i) for i in reviewed.unlabelled}
    whole = [i for i, (one, *_) in predicted.items() if len(one["result"]) >= 2]
    changed, kept = whole[0], whole[1]
    for task_id in (changed, kept):
        (prediction, *_) = predicted[task_id]
        result = [{**one, "origin": "prediction"} for one in prediction["result"]]
        if task_id == changed:
            result[0]["origin"] = "prediction-changed"
            result[0]["value"] = {**result[0]["value"], "x": result[0]["value"]["x"] + 2}
            result[1] = {**regions(reviewed.pictures[0])[0], "origin": "manual"}
        body = {"result": result, "parent_prediction": prediction["id"]}
        label_studio.call("POST", f"/api/tasks/{task_id}/annotations/", body)
    answer = service.post(reviewed.url("ledger"), {})
    assert answer.status_code == 200, answer.text
    version = predicted[kept][0]["model_version"]
    (told,) = [one for one in answer.json()["by_version"] if one["version"] == version]
    count = {i: len(predicted[i][0]["result"]) for i in (changed, kept)}
    assert told["annotations"] == 2
    assert told["acts"] == {
        "kept": count[kept] + count[changed] - 2,
        "moved": 1,
        "relabelled": 0,
        "deleted": 1,
        "added": 1,
        "accepted": 0,
        "repaired": 0,
    }
    assert told["hours_saved"] > 0
    figure = f'{{act="moved",project="{reviewed.key}",version="{version}"}} 1.0'
    assert f"lsb_ledger_regions{figure}" in service.get("/metrics").text


def test_the_report_of_the_version_is_one_page(service: ServiceProcess, reviewed: Reviewed) -> None:
    (version,) = service.get(reviewed.url("versions")).json()["versions"]
    address = reviewed.url(f"versions/{version['version']}/report")
    report = service.get(address).json()
    assert [one["name"] for one in report["by_label"]] == ["Thing"]
    page = service.get(f"{address}.html?download=true")
    assert page.status_code == 200
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert "http://" not in page.text.replace("http://www.w3.org", "")


def _box(thing: Thing) -> Any:
    return region_to_mask(region_of(thing, "rectangle", "box"))
