from __future__ import annotations

import pytest

from backend.errors import StoreError
from backend.service.projects.last_events import WRITE_EVERY_S, LastEvents
from backend.service.projects.projects import Projects
from tests.fakes.documents import FakeDocuments

KEY = "7.1763750000"


class CountedDocuments(FakeDocuments):
    writes = 0

    def write(self, path, document):
        self.writes += 1
        super().write(path, document)


@pytest.fixture
def documents():
    return CountedDocuments()


def test_what_one_process_hears_every_other_one_knows(documents):
    here = LastEvents(Projects(documents), lambda: 1000.0)
    elsewhere = LastEvents(Projects(documents), lambda: 1000.0)
    assert elsewhere.at(KEY.replace("7.", "8.")) is None
    here.note(KEY)
    assert elsewhere.at(KEY) == 1000.0


def test_a_burst_is_written_once_a_minute(documents):
    now = [1000.0]
    events = LastEvents(Projects(documents), lambda: now[0])
    for _ in range(100):
        events.note(KEY)
    assert documents.writes == 1
    now[0] += WRITE_EVERY_S
    events.note(KEY)
    assert documents.writes == 2
    assert events.at(KEY) == now[0]


def test_a_full_disk_costs_no_event(documents):
    documents.failure = StoreError("no space left on device")
    events = LastEvents(Projects(documents), lambda: 1000.0)
    events.note(KEY)
    assert events.at(KEY) is None
