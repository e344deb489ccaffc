from __future__ import annotations

import pytest

from backend.errors import LabelStudioAuthError
from backend.service.projects.connections import REMEMBERED_S, Connections
from backend.service.projects.projects import Projects
from tests.fakes.documents import FakeDocuments
from tests.fakes.label_studio import FakeLabelStudio

KEY = "7.1763750000"


@pytest.fixture
def projects():
    return Projects(FakeDocuments())


class Opened:
    """Makes a client for every address and token, and remembers them."""

    def __init__(self):
        self.label_studio, self.with_ = FakeLabelStudio(), []

    def __call__(self, url, token):
        self.with_.append((url, token))
        return self.label_studio


@pytest.fixture
def opened():
    return Opened()


@pytest.mark.parametrize(
    ("url", "api_key", "expected"),
    [
        (None, None, ("http://sent", "sent-token")),
        ("http://set", None, ("http://set", "sent-token")),
        (None, "set-key", ("http://sent", "set-key")),
        ("http://set", "set-key", ("http://set", "set-key")),
    ],
    ids=["as sent", "address set", "key set", "both set"],
)
def test_the_settings_come_before_what_setup_brought(projects, opened, url, api_key, expected):
    projects.remember(KEY, hostname="http://sent", access_token="sent-token")
    connections = Connections(projects, opened, url=url, api_key=api_key)
    connections.label_studio(KEY)
    assert opened.with_ == [expected]
    access = connections.image_access(KEY, 3)
    assert (access.hostname, access.token, access.task_id) == (*expected, 3)
    assert connections.is_complete(KEY)


@pytest.mark.parametrize(
    ("sent", "missing"),
    [({"access_token": "t"}, "LABEL_STUDIO_URL"), ({"hostname": "http://sent"}, "LABEL_STUDIO_API_KEY")],
    ids=["no address", "no key"],
)
def test_what_is_missing_is_named(projects, opened, sent, missing):
    projects.remember(KEY, **sent)
    connections = Connections(projects, opened)
    with pytest.raises(LabelStudioAuthError, match=missing):
        connections.label_studio(KEY)
    assert not connections.is_complete(KEY) and not connections.can_push(KEY)
    assert connections.configured() is None and opened.with_ == []


def test_a_token_that_setup_brought_is_tried_once_in_a_while(projects, opened):
    now = [0.0]
    projects.remember(KEY, hostname="http://sent", access_token="legacy")
    connections = Connections(projects, opened, clock=lambda: now[0])
    opened.label_studio.failures = [LabelStudioAuthError("legacy tokens are off")]
    assert [connections.can_push(KEY) for _ in range(3)] == [False] * 3
    assert len(opened.with_) == 1
    now[0] += REMEMBERED_S + 1
    assert [connections.can_push(KEY) for _ in range(3)] == [True] * 3
    assert len(opened.with_) == 2


def test_a_key_from_the_settings_is_not_tried(projects, opened):
    connections = Connections(projects, opened, url="http://set", api_key="set-key")
    assert connections.can_push(KEY) and opened.with_ == []
    assert connections.configured() is opened.label_studio
