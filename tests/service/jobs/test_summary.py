from __future__ import annotations

import pytest

from backend.service.jobs.summary import summarize_job
from backend.service.ports import JobRecord

TRAINED = {
    "metrics": {"box_map": 0.5, "box_map50": 0.81, "precision": 0.913, "recall": 0.86},
    "counts": {"images": 34, "regions": 210},
    "activated": True,
}


@pytest.mark.parametrize(
    ("kind", "status", "fields", "expected"),
    [
        ("train", "started", {}, None),
        (
            "train",
            "finished",
            {"details": TRAINED, "model_version": "v1"},
            "The model is good: on held-out images it finds 86% of the objects, and 91% of what it finds is "
            "right (box mAP50 0.81). "
            "It learned from 34 images with 210 objects. It serves now.",
        ),
        (
            "train",
            "finished",
            {"details": {"metrics": {"area_iou": 0.66, "precision": 0.9, "recall": 0.8}}},
            "The model is usable: on held-out images it finds 80% of the objects, and 90% of what it "
            "finds is right (area IoU 0.66).",
        ),
        (
            "train",
            "finished",
            {
                "details": {
                    **TRAINED,
                    "activated": False,
                    "activation_reason": "it waits as a candidate, because it is worse",
                },
                "model_version": "v1",
            },
            "The model is good: on held-out images it finds 86% of the objects, and 91% of what it finds is "
            "right (box mAP50 0.81). "
            "It learned from 34 images with 210 objects. It waits as a candidate, because it is worse.",
        ),
        (
            "train",
            "finished",
            {"details": {"metrics": {"mask_map50": 0.2}}, "model_version": "v1"},
            "The model is weak: mask mAP50 0.20 on held-out images. It serves now.",
        ),
        (
            "train",
            "finished",
            {"details": {"counts": {"images": 1}}},
            "Trained; there were too few images to hold some out and measure on. It learned from 1 image.",
        ),
        ("train", "failed", {"error": "no labels"}, "no labels"),
        ("train", "stopped", {}, "Stopped; nothing was kept."),
        (
            "predict",
            "finished",
            {"progress": {"pushed": 1}},
            "Done: 1 task predicted and written to Label Studio.",
        ),
        (
            "predict",
            "stopped",
            {"progress": {"pushed": 3}, "details": {"tasks_without_prediction_count": 2}},
            "Stopped: 3 tasks predicted and written to Label Studio. "
            "2 could not be predicted; the log names them.",
        ),
    ],
)
def test_a_job_ends_with_a_sentence(kind, status, fields, expected):
    assert summarize_job(JobRecord("j", kind, "7", status, **fields)) == expected
