"""What a training says of a project of 100 tasks that is as dirty as projects are.

python -m benchmarks.dirty_project [--out FOLDER]

Draws the pictures, writes tasks with known faults among clean ones, trains through HTTP, and compares what
the job counts with what was put in. Then it trains on tasks of which nothing can be used, and prints why each
of them failed. FOLDER gets the job's status and screenshots of the panel. Ends with 1 where a count differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.dirty_faults import CONFIG, FAULTS, HOPELESS, Case, Json, make_cases, task_of
from harness.service_process import HOST, ServiceProcess, free_port

TASKS = 100
PARAMS = {"epochs": 2, "image_size": 224, "pretrained": False}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.terminate()
        server.wait(10)


def train(service: ServiceProcess, project: str, tasks: list[Json]) -> Json:
    body = {"project": project, "label_config": CONFIG, "annotations": tasks, "params": PARAMS}
    answer = service.post("/train", body)
    answer.raise_for_status()
    return service.wait_for_job(answer.json()["job"])


def differences(cases: list[tuple[str, str, Case]], status: Json) -> list[str]:
    """Return what the job counts otherwise than it was put in."""
    counted: Counter[str] = sum((case.counted for _, _, case in cases), Counter())
    wanted = {
        "unusable": dict(counted),
        "images": sum(case.images for _, _, case in cases),
        "regions": sum(
            len(case.picture.things) if case.objects is None else case.objects for _, _, case in cases
        ),
        "disputed": sum(case.is_disputed for _, _, case in cases),
    }
    wanted |= {
        f"tasks of {reason}": [1001 + k for k, (_, _, case) in enumerate(cases) if case.counted[reason]]
        for reason in counted
    }
    came = {
        **{f"tasks of {entry['reason']}": entry["tasks"] for entry in status["left_out"]},
        "unusable": status["unusable"],
        "images": status["counts"]["images"],
        "regions": status["counts"]["regions"],
        "disputed": status["disputed_tasks_count"],
    }
    return [
        f"{key}: wanted {wanted[key]}, came {came.get(key)}" for key in wanted if wanted[key] != came.get(key)
    ]


def say(cases: list[tuple[str, str, Case]], status: Json) -> None:
    """Print what was put in, by row, and what the job says of it."""
    lines = []
    for row, what, *_ in FAULTS:
        numbers = [str(1001 + k) for k, (_, name, _) in enumerate(cases) if name == what]
        lines.append(f"{row:>3} {what}: tasks {', '.join(numbers)}")
    lines += [f"{status['job_status']}: {json.dumps(status['counts'])}", *status["warnings"]]
    for entry in status["left_out"]:
        lines.append(f"{entry['count']} × {entry['meaning']}. {entry['next_move']} {entry['tasks']}")
    lines.append(f"annotators disagree: {status['disputed_tasks']}")
    lines += [f"not learned: {tag['name']} ({tag['tag']}): {tag['why']}" for tag in status["left_alone"]]
    sys.stdout.write("\n".join(lines) + "\n")


def take_pictures(service: ServiceProcess, folder: Path) -> None:
    """Photograph the panel, and the training's card with everything unfolded."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{service.url}/panel")
        page.wait_for_selector("#training:not([hidden]) summary")
        page.screenshot(path=folder / "panel.png")
        for name in ("left-out", "disputed", "left-alone"):
            for summary in page.locator(f"#training summary[data-name={name}]").all():
                summary.click()
        page.screenshot(path=folder / "panel_open.png")
        page.set_viewport_size({"width": 1440, "height": 2600})
        page.locator("#training").screenshot(path=folder / "training.png")
        (folder / "training.txt").write_text(page.locator("#training").inner_text())
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    images = Path(tempfile.mkdtemp())
    with served(images) as address, ServiceProcess(Path(tempfile.mkdtemp()) / "data") as service:
        cases = make_cases(images, address, FAULTS, TASKS)
        tasks = [task_of(number, case) for number, (_, _, case) in enumerate(cases)]
        project = f"22.{int(time.time())}"
        status = train(service, project, tasks)
        shown = {key: value for key, value in status.items() if key not in ("params", "curve", "metrics")}
        (out / "status.json").write_text(json.dumps(shown, indent=1))
        say(cases, status)
        differ = differences(cases, status)
        answer = service.post("/predict", {"project": project, "label_config": CONFIG, "tasks": tasks[-1:]})
        served_by = [one.get("model_version") for one in answer.json()["results"] if one]
        sys.stdout.write(f"predicted at once by {served_by}, trained {status['model_version']}\n")
        take_pictures(service, out)
        for number, spoil in enumerate(HOPELESS):
            (images / spoil.__name__).mkdir()
            spoilt = make_cases(
                images / spoil.__name__, f"{address}/{spoil.__name__}", [("", "", 4, spoil)], 4
            )
            failed = train(
                service, f"{100 + number}.1", [task_of(k, case) for k, (*_, case) in enumerate(spoilt)]
            )
            sys.stdout.write(f"{spoil.__name__}: {failed['job_status']}: {failed.get('error')}\n")
    sys.stdout.write("\n".join(differ or ["every count is as it was put in"]) + f"\nsee {out}\n")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
