"""A thousand tasks in one Retrieve Predictions through a real Label Studio: all arrive, none twice.

python -m benchmarks.retrieve [--tasks 1000]        (LABEL_STUDIO_BIN names the Label Studio)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.live_service import CONFIG, append_result, image_server
from harness.label_studio_server import LabelStudio
from harness.service_process import ServiceProcess

# A small network: this asks whether all arrive, and what bringing them costs.
TRAINING = {"epochs": 2, "pretrained": False, "backbone": "test_resnet", "enable_segmentation": False}
LABELLED = 20
PATIENCE_S = 1200


def main() -> int:
    """Measure, and append the figures to benchmarks/results/retrieve.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        image_server(Path(folder) / "images", options.tasks + LABELLED) as (_, tasks),
        LabelStudio(Path(folder) / "label-studio") as label_studio,
        ServiceProcess(
            Path(folder) / "data",
            LABEL_STUDIO_URL=label_studio.url,
            LABEL_STUDIO_API_KEY=label_studio.access_token,
        ) as service,
    ):
        project_id = int(label_studio.create_project(CONFIG, title="a thousand")["id"])
        label_studio.import_tasks(project_id, tasks[:LABELLED])
        unlabelled = label_studio.import_tasks(
            project_id, [{"data": task["data"]} for task in tasks[LABELLED:]]
        )
        ml_id = label_studio.connect(project_id, service.url, extra_params=TRAINING)
        label_studio.start_training(ml_id)
        status = service.wait_for_job(service.training_of(project_id))
        assert status["job_status"] == "finished", status
        began = time.monotonic()
        label_studio.retrieve_predictions(project_id, unlabelled)
        answered_s = time.monotonic() - began
        label_studio.retrieve_predictions(project_id, unlabelled)  # an impatient second click
        stored: Counter[int] = Counter()
        shown: set[int] = set()
        while len(stored) < len(unlabelled) and time.monotonic() - began < PATIENCE_S:
            time.sleep(2)
            shown |= pushed_so_far(service, project_id)
            stored = stored_predictions(label_studio, project_id, unlabelled)
        all_s = time.monotonic() - began
        time.sleep(15)
        stored = stored_predictions(label_studio, project_id, unlabelled)
    append_result(
        "retrieve",
        {
            "tasks": len(unlabelled),
            "answered_after_s": round(answered_s, 1),
            "all_stored_after_s": round(all_s, 1),
            "predicted": len(stored),
            "predicted_twice": sum(1 for count in stored.values() if count > 1),
            "progress_steps_seen": len(shown),
        },
    )
    return 0 if len(stored) == len(unlabelled) and max(stored.values()) == 1 else 1


def pushed_so_far(service: ServiceProcess, project_id: int) -> set[int]:
    """Return the counts of pushed predictions that the project's jobs show now."""
    jobs = service.get(f"/api/projects/{project_id}/jobs").json()["jobs"]
    return {int(job["progress"].get("pushed") or 0) for job in jobs if job["kind"] == "predict"}


def stored_predictions(label_studio: LabelStudio, project_id: int, task_ids: list[int]) -> Counter[int]:
    """Return the number of predictions of each of the tasks that have one."""
    wanted = set(task_ids)
    found = label_studio.call("GET", f"/api/predictions/?project={project_id}")
    return Counter(prediction["task"] for prediction in found if prediction["task"] in wanted)


if __name__ == "__main__":
    sys.exit(main())
