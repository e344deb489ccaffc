from __future__ import annotations

import pytest

from backend.errors import StoreError
from backend.service.acceptance.survey import Batch, KeptSurveys, Survey, SurveyedTask
from tests.fakes.documents import FakeDocuments


def survey(made_at: float, *task_ids: int) -> Survey:
    tasks = tuple(SurveyedTask(task_id, ((0, 0.9),), True, result=({"id": "r"},)) for task_id in task_ids)
    return Survey(made_at, "v1", ("Cell",), 10, (0.9,), (0,), (True,), tasks)


def test_a_count_that_is_cut_off_while_it_is_kept_leaves_none_rather_than_one_that_lacks_results():
    documents = FakeDocuments()
    kept = KeptSurveys(documents)
    kept.keep("7", survey(1.0, 1, 2))
    assert [task_id for task_id, _ in kept.results("7", kept.survey("7"), [1, 2])] == [1, 2]
    documents.failure = StoreError("the disk is full")
    with pytest.raises(StoreError):
        kept.keep("7", survey(2.0, 3))
    assert kept.survey("7") is None


def test_what_was_accepted_last_stands_first_whatever_it_is_called():
    kept = KeptSurveys(FakeDocuments())
    for made_at, batch_id in ((1.0, "ff"), (3.0, "0a"), (2.0, "80")):
        kept.note("7", Batch(batch_id, made_at, "v1", 0.9, "accepted"))
    assert [batch.batch_id for batch in kept.batches("7")] == ["0a", "80", "ff"]
