from __future__ import annotations

from dataclasses import replace

import pytest

from backend.errors import StoreError
from backend.service.acceptance.survey import TASKS_PER_PART, Batch, KeptSurveys, Survey, SurveyedTask
from tests.fakes.documents import FakeDocuments


def surveyed(*task_ids: int) -> tuple[SurveyedTask, ...]:
    return tuple(SurveyedTask(task_id, ((0, 0.9),), True, ({"id": f"r{task_id}"},)) for task_id in task_ids)


def survey(made_at: float, *task_ids: int, parts: str = "parts") -> Survey:
    tasks = tuple(replace(task, result=()) for task in surveyed(*task_ids))
    return Survey(made_at, "v1", ("Cell",), 10, (0.9,), (0,), (True,), tasks, parts)


def found(kept: KeptSurveys, *task_ids: int) -> list[int]:
    last = kept.survey("7")
    assert last is not None
    results = list(kept.results("7", last, task_ids))
    assert all(result == [{"id": f"r{task_id}"}] for task_id, result in results)
    return [task_id for task_id, _ in results]


def test_results_are_kept_part_by_part_and_found_in_the_order_of_the_survey():
    kept, ids = KeptSurveys(FakeDocuments()), list(range(TASKS_PER_PART + 5, 0, -1))
    kept.keep_part("7", "parts-a", 0, surveyed(*ids[:TASKS_PER_PART]))
    kept.keep_part("7", "parts-a", 1, surveyed(*ids[TASKS_PER_PART:]))
    kept.keep("7", survey(1.0, *ids, parts="parts-a"))
    assert found(kept, 3, TASKS_PER_PART, 1) == [TASKS_PER_PART, 3, 1]


def test_a_count_that_is_cut_off_leaves_the_one_before_whole_and_the_next_one_tidies_up():
    documents = FakeDocuments()
    kept = KeptSurveys(documents)
    kept.keep_part("7", "parts", 0, surveyed(1, 2))
    kept.keep("7", survey(1.0, 1, 2))
    kept.keep_part("7", "parts-b", 0, surveyed(1))
    documents.failure = StoreError("the disk is full")
    with pytest.raises(StoreError):
        kept.keep("7", survey(2.0, 1, parts="parts-b"))
    assert found(kept, 1, 2) == [1, 2]
    documents.failure = None
    kept.note("7", Batch("x", 1.0, "v1", 0.9, "accepted"))
    kept.keep_part("7", "parts-c", 0, surveyed(3))
    kept.keep("7", survey(3.0, 3, parts="parts-c"))
    assert found(kept, 3) == [3] and len(kept.batches("7")) == 1
    assert [path for path in documents.content if "/parts" in path] == [
        "projects/7/acceptance/parts-c/0.json"
    ]


def test_what_an_earlier_release_kept_is_read():
    documents = FakeDocuments()
    kept = KeptSurveys(documents)
    kept.keep_part("7", "parts", 0, surveyed(1))
    content = survey(1.0, 1).as_json()
    del content["parts"]
    documents.write("projects/7/acceptance/survey.json", content)
    assert found(kept, 1) == [1]


def test_what_was_accepted_last_stands_first_whatever_it_is_called():
    kept = KeptSurveys(FakeDocuments())
    for made_at, batch_id in ((1.0, "ff"), (3.0, "0a"), (2.0, "80")):
        kept.note("7", Batch(batch_id, made_at, "v1", 0.9, "accepted"))
    assert [batch.batch_id for batch in kept.batches("7")] == ["0a", "80", "ff"]
