"""Take every image template of the installed Label Studio through the whole loop, and show it in its editor.

    make templates                      # prints a table; screenshots into .demo/templates
    python -m demo.templates --out FOLDER --only keypoints --only image-classification

For each template: its project is made and connected, drawn tasks are imported with their labels, *Start
Training* is pressed, predictions are retrieved for tasks without labels, one of them is opened in the label
editor and what the editor shows is submitted. The table has what came of each step. A template that teaches
nothing has to be refused by /validate. Exits with 1 where any step failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.pictures import Picture, draw_pictures
from harness.label_studio_server import LabelStudio, find_label_studio
from harness.service_process import ServiceProcess
from harness.templates import TEMPLATES, Template

if TYPE_CHECKING:
    from playwright.sync_api import Page

LABELLED, UNLABELLED = 8, 2
SIZE_WH = (320, 240)
TRAINING = {"epochs": 6, "image_size": 224, "pretrained": False, "confidence_threshold": 0.1}
PATIENCE_MS = 120_000
JOB_PATIENCE_S = 1800
SUBMIT = "bottombar-submit-button"
# What the annotation or prediction that the editor shows now would be stored as: the types of its results.
_SHOWN = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.serializeAnnotation().map(result => result.type) : [];
}"""
STEPS = ("connect", "import", "train", "retrieve", "editor", "submit")


class Failed(Exception):
    """A step that did not do what it should; says why."""


class Walk:
    """One template on its way; came: what came of each step so far."""

    def __init__(
        self, template: Template, label_studio: LabelStudio, service: ServiceProcess, pictures_id: int
    ) -> None:
        """pictures_id: of the project that has the files; one whose labels stand in its tasks takes none."""
        self.template = template
        self.pictures_id = pictures_id
        self.label_studio = label_studio
        self.service = service
        self.came: dict[str, str] = {}
        self.project_id = 0
        self.tasks: list[int] = []

    def go(self, page: Page, package: Path, out: Path) -> None:
        """Take all steps. Raises Failed at the first that fails."""
        xml = self.template.installed(package)
        project = self.label_studio.create_project(xml, title=self.template.name)
        self.project_id = int(project["id"])
        ml_id = self.label_studio.connect(self.project_id, self.service.url, extra_params=TRAINING)
        answer = self.service.post("/validate", {"config": xml})
        if answer.ok != self.template.is_learned:
            raise Failed(f"/validate answers {answer.status_code}: {answer.text[:300]}")
        self.came["connect"] = "connected"
        if not self.template.is_learned:
            self.came["connect"] += "; /validate: " + str(answer.json()["error"]).split(";")[0]
            return
        self._import()
        self.label_studio.start_training(ml_id)
        job_id = self.service.training_of(self.project_id)
        status = self.service.wait_for_job(job_id, within_s=JOB_PATIENCE_S)
        if status["job_status"] != "finished":
            raise Failed(f"{status['job_status']}: {status.get('error')}")
        self.came["train"] = "trained"
        predicted = self._retrieve()
        self._show(page, out, predicted)

    def _import(self) -> None:
        pages = len(self.template.pages)
        pictures = draw_pictures((LABELLED + UNLABELLED) * pages, 11, SIZE_WH)
        shown = [pictures[k * pages : (k + 1) * pages] for k in range(LABELLED + UNLABELLED)]
        stored = iter(range(len(pictures)))

        def store(picture: Picture) -> str:
            return self.label_studio.upload(self.pictures_id, picture.as_jpeg(), f"{next(stored)}.jpg")

        tasks = [self.template.labelled_task(k, shown[k], store) for k in range(LABELLED)]
        tasks += [self.template.task(shown[k], store) for k in range(LABELLED, LABELLED + UNLABELLED)]
        self.tasks = self.label_studio.import_tasks(self.project_id, tasks)
        kinds = {
            result["type"]
            for task in tasks
            for (a,) in [task.get("annotations", [{}])]
            for result in a.get("result", ())
        }
        self.came["import"] = ", ".join(sorted(kinds))

    def _retrieve(self) -> list[dict[str, Any]]:
        """Return the results that predictions of the first unlabelled task have."""
        asked = self.tasks[LABELLED:]
        self.label_studio.retrieve_predictions(self.project_id, asked)
        until = time.monotonic() + JOB_PATIENCE_S
        # What a slow machine has not done by the deadline of /predict is pushed later.
        while (
            not all(self.label_studio.predictions(task_id) for task_id in asked) and time.monotonic() < until
        ):
            time.sleep(1)
        results = [
            result
            for task_id in asked
            for prediction in self.label_studio.predictions(task_id)
            for result in prediction["result"]
        ]
        missing = self.template.predicts - {result["type"] for result in results} - {"textarea"}
        if missing:
            raise Failed(f"no {', '.join(sorted(missing))} among {len(results)} results")
        bare = set(self.template.places) - {result.get("item_index") for result in results}
        if bare:
            raise Failed(f"nothing is predicted on the pages {sorted(bare)}")
        counts = {
            name: sum(r["type"] == name for r in results) for name in sorted({r["type"] for r in results})
        }
        self.came["retrieve"] = ", ".join(f"{count} {name}" for name, count in counts.items())
        return list(self.label_studio.predictions(self.tasks[LABELLED])[0]["result"])

    def _show(self, page: Page, out: Path, predicted: list[dict[str, Any]]) -> None:
        task_id = self.tasks[LABELLED]
        wanted = sorted(result["type"] for result in predicted)
        shown: list[str] = []
        for _ in range(3):  # the first visit to a project may show an editor without predictions
            page.goto("about:blank")
            page.goto(f"{self.label_studio.url}/projects/{self.project_id}/data?task={task_id}")
            page.get_by_test_id(SUBMIT).wait_for()
            for _ in range(20):
                page.wait_for_timeout(500)
                shown = sorted(page.evaluate(_SHOWN))
                if shown == wanted:
                    break
            if shown == wanted:
                break
        page.wait_for_timeout(1500)  # masks are drawn a moment after their regions exist
        page.screenshot(path=out / f"{self.template.name}.png")
        if shown != wanted:
            raise Failed(f"the editor shows {shown}, predicted are {wanted}")
        if page.locator("text=/Runtime error|Validation error/i").count():
            raise Failed("the editor shows an error")
        self.came["editor"] = f"{len(shown)} results shown"
        page.get_by_test_id(SUBMIT).click()
        stored: list[dict[str, Any]] = []
        for _ in range(40):
            page.wait_for_timeout(500)
            stored = self.label_studio.annotations(task_id)
            if stored:
                break
        if not stored and self._lacks_a_required_text(predicted):
            self.came["submit"] = "the editor asks for the texts that were not read, as the template wants"
            return
        if not stored:
            page.screenshot(path=out / f"{self.template.name}-submit.png")
            raise Failed("the editor did not submit what it shows")
        kept = sorted(result["type"] for result in stored[0]["result"])
        if kept != wanted:
            raise Failed(f"stored are {kept}, predicted were {wanted}")
        self.came["submit"] = "stored"

    def _lacks_a_required_text(self, predicted: list[dict[str, Any]]) -> bool:
        texts = {result["id"] for result in predicted if result["type"] == "textarea"}
        return "textarea" in self.template.predicts and {result["id"] for result in predicted} != texts


