"""Answers about a whole image: the editor selects what is predicted, and submits it as it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.core.answers.asked import FoundAnswer, read_asked
from backend.core.answers.scales import Scale
from backend.core.labelstudio.answers import answers_to_results
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.task_pages import task_pages
from demo.pictures import draw_pictures
from harness.label_studio_server import LabelStudio

if TYPE_CHECKING:
    from playwright.sync_api import Page

TREE = '<Choice value="pet"><Choice value="cat"/><Choice value="dog"/></Choice><Choice value="cow"/>'
CONFIG = f"""<View><Image name="image" value="$image"/>
  <Choices name="top" toName="image" allowNested="true">{TREE}</Choices>
  <Choices name="inner" toName="image" allowNested="true" choice="multiple">{TREE}</Choices>
  <Choices name="flat" toName="image">{TREE}</Choices>
  <Taxonomy name="tree" toName="image">{TREE}</Taxonomy>
  <Rating name="stars" toName="image"/><Number name="count" toName="image"/></View>"""
LIKELY = {"top": {3}, "inner": {2, 3}, "flat": {0}, "tree": {0, 1}}
"""By control tag the positions of the options that are found; those in a tree follow what they stand in."""
_SHOWN = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  return shown ? shown.serializeAnnotation().map(result => [result.from_name, result.value]) : [];
}"""


def found_about(config: LabelConfig) -> dict[str, FoundAnswer]:
    found: dict[str, FoundAnswer] = {}
    for name, written in config.asked["choices"].items():
        asked = read_asked(written)
        if isinstance(asked, Scale):
            scale = asked.spanned_by([1.0, 2.0, 3.0])
            found[name] = scale.found(mark == 3.0 for mark in scale.marks)
        else:
            found[name] = asked.found(0.9 if k in LIKELY[name] else 0.05 for k in range(asked.size))
    return found


def predicted(label_studio: LabelStudio, task_id: int, data: dict[str, str]) -> list[dict[str, Any]]:
    config = parse_label_config(CONFIG)
    [page] = task_pages({"data": data}, config)
    thresholds = dict.fromkeys(config.asked["choices"], 0.5)
    found = [(page, {"choices": found_about(config)})]
    results = answers_to_results(found, config, thresholds, np.random.default_rng(0))
    prediction = {"task": task_id, "result": results, "score": 0.5, "model_version": "v1"}
    label_studio.call("POST", "/api/predictions", prediction)
    return results


def test_the_editor_selects_and_submits_what_is_predicted(
    editor_page: Page, label_studio: LabelStudio
) -> None:
    project_id = int(label_studio.create_project(CONFIG, title="answers", model_version="v1")["id"])
    [picture] = draw_pictures(1, 11)
    data = {"image": label_studio.upload(project_id, picture.as_jpeg(), "1.jpg")}
    [task_id] = label_studio.import_tasks(project_id, [{"data": data}])
    results = predicted(label_studio, task_id, data)
    wanted = {result["from_name"]: result["value"] for result in results}
    assert wanted == {
        "top": {"choices": [["cow"]]},
        "inner": {"choices": [["pet", "dog"], ["cow"]]},
        "flat": {"choices": ["pet"]},
        "tree": {"taxonomy": [["pet", "cat"]]},
        "stars": {"rating": 3},
        "count": {"number": 3},
    }
    shown: dict[str, Any] = {}
    for _ in range(3):  # the first visit to a project may show an editor without predictions
        editor_page.goto("about:blank")
        editor_page.goto(f"{label_studio.url}/projects/{project_id}/data?task={task_id}")
        editor_page.get_by_test_id("bottombar-submit-button").wait_for(timeout=120_000)
        until = time.monotonic() + 20
        while shown != wanted and time.monotonic() < until:
            editor_page.wait_for_timeout(500)
            shown = dict(editor_page.evaluate(_SHOWN))
        if shown == wanted:
            break
    assert shown == wanted
    editor_page.get_by_test_id("bottombar-submit-button").click()
    until = time.monotonic() + 20
    while not (stored := label_studio.annotations(task_id)) and time.monotonic() < until:
        editor_page.wait_for_timeout(500)
    assert {result["from_name"]: result["value"] for result in stored[0]["result"]} == wanted
