from __future__ import annotations

import pytest

from backend.errors import ProjectKeyError
from backend.service.projects.documents import AutoTrain, ImageCredentials, ProjectSettings
from backend.service.projects.projects import (
    Projects,
    key_of_project_object,
    parse_project_key,
    project_id,
)
from tests.fakes.documents import FakeDocuments

LONG = "7.1763750000"


@pytest.fixture
def projects():
    return Projects(FakeDocuments(), clock=lambda: 1000.0)


@pytest.mark.parametrize("raw", ["7", 7, LONG, "0", "999999999999999"])
def test_well_formed_ids(raw):
    assert parse_project_key(raw) == str(raw)


@pytest.mark.parametrize(
    "raw",
    ["", "../../x", "7.", ".7", "7.1.2", " 7", "7\n", "-7", "7e3", "٧", None, 7.5, True, [], {}],
    ids=repr,
)
def test_malformed_ids(raw):
    with pytest.raises(ProjectKeyError, match="project must be an id"):
        parse_project_key(raw)


def test_number_of_a_key():
    assert project_id(LONG) == 7


@pytest.mark.parametrize(
    ("project", "key"),
    [
        ({"id": 1, "created_at": "2026-11-21T19:12:32.968012Z"}, "1.1795288352"),
        ({"id": 1, "created_at": "2026-11-21T20:12:32+01:00"}, "1.1795288352"),
        ({"id": 1, "created_at": "2026-11-21T19:12:32"}, "1.1795288352"),
        ({"id": 1}, "1"),
        ({"id": 1, "created_at": "yesterday"}, "1"),
        ({"id": 1, "created_at": 5}, "1"),
        (7, "7"),
        (LONG, LONG),
    ],
)
def test_key_of_an_event_equals_the_key_of_setup(project, key):
    assert key_of_project_object(project) == key


@pytest.mark.parametrize("project", [None, {}, {"id": "x"}, {"id": None}, []], ids=repr)
def test_an_event_without_project_id(project):
    with pytest.raises(ProjectKeyError):
        key_of_project_object(project)


def test_the_short_form_means_the_known_long_one(projects):
    assert projects.canonical("7") == "7"
    projects.remember(LONG, label_config="<View/>")
    assert projects.canonical("7") == projects.canonical(7) == projects.canonical(LONG) == LONG


def test_two_label_studios_with_a_project_7_are_told_apart():
    now = [1000.0]
    projects = Projects(FakeDocuments(), clock=lambda: now[0])
    projects.remember(LONG, label_config="<View>a</View>")
    now[0] = 2000.0
    projects.remember("7.1800000000", label_config="<View>b</View>")
    assert projects.canonical(LONG) == LONG
    assert projects.canonical("7.1800000000") == "7.1800000000"
    assert projects.canonical("7", "<View>a</View>") == LONG
    assert projects.canonical("7") == "7.1800000000"  # heard of last


def test_a_long_key_joins_what_was_trained_under_the_short_one(projects):
    projects.remember("7", label_config="<View/>")
    assert projects.canonical(LONG) == "7"
    assert projects.canonical("7") == "7"
    assert projects.canonical("7.1800000000") == "7.1800000000"  # another Label Studio's


def test_remember_keeps_what_does_not_come_again(projects):
    projects.remember(LONG, hostname="http://a", access_token="t", extra_params={"epochs": 2})
    connection = projects.remember(LONG, hostname=None, label_config="<View/>")
    assert (connection.hostname, connection.access_token) == ("http://a", "t")
    assert connection.extra_params == {"epochs": 2}


def test_what_another_web_process_remembered_a_moment_ago_stays():
    documents = FakeDocuments()
    one, other = Projects(documents), Projects(documents)
    other.connection(LONG)
    one.remember(LONG, image_credentials=ImageCredentials("ada", "secret"))
    other.remember(LONG, hostname="http://a", access_token="t")
    kept = Projects(documents).connection(LONG)
    assert (kept.image_credentials.login, kept.access_token) == ("ada", "t")


def test_an_unchanged_connection_is_not_written_again():
    documents, now = FakeDocuments(), [1000.0]
    projects = Projects(documents, clock=lambda: now[0])
    projects.remember(LONG, hostname="http://a")
    written = dict(documents.content)
    now[0] += 1
    projects.remember(LONG, hostname="http://a")
    assert documents.content == written


def test_reads_are_kept_for_a_few_seconds():
    documents, now = FakeDocuments(), [1000.0]
    projects = Projects(documents, clock=lambda: now[0])
    for _ in range(100):
        projects.connection(LONG)
    assert documents.reads == 1
    now[0] += 10
    projects.connection(LONG)
    assert documents.reads == 2


def test_settings_come_back_as_saved(projects):
    settings = ProjectSettings({"epochs": 9}, True, "newest", AutoTrain(10, 2.5))
    projects.save_settings(LONG, settings)
    assert projects.settings(LONG) == settings
    assert projects.settings("8") == ProjectSettings()


def test_the_token_never_shows(projects):
    assert "secret" not in repr(projects.remember(LONG, access_token="secret"))


def test_a_deleted_project_can_come_back(projects):
    projects.remember(LONG, access_token="t")
    projects.mark_deleted(LONG)
    assert projects.is_deleted(LONG)
    assert projects.connection(LONG).access_token is None
    projects.restore(LONG)
    assert not projects.is_deleted(LONG)


def test_nothing_is_left_of_a_project_that_is_forgotten():
    documents = FakeDocuments()
    projects = Projects(documents)
    for key in (LONG, "8.1763750000"):
        projects.remember(key, hostname="http://ls")
        documents.write(f"panel/{key}/predictions/3.json", {})
        documents.write(f"projects/{key}/ledger/entries.json", {})
    projects.forget(LONG)
    assert {path.split("/")[1] for path in documents.content} == {"8.1763750000"}
