"""Start a Label Studio with generated pictures, connect the service, train, and stay there to be looked at.

    python -m demo [--once]

Everything lives in `.demo/`, made anew each time, and ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from demo.project import TRAINING, make_project
from harness.label_studio_server import LabelStudio
from harness.service_process import FINISHED, ServiceProcess, free_port, is_free

FOLDER = Path(__file__).resolve().parent.parent / ".demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--once", action="store_true", help="end after the predictions instead of waiting for Ctrl-C"
    )
    options = parser.parse_args(arguments)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    started = time.monotonic()
    try:
        with ExitStack() as stack:
            _run(stack, started, stay=not options.once)
    except KeyboardInterrupt:
        _say("\nended; `make demo` begins afresh")
    return 0


def _run(stack: ExitStack, started: float, *, stay: bool) -> None:
    _say("1/5  starting Label Studio (half a minute or so) ...")
    label_studio = stack.enter_context(LabelStudio(FOLDER / "label-studio", port=_port(8080)))
    _say("2/5  starting the backend ...")
    service = stack.enter_context(
        ServiceProcess(
            FOLDER / "backend",
            port=_port(9090),
            LABEL_STUDIO_URL=label_studio.url,
            LABEL_STUDIO_API_KEY=label_studio.access_token,
        )
    )
    _say("3/5  drawing pictures and labels, connecting the backend ...")
    project_id, unlabelled = make_project(label_studio)
    ml_id = label_studio.connect(project_id, service.url, extra_params=TRAINING, is_interactive=True)
    _say("4/5  training on the labelled pictures ...")
    label_studio.start_training(ml_id)
    _follow(service, service.training_of(project_id))
    _say("5/5  retrieving predictions ...")
    label_studio.retrieve_predictions(project_id, unlabelled)
    regions = sum(len(label_studio.predictions(task_id)[0]["result"]) for task_id in unlabelled)
    link = f"{label_studio.url}/projects/{project_id}/data?task={unlabelled[0]}"
    _say(
        f"\n{len(unlabelled)} pictures that nobody labelled now carry {regions} regions"
        f" ({time.monotonic() - started:.0f} s since the start).\n\n"
        f"  look at them   {link}\n"
        "                 (no regions? reload, or choose the prediction's tab: Label Studio's editor\n"
        "                 may show none on its first visit to a project)\n"
        f"  log in with    {label_studio.email} / {label_studio.password}\n"
        f"  ML panel       {service.url}/panel\n"
    )
    if stay:
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
            webbrowser.open(link)
        _say("Ctrl-C ends both.")
        while True:
            time.sleep(3600)


def _follow(service: ServiceProcess, job_id: str) -> None:
    """Show the progress of a training until it has ended. Raises RuntimeError if it failed."""
    shown = ""
    while (status := service.job(job_id))["job_status"] not in FINISHED:
        progress = status.get("progress") or {}
        if progress.get("epoch"):
            line = f"     epoch {progress['epoch']} of {progress['epochs']}, loss {progress['loss']:.2f}"
            if line != shown:
                _say(shown := line)
        time.sleep(1)
    if status["job_status"] != "finished":
        raise RuntimeError(f"the training {status['job_status']}: {status.get('error')}")


def _port(wanted: int) -> int:
    """Return the usual port if it is free, else any."""
    return wanted if is_free(wanted) else free_port()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
