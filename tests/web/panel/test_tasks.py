from __future__ import annotations

import pytest

from tests.fakes.services import make_services
from tests.panel_fakes import KEY, UnreachableLabelStudio, make_panel_services, publish_version
from tests.web.panel.conftest import BASE, client_of, push


def test_projects_come_from_label_studio_under_their_one_key(client):
    body = client.get("/api/projects").json
    assert body["projects"] == [{"key": KEY, "id": 7, "title": "Blood cells", "is_reachable": True}]
    assert body["label_studio"]["problem"] is None


@pytest.mark.parametrize("refuses", [False, True], ids=["unreachable", "token refused"])
def test_without_label_studio_the_answer_says_what_is_missing_and_the_rest_works(tmp_path, refuses):
    services = make_panel_services(tmp_path, UnreachableLabelStudio(refuses))
    publish_version(services, "v1")
    client = client_of(services)
    body = client.get("/api/projects").json
    assert body["projects"][0]["key"] == KEY and not body["projects"][0]["is_reachable"]
    assert "LABEL_STUDIO_URL" in body["label_studio"]["fix"]
    project = client.get(BASE).json
    assert [entry["label"] for entry in project["labels"]] == ["Cell", "Debris", "Nucleus", "Tissue"]
    assert project["problem"]
    assert client.get(f"{BASE}/versions").json["current"] == "v1"
    assert client.get(f"{BASE}/settings").status_code == 200
    assert client.get(f"{BASE}/state").json["label_studio"]["reachable"] is False
    assert client.get(f"{BASE}/tasks").status_code == 502


def test_no_label_studio_at_all_is_told_with_the_way_to_set_it(tmp_path):
    services = make_panel_services(
        tmp_path, settings={"label_studio_url": None, "label_studio_api_key": None}
    )
    services.documents.content.clear()
    services = make_services(tmp_path, documents=services.documents, settings=services.settings)
    body = client_of(services).get("/api/projects").json
    assert body["projects"] == []
    assert body["label_studio"]["problem"] and "LABEL_STUDIO_API_KEY" in body["label_studio"]["fix"]


def test_task_list_is_filtered_sorted_and_cut(client, label_studio, services):
    publish_version(services, "v1")
    label_studio.create_annotation(3, [])
    push(label_studio, 4, score=0.9)
    push(label_studio, 5, score=0.2)
    push(label_studio, 6, version="v0", score=0.5)
    body = client.get(f"{BASE}/tasks?show=predicted&sort=score&limit=2").json
    assert [(row["task_id"], row["score"], row["predicted_by"]) for row in body["tasks"]] == [
        (5, 0.2, "current"),
        (6, 0.5, "older"),
    ]
    assert body["total"] == 3
    assert body["counts"] == {"all": 12, "annotated": 1, "predicted": 3, "neither": 8}
    assert body["tasks"][0]["name"] == "slide_00005.png"
    assert client.get(f"{BASE}/task-ids?show=annotated").json["task_ids"] == [3]


@pytest.mark.parametrize(
    "query",
    [
        "show=some",
        "sort=name",
        "offset=-1",
        "offset=x",
        "limit=0",
        "limit=1001",
        "limit=%E0%A5%A7",
        "limit=1e3",
    ],
)
def test_a_wrong_query_is_refused_by_name(client, query):
    answer = client.get(f"{BASE}/tasks?{query}")
    assert answer.status_code == 400
    assert answer.json["field"] == query.partition("=")[0]


@pytest.mark.parametrize("key", ["../../x", "7.x", "abc", "1" * 40])
def test_a_key_of_wrong_form_is_refused(client, key):
    assert client.get(f"/api/projects/{key}/settings").status_code in (400, 404)


def test_images_are_those_of_the_projects_tasks_only(client):
    answer = client.get(f"{BASE}/tasks/1/images/0")
    assert answer.status_code == 200
    assert answer.data[:2] == b"\xff\xd8"
    assert answer.headers["X-Image-Size"] == "640x480"
    assert client.get(f"{BASE}/tasks/1/images/1").status_code == 404
    assert client.get(f"{BASE}/tasks/999/images/0").status_code == 404
    small = client.get(f"{BASE}/tasks/1/thumbnails/0")
    assert len(small.data) < len(answer.data) / 3
    tile = client.get(f"{BASE}/tasks/1/images/0/tiles/1/0/0")
    assert tile.data[:2] == b"\xff\xd8" and tile.headers["X-Image-Size"] == "640x480"
    assert client.get(f"{BASE}/tasks/1/images/0/tiles/0/1/0").status_code == 200
    for outside in ("0/2/0", "0/0/1", "9/0/0", "0/0/-1"):
        assert client.get(f"{BASE}/tasks/1/images/0/tiles/{outside}").status_code == 404


def test_training_images_carry_their_state(client, services, label_studio):
    label_studio.create_annotation(1, [])
    label_studio.create_annotation(2, [])
    client.get(f"{BASE}/tasks/1/thumbnails/0")
    body = client.get(f"{BASE}/training-images?limit=3").json
    assert [image["state"] for image in body["images"]] == ["loaded", "not_loaded", "unlabelled"]
    assert body["counts"] == {"loaded": 1, "not_loaded": 1, "unlabelled": 10}


def test_events_are_sent_and_places_are_bounded(client, services):
    streams = []
    for _ in range(2):  # a third of eight threads
        stream = client.get(f"{BASE}/events")
        first = next(iter(stream.response))
        streams.append(stream)
        assert b"event: state" in (first if isinstance(first, bytes) else first.encode())
    refused = client.get(f"{BASE}/events")
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    assert client.get(f"{BASE}/state?since=0&wait_s=5").status_code == 200
    for stream in streams:
        stream.close()
