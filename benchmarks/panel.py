"""How long the panel takes to open a large project of a real Label Studio, in a real browser.

python -m benchmarks.panel [--tasks 10000]        (LABEL_STUDIO_BIN names the Label Studio)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.live_service import CONFIG, append_result, image_server
from harness.label_studio_server import LabelStudio
from harness.service_process import ServiceProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = 24
LABELLED = 200
TASKS_AT_ONCE = 2000
OPENINGS = 5
PATIENCE_MS = 300_000


def main() -> int:
    """Measure, and append the figures to benchmarks/results/panel.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    count = parser.parse_args().tasks
    with (
        tempfile.TemporaryDirectory() as folder,
        image_server(Path(folder) / "images", PICTURES) as (_, pictures),
        LabelStudio(Path(folder) / "label-studio") as label_studio,
        ServiceProcess(
            Path(folder) / "data",
            LABEL_STUDIO_URL=label_studio.url,
            LABEL_STUDIO_API_KEY=label_studio.access_token,
        ) as service,
    ):
        project_id = int(label_studio.create_project(CONFIG, title="many tasks")["id"])
        tasks = []
        for number in range(count):
            picture = pictures[number % PICTURES]
            annotations = picture["annotations"] if number < LABELLED else []
            data = {"image": f"{picture['data']['image']}?{number}"}
            tasks.append({"data": data, "annotations": annotations})
        for start in range(0, count, TASKS_AT_ONCE):
            label_studio.import_tasks(project_id, tasks[start : start + TASKS_AT_ONCE])
        label_studio.connect(project_id, service.url)
        figures = measure(f"{service.url}/panel", count)
    append_result("panel", {"tasks": count, "load": round(os.getloadavg()[0], 1), **figures})
    return 0


def measure(address: str, count: int) -> dict[str, float | list[float]]:
    """Open the page several times; the first time nothing of the project has been read yet."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        first_s = opening_s(page, address)
        began = time.monotonic()
        page.wait_for_function(
            "wanted => document.getElementById('strip-count').textContent === wanted", arg=f"{count:,} tasks"
        )
        rest_s = time.monotonic() - began
        again_s = sorted(opening_s(page, address) for _ in range(OPENINGS))
        page.locator("#strip").focus()
        began = time.monotonic()
        page.keyboard.press("End")
        page.wait_for_selector(f"#tile-{count - 1}[aria-selected=true]")
        to_the_end_s = time.monotonic() - began
        browser.close()
    return {
        "first_opening_s": round(first_s, 2),
        "whole_list_after_further_s": round(rest_s, 2),
        "openings_s": [round(seconds, 2) for seconds in again_s],
        "to_the_last_task_s": round(to_the_end_s, 2),
    }


def opening_s(page: Page, address: str) -> float:
    """Return the seconds until the image, the strip and the number of tasks are on the screen."""
    page.goto("about:blank")
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".tile[aria-selected=true]")
    page.wait_for_selector("#image:not([hidden])")
    page.wait_for_function("document.getElementById('strip-count').textContent !== ''")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
