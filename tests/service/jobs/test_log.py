from __future__ import annotations

import logging

import pytest

from backend.errors import StoreError
from backend.service.jobs.log import MOST_LINES, keep_job_log, read_job_log
from tests.fakes.documents import FakeDocuments

logger = logging.getLogger("backend.test")


@pytest.fixture
def documents():
    logging.getLogger().setLevel(logging.INFO)
    return FakeDocuments()


def test_what_is_logged_while_a_job_runs_can_be_read(documents):
    with keep_job_log(documents, "train-1"):
        logger.info("epoch %d of %d", 1, 2)
    logger.info("afterwards")
    [line] = read_job_log(documents, "train-1")
    assert line.endswith("INFO epoch 1 of 2")


def test_a_second_run_goes_on_below_the_first(documents):
    for word in ("first", "second"):
        with keep_job_log(documents, "train-1"):
            logger.warning(word)
    assert [line.split()[-1] for line in read_job_log(documents, "train-1")] == ["first", "second"]


def test_the_error_that_ended_it_stands_last(documents):
    with pytest.raises(ValueError, match="no labels"), keep_job_log(documents, "train-1"):
        raise ValueError("no labels")
    assert read_job_log(documents, "train-1")[-1].endswith("ERROR no labels")


def test_it_is_bounded(documents):
    with keep_job_log(documents, "train-1"):
        for number in range(MOST_LINES + 10):
            logger.info("%d", number)
    lines = read_job_log(documents, "train-1")
    assert len(lines) == MOST_LINES
    assert lines[-1].endswith(str(MOST_LINES + 9))


def test_a_full_disk_does_not_end_the_job(documents):
    documents.failure = StoreError("no space left")
    with keep_job_log(documents, "train-1"):
        logger.info("going on")
    assert read_job_log(documents, "train-1") == []


def test_a_damaged_log_is_said_and_does_not_end_the_job(documents, monkeypatch):
    damaged = StoreError("the document jobs/train-1/log.json is damaged; delete it to start afresh")

    def unreadable(path):
        raise damaged

    with monkeypatch.context() as patched:
        patched.setattr(documents, "read", unreadable)
        with keep_job_log(documents, "train-1"):
            logger.info("epoch 1 of 2")
    lost, line = read_job_log(documents, "train-1")
    assert "earlier runs of this job logged is lost" in lost and str(damaged) in lost
    assert line.endswith("INFO epoch 1 of 2")


def test_a_log_of_another_form_is_none(documents):
    documents.write("jobs/train-1/log.json", {"lines": 5})
    with keep_job_log(documents, "train-1"):
        logger.info("epoch 1 of 2")
    assert [line.split()[-4:] for line in read_job_log(documents, "train-1")] == [["epoch", "1", "of", "2"]]


def test_a_job_without_log(documents):
    assert read_job_log(documents, "train-9") == []
