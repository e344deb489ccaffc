from __future__ import annotations

import pytest

from backend.service.predicting.kept import KeptPredictions


def test_what_is_written_is_read():
    kept = KeptPredictions(({"task": 1, "result": []},), kept_at=100.0, failures=3)
    assert KeptPredictions.from_document(kept.as_document()) == kept


@pytest.mark.parametrize(
    ("failures", "waited_s", "is_due"),
    [(1, 29, False), (1, 30, True), (2, 59, False), (2, 60, True), (99, 3599, False), (99, 3600, True)],
)
def test_each_failure_doubles_the_wait_up_to_an_hour(failures, waited_s, is_due):
    assert KeptPredictions((), 100.0, failures).is_due(100.0 + waited_s) is is_due
