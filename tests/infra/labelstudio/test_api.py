import base64
import json
import socket
import time
from urllib.parse import parse_qs

import pytest
import requests

from backend.errors import LabelStudioAuthError, LabelStudioError, LabelStudioGone
from backend.infra.labelstudio.api import PUSH_COUNT, LabelStudioApi
from backend.infra.labelstudio.http import RETRY_WAITS_S
from backend.infra.labelstudio.token import LabelStudioToken
from tests.http_server import Answer


def reply(value, status=200):
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


def jwt(**claims):
    parts = ({"alg": "none"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        + ".sig"
    )


HTML = Answer(b"<html>hello</html>", headers={"Content-Type": "text/html; charset=utf-8"})
PERSONAL = jwt(token_type="refresh", exp=2e9)


@pytest.fixture
def waits():
    return []


@pytest.fixture
def api(web, waits):
    return LabelStudioApi(f"{web.url}/", "legacy", timeout_s=2.0, sleep=waits.append)


class TestTokens:
    def test_a_legacy_token(self, api, web):
        web.routes["/api/projects/7/"] = reply({"id": 7})
        assert api.project(7) == {"id": 7}
        assert web.seen[0].headers["Authorization"] == "Token legacy"

    def test_below_a_path(self, web):
        web.routes["/ls/api/token/refresh/"] = reply({"access": jwt(token_type="access", iat=0, exp=300)})
        web.routes["/ls/api/projects/7/"] = reply({"id": 7})
        web.routes["/ls/api/projects/7/import/predictions"] = reply({"created": 1})
        api = LabelStudioApi(f"{web.url}/ls/", PERSONAL)
        assert api.project(7) == {"id": 7}
        assert api.import_predictions(7, [{"task": 1, "result": []}]) == 1

    def test_a_personal_token_buys_access_once(self, web):
        web.routes["/api/token/refresh/"] = reply({"access": jwt(token_type="access", iat=0, exp=300)})
        web.routes["/api/projects/7/"] = reply({"id": 7})
        api = LabelStudioApi(web.url, PERSONAL)
        api.project(7), api.project(7)
        assert json.loads(web.asked("/api/token/refresh/")[0].body) == {"refresh": PERSONAL}
        assert "Authorization" not in web.asked("/api/token/refresh/")[0].headers
        assert len(web.asked("/api/token/refresh/")) == 1
        assert web.seen[-1].headers["Authorization"].startswith("Bearer ")

    def test_access_is_renewed_before_it_ends(self, web):
        now = [0.0]
        web.routes["/api/token/refresh/"] = [reply({"access": jwt(iat=0, exp=300, n=n)}) for n in range(3)]
        token = LabelStudioToken(web.url, PERSONAL, clock=lambda: now[0])
        with requests.Session() as session:
            first = token.header(session)
            now[0] = 239.0
            assert token.header(session) == first
            now[0] = 241.0
            assert token.header(session) != first

    def test_access_that_ended_early_is_renewed_on_401(self, web):
        web.routes["/api/token/refresh/"] = [reply({"access": "one"}), reply({"access": "two"})]
        web.routes["/api/projects/7/"] = [reply({"detail": "expired"}, 401), reply({"id": 7})]
        assert LabelStudioApi(web.url, PERSONAL).project(7) == {"id": 7}
        assert [seen.headers["Authorization"] for seen in web.asked("/api/projects/7/")] == [
            "Bearer one",
            "Bearer two",
        ]

    def test_a_refusal_that_lasts_is_asked_about_twice_only(self, web):
        web.routes["/api/token/refresh/"] = reply({"access": "one"})
        web.routes["/api/projects/7/"] = reply({}, 401)
        with pytest.raises(LabelStudioAuthError):
            LabelStudioApi(web.url, PERSONAL).project(7)
        assert len(web.asked("/api/projects/7/")) == 2

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_revoked_personal_token_says_so(self, web, status):
        web.routes["/api/token/refresh/"] = reply({"detail": "blacklisted"}, status)
        with pytest.raises(LabelStudioAuthError, match="personal access token"):
            LabelStudioApi(web.url, PERSONAL).project(7)

    @pytest.mark.parametrize("answer", [HTML, reply([]), reply({}), Answer(status=404)])
    def test_no_access_token_in_the_answer(self, web, answer):
        web.routes["/api/token/refresh/"] = answer
        with pytest.raises(LabelStudioError, match="access token"):
            LabelStudioApi(web.url, PERSONAL).project(7)

    def test_an_access_token_is_used_as_it_is(self, web):
        access = jwt(token_type="access", exp=2e9)
        web.routes["/api/projects/7/"] = reply({"id": 7})
        LabelStudioApi(web.url, access).project(7)
        assert web.seen[0].headers["Authorization"] == f"Bearer {access}"

    def test_legacy_tokens_are_off_by_default_says_what_to_do(self, api, web):
        web.routes["/api/projects/7/"] = reply(
            {"detail": "legacy token authentication has been disabled"}, 401
        )
        with pytest.raises(LabelStudioAuthError, match=r"personal access token.*LABEL_STUDIO_API_KEY"):
            api.project(7)
        assert len(web.seen) == 1

    def test_a_netrc_file_does_not_replace_the_token(self, api, web, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        web.routes["/api/projects/7/"] = reply({"id": 7})
        api.project(7)
        assert web.seen[0].headers["Authorization"] == "Token legacy"

    def test_the_token_does_not_follow_a_redirect(self, api, web, other_web):
        web.routes["/api/projects/7/"] = Answer(
            status=302, headers={"Location": f"{other_web.url}/api/projects/7/"}
        )
        with pytest.raises(LabelStudioError, match=r"redirects.*LABEL_STUDIO_URL"):
            api.project(7)
        assert other_web.seen == []


class TestTrouble:
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
    def test_passing_errors_are_tried_again_with_growing_waits(self, api, web, waits, status):
        web.routes["/api/projects/7/"] = [Answer(status=status), Answer(status=status), reply({"id": 7})]
        assert api.project(7) == {"id": 7}
        assert len(waits) == 2 and waits[1] > waits[0]

    def test_lasting_errors_end(self, api, web, waits):
        web.routes["/api/projects/7/"] = reply({"detail": "broken"}, 500)
        with pytest.raises(LabelStudioError, match=r"500.*broken"):
            api.project(7)
        assert len(waits) == len(RETRY_WAITS_S)

    def test_nobody_there(self, waits):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(LabelStudioError, match="is it running"):
            LabelStudioApi(url, "t", sleep=waits.append).project(7)
        assert len(waits) == len(RETRY_WAITS_S)

    def test_silence(self, web, waits):
        web.routes["/api/projects/7/"] = lambda seen: time.sleep(0.5) or reply({})
        with pytest.raises(LabelStudioError, match="does not answer"):
            LabelStudioApi(web.url, "t", timeout_s=0.1, sleep=waits.append).project(7)

    def test_a_broken_off_answer_is_asked_for_again(self, api, web):
        half = Answer(b'{"id":', headers={"Content-Type": "application/json"}, cut=10)
        web.routes["/api/projects/7/"] = [half, reply({"id": 7})]
        assert api.project(7) == {"id": 7}

    @pytest.mark.parametrize(
        ("answer", "error", "match"),
        [
            (Answer(status=404), LabelStudioGone, "404"),
            (Answer(status=403), LabelStudioAuthError, "forbids"),
            (reply({"detail": "bad"}, 400), LabelStudioError, "bad"),
            (HTML, LabelStudioError, "text/html"),
            (reply([1]), LabelStudioError, "list"),
        ],
    )
    def test_other_answers_are_plain_errors_at_once(self, api, web, waits, answer, error, match):
        web.routes["/api/projects/7/"] = answer
        with pytest.raises(error, match=match):
            api.project(7)
        assert len(web.seen) == 1 and waits == []

    def test_a_metadata_address_is_no_label_studio(self, waits):
        with pytest.raises(LabelStudioError, match="cannot be at"):
            LabelStudioApi("http://169.254.169.254", "t", sleep=waits.append).project(7)
        assert waits == []

    def test_no_error_names_the_token(self, web, waits):
        api = LabelStudioApi(web.url, "hush-hush", sleep=waits.append)
        for answer in (Answer(status=401), Answer(status=500), HTML, Answer(status=404)):
            web.routes["/api/projects/7/"] = answer
            with pytest.raises(LabelStudioError) as caught:
                api.project(7)
            assert "hush" not in str(caught.value)


class Tasks:
    """As much of Label Studio's task list as the filters used need."""

    def __init__(self, web, count, predicted=()):
        self.ids, self.predicted = list(range(1, count + 1)), set(predicted)
        web.routes["/api/tasks/"] = self.answer

    def answer(self, seen):
        asked = {name: values[0] for name, values in parse_qs(seen.query).items()}
        assert (asked["project"], asked["resolve_uri"], asked["review"]) == ("7", "false", "true")
        found = self.ids
        for item in json.loads(asked["query"])["filters"]["items"]:
            if item["filter"] == "filter:tasks:id":
                sign = {"greater": 1, "less": -1}[item["operator"]]
                found = [task_id for task_id in found if sign * (task_id - item["value"]) > 0]
            if item["filter"] == "filter:tasks:predictions_model_versions":
                assert item["value"] == ["v1"]
                found = [task_id for task_id in found if task_id in self.predicted]
        size, page = int(asked["page_size"]), int(asked["page"])
        shown = found[size * (page - 1) : size * page]
        if not shown and page > 1:
            return Answer(status=404)
        return reply({"tasks": [{"id": task_id, "data": {}} for task_id in shown], "total": len(found)})


class TestReading:
    def test_every_task_once_also_while_tasks_come_and_go(self, api, web):
        tasks = Tasks(web, 10)
        seen = []
        for task in api.iterate_tasks(7, page_size=3):
            seen.append(task["id"])
            if task["id"] == 3:
                tasks.ids.remove(1)
                tasks.ids.append(11)
        assert seen == [*range(1, 11), 11]

    def test_one_page(self, api, web):
        Tasks(web, 5)
        web.routes["/api/projects/7/"] = reply({"id": 7})
        assert api.tasks(7, page=2, page_size=3) == ([{"id": 4, "data": {}}, {"id": 5, "data": {}}], 5)
        assert api.tasks(7, page=9, page_size=3) == ([], 5)

    def test_a_deleted_project_is_gone(self, api, web):
        for call in (lambda: api.tasks(7, page=1, page_size=3), lambda: list(api.iterate_tasks(7))):
            with pytest.raises(LabelStudioGone):
                call()

    def test_predicted_tasks(self, api, web):
        Tasks(web, 5, predicted=[2, 4])
        assert api.predicted_task_ids(7, "v1") == {2, 4}

    def test_predicted_tasks_among_a_few_are_asked_for_by_their_range(self, api, web):
        Tasks(web, 5000, predicted=range(1, 5000))
        assert api.predicted_task_ids(7, "v1", among=[4001, 4002, 4004, 5000]) == {4001, 4002, 4004}
        assert len(web.seen) == 1
        assert api.predicted_task_ids(7, "v1", among=[]) == set()

    def test_prediction_scores(self, api, web):
        web.routes["/api/projects/7/"] = reply({"evaluate_predictions_automatically": False})
        tasks = [{"id": 1, "predictions_score": 0.25}, {"id": 2, "predictions_score": None}]
        web.routes["/api/tasks/"] = reply({"tasks": tasks, "total": 2})
        assert api.prediction_scores(7) == {1: 0.25}

    def test_scores_are_not_read_where_that_would_ask_for_predictions(self, api, web):
        web.routes["/api/projects/7/"] = reply({"evaluate_predictions_automatically": True})
        assert api.prediction_scores(7) == {} and web.asked("/api/tasks/") == []

    def test_all_projects(self, api, web):
        pages = {"1": [{"id": n} for n in range(100)], "2": [{"id": 100}]}

        def answer(seen):
            page = parse_qs(seen.query)["page"][0]
            return reply({"results": pages[page], "next": "more" if page == "1" else None})

        web.routes["/api/projects/"] = answer
        assert len(api.projects()) == 101

    def test_the_export(self, api, web):
        web.routes["/api/projects/7/export"] = reply([{"id": 1, "annotations": []}])
        assert api.export_annotated(7) == [{"id": 1, "annotations": []}]
        assert web.seen[0].query == "exportType=JSON"

    def test_lists_plain_or_in_pages(self, api, web):
        web.routes["/api/tasks/5/annotations/"] = reply([{"id": 1}])
        web.routes["/api/predictions/"] = reply({"results": [{"id": 2}]})
        web.routes["/api/ml/"] = reply([{"id": 3}])
        web.routes["/api/webhooks/"] = reply([{"id": 4}])
        assert [api.annotations(5), api.predictions(5), api.ml_backends(7), api.webhooks(7)] == [
            [{"id": 1}], [{"id": 2}], [{"id": 3}], [{"id": 4}],
        ]  # fmt: skip


class TestWriting:
    def test_annotations_and_versions(self, api, web):
        web.routes["/api/tasks/5/annotations/"] = reply({"id": 9}, 201)
        web.routes["/api/annotations/9/"] = Answer(status=204)
        web.routes["/api/projects/7/"] = reply({"id": 7})
        assert api.create_annotation(5, [{"id": "r"}], lead_time=3) == {"id": 9}
        assert json.loads(web.seen[0].body) == {"lead_time": 3, "result": [{"id": "r"}]}
        api.delete_annotation(9)
        api.set_model_version(7, "v1")
        assert (web.seen[-1].method, json.loads(web.seen[-1].body)) == ("PATCH", {"model_version": "v1"})

    def test_an_annotation_is_not_made_twice(self, api, web):
        web.routes["/api/tasks/5/annotations/"] = Answer(status=502)
        with pytest.raises(LabelStudioError, match="502"):
            api.create_annotation(5, [])
        assert len(web.seen) == 1

    def test_predictions_that_are_gone_are_fine(self, api, web):
        web.routes["/api/predictions/2/"] = Answer(status=204)
        api.delete_predictions([1, 2])
        assert [seen.path for seen in web.seen] == ["/api/predictions/1/", "/api/predictions/2/"]

    def test_pushing_in_pieces(self, api, web):
        web.routes["/api/projects/7/import/predictions"] = lambda seen: reply(
            {"created": len(json.loads(seen.body))}, 201
        )
        predictions = [{"task": n, "result": [], "score": 0.5, "model_version": "v1"} for n in range(250)]
        assert api.import_predictions(7, predictions) == 250
        assert [len(json.loads(seen.body)) for seen in web.seen] == [PUSH_COUNT, PUSH_COUNT, 50]
        assert api.import_predictions(7, []) == 0

    def test_large_predictions_go_in_smaller_pieces(self, api, web):
        web.routes["/api/projects/7/import/predictions"] = lambda seen: reply(
            {"created": len(json.loads(seen.body))}, 201
        )
        heavy = {
            "task": 1,
            "result": [{"value": {"rle": "x" * 3_000_000}}],
            "score": 1,
            "model_version": "v1",
        }
        api.import_predictions(7, [heavy] * 5)
        assert [len(json.loads(seen.body)) for seen in web.seen] == [2, 2, 1]

    def test_when_the_answer_is_lost_nothing_is_stored_twice(self, api, web, waits):
        stored = []
        tasks = Tasks(web, 10)

        def half(seen):
            sent = [prediction["task"] for prediction in json.loads(seen.body)]
            stored.extend(sent if len(stored) else sent[:4])
            tasks.predicted = set(stored)
            return Answer(status=504) if len(stored) == 4 else reply({"created": len(sent)}, 201)

        web.routes["/api/projects/7/import/predictions"] = half
        predictions = [{"task": n, "result": [], "score": 0.5, "model_version": "v1"} for n in range(1, 11)]
        assert api.import_predictions(7, predictions) == 10
        assert sorted(stored) == list(range(1, 11)) and len(waits) == 1

    def test_all_arrived_although_the_answer_was_lost(self, api, web):
        Tasks(web, 3, predicted=[1, 2, 3])
        web.routes["/api/projects/7/import/predictions"] = Answer(status=504)
        predictions = [{"task": n, "result": [], "score": 0.5, "model_version": "v1"} for n in (1, 2, 3)]
        assert api.import_predictions(7, predictions) == 3
        assert len(web.asked("/api/projects/7/import/predictions")) == 1

    def test_a_task_deleted_meanwhile_does_not_cost_the_others(self, api, web):
        tasks = Tasks(web, 10)
        tasks.ids.remove(4)

        def strict(seen):
            sent = [prediction["task"] for prediction in json.loads(seen.body)]
            return reply(["no task 4"], 400) if 4 in sent else reply({"created": len(sent)}, 201)

        web.routes["/api/projects/7/import/predictions"] = strict
        predictions = [{"task": n, "result": [], "score": 0.5, "model_version": "v1"} for n in range(2, 9)]
        assert api.import_predictions(7, predictions) == 6
        assert api.import_predictions(7, predictions[2:3]) == 0, "its only task is gone"

    def test_what_label_studio_refuses_is_not_sent_again(self, api, web):
        Tasks(web, 3)
        web.routes["/api/projects/7/import/predictions"] = reply(["Prediction 0: no such task"], 400)
        with pytest.raises(LabelStudioError, match="no such task"):
            api.import_predictions(7, [{"task": 1, "result": [], "model_version": "v1"}])
        assert len(web.asked("/api/projects/7/import/predictions")) == 1