@contextmanager
def browser_page(label_studio: LabelStudio) -> Iterator[Page]:
    """Yield a page of a browser that is logged in to Label Studio."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1500, "height": 1100})
        context.add_cookies(label_studio.browser_cookies())  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)  # a hundred masks take a slow machine a while
        yield context.new_page()
        browser.close()


def main() -> int:
    """Walk through the templates, and print the table."""
    from playwright.sync_api import Error as PlaywrightError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(".demo/templates"))
    parser.add_argument("--only", action="append", help="the name of a template; may be given several times")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    [package] = (
        Path(find_label_studio()).resolve().parent.parent.glob("lib/python3*/site-packages/label_studio")
    )
    chosen = [template for template in TEMPLATES if not options.only or template.name in options.only]
    is_good = True
    print(f"| template | {' | '.join(STEPS)} |\n|{'---|' * (len(STEPS) + 1)}", flush=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        label_studio = stack.enter_context(LabelStudio(scratch / "label-studio"))
        service = stack.enter_context(
            ServiceProcess(
                scratch / "service" / "data",
                LABEL_STUDIO_URL=label_studio.url,
                LABEL_STUDIO_API_KEY=label_studio.access_token,
            )
        )
        page = stack.enter_context(browser_page(label_studio))
        pictures = label_studio.create_project(
            '<View><Image name="i" value="$image"/></View>', title="pictures"
        )
        for template in chosen:
            walk = Walk(template, label_studio, service, int(pictures["id"]))
            try:
                walk.go(page, package, options.out)
            except (Failed, AssertionError, PlaywrightError) as exc:  # the harness asserts what it waits for
                is_good = False
                failed = next(step for step in STEPS if step not in walk.came)
                walk.came[failed] = f"FAILED: {str(exc).splitlines()[0]}"
            cells = " | ".join(walk.came.get(step, "") for step in STEPS)
            print(f"| {template.name} | {cells} |", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
