from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.core.versions.card import ChampionComparison, F1Pair, LearnedCounts
from backend.infra.queue.records import parse_record
from backend.service.jobs.left_out import LeftOutWhere
from backend.service.jobs.memory import MemoryUse
from backend.service.jobs.report import (
    CurvePoint,
    JobReport,
    PredictionProgress,
    TrainingJobProgress,
    UsedParameter,
)

WRITTEN = json.loads((Path(__file__).parents[2] / "data" / "release_0_1" / "redis.json").read_text())
HASHES = {key.rpartition(":")[2]: entry["value"] for key, entry in WRITTEN.items() if entry["type"] == "hash"}

TRAINED = JobReport(
    warnings=("few images",),
    memory=MemoryUse(1000, 0),
    params={"epochs": UsedParameter(9, "request"), "task_ids": UsedParameter(None, "default")},
    labels_taken_at=1.8e9,
    counts=LearnedCounts(9, 8, 1, 20, 12, {"Cat": 20}),
    unusable={},
    left_out_where={"unknown_label": LeftOutWhere((3, 9), 2, "Bus; the config has Cat")},
    disputed_tasks=(4,),
    disputed_tasks_count=1,
    curve=(CurvePoint(1, 2.5), CurvePoint(2, 1.5, {"box_map50": 0.7})),
    stopped_by="user",
    metrics={"box_map50": 0.7},
    activated=False,
    activation_reason="it waits as a candidate",
    comparison=ChampionComparison("v1", 20, F1Pair(0.6, 0.5), 0.99, {"Cat": F1Pair(0.6, 0.5)}),
    prediction_job="predict-1",
)
PREDICTED = JobReport(
    parts=("predict-2", "predict-3"),
    tasks_without_prediction=(4, 9),
    tasks_without_prediction_count=60,
    waiting_for="",
    set_model_version="v1",
)


@pytest.mark.parametrize("report", [TRAINED, PREDICTED, JobReport()], ids=["training", "prediction", "new"])
def test_what_is_written_is_read(report):
    assert JobReport.from_json(json.loads(json.dumps(report.as_json()))) == report


def test_what_a_job_has_not_come_to_is_left_out_and_what_is_over_is_not():
    assert JobReport().as_json() == {}
    assert PREDICTED.as_json()["waiting_for"] == ""
    assert TRAINED.as_json()["unusable"] == {}
    assert TRAINED.as_json()["activated"] is False


@pytest.mark.parametrize("job_id", sorted(HASHES))
def test_records_of_release_0_1_keep_their_form(job_id):
    record = parse_record(job_id, HASHES[job_id])
    assert JobReport.from_json(record.details).as_json() == record.details
    progress = TrainingJobProgress if record.kind == "train" else PredictionProgress
    known = {name: value for name, value in record.progress.items() if value is not None}
    assert known.items() <= progress.from_json(record.progress).as_json().items()


def test_the_progress_of_parts_adds_up_and_leaves_the_total():
    own = PredictionProgress(done=10, total=100, pushed=8)
    assert own.plus(PredictionProgress(done=5, total=20, pushed=4)) == PredictionProgress(15, 100, 12)
    cut = PredictionProgress(tiles=3, tiles_total=9)
    assert cut.plus(cut).as_json() == {"done": 0, "total": None, "pushed": 0, "tiles": 6, "tiles_total": 18}
    assert PredictionProgress.from_json(cut.as_json()) == cut
