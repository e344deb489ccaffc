"""What was found of regions, in Label Studio's own editor: it takes the answers up as its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from backend.core.answers.asked import read_asked
from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.predictions import detections_to_results, make_prediction
from backend.core.labelstudio.task_pages import task_pages
from harness.label_studio_server import LabelStudio

if TYPE_CHECKING:
    from playwright.sync_api import Page

XML = """<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo"><Label value="Fruit"/></RectangleLabels>
  <BrushLabels name="paint" toName="photo"><Label value="Leaf"/></BrushLabels>
  <Choices name="state" toName="photo" perRegion="true"><Choice value="ripe"/><Choice value="raw"/></Choices>
  <Rating name="grade" toName="photo" perRegion="true" maxRating="3"/>
  <Number name="count" toName="photo" perRegion="true" whenLabelValue="Fruit" min="0"/>
</View>"""
SIZE = ImageSize(120, 80)
# Of each region that the editor shows: its type, and what its results say by the name of their control tag.
_SAID = """() => {
  const shown = window.Htx && Htx.annotationStore && Htx.annotationStore.selected;
  const plain = (value) => JSON.parse(JSON.stringify(value ?? null));
  const said = (region) => Object.fromEntries(
    region.results.map((result) => [result.from_name.name, plain(result.mainValue)]));
  return shown ? shown.regions.map((region) => [region.type, said(region)]) : [];
}"""
_STORED = "() => JSON.parse(JSON.stringify(Htx.annotationStore.selected.serializeAnnotation()))"


def found_attributes(config: LabelConfig) -> Mapping[str, Any]:
    asked = config.asked["attributes"]
    numbers = read_asked(asked["count"]).spanned_by([0, 9])  # type: ignore[union-attr]
    return {
        "state": read_asked(asked["state"]).found((0.2, 0.8)),
        "grade": read_asked(asked["grade"]).found((0.1, 0.8, 0.1)),
        "count": numbers.found(np.eye(10)[7]),
    }


def prediction_of(config: LabelConfig) -> dict[str, Any]:
    mask = np.zeros((SIZE.height, SIZE.width), np.uint8)
    patch = MaskPatch.from_full(cv2.circle(mask, (85, 40), 20, 1, -1) > 0)
    found = Detections(
        SIZE,
        np.array([[10, 10, 50, 60], [65, 20, 106, 61]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([0, 1]),
        (None, patch),
        attributes=(found_attributes(config),) * 2,
    )
    (page,) = task_pages({"data": {"image": "x"}}, config)
    thresholds = dict.fromkeys(config.control_names, 0.3)
    rng = np.random.default_rng(0)
    results = detections_to_results(found, config.labels, config, page, thresholds, rng)
    return make_prediction(results, 0.8, "v1")


def test_the_editor_takes_up_what_was_found_of_regions(editor_page: Page, label_studio: LabelStudio) -> None:
    config = parse_label_config(XML)
    project = label_studio.create_project(XML, title="attributes")["id"]
    _, png = cv2.imencode(".png", np.full((SIZE.height, SIZE.width, 3), 90, np.uint8))
    reference = label_studio.upload(project, png.tobytes(), "photo.png")
    (task,) = label_studio.import_tasks(
        project, [{"data": {"image": reference}, "predictions": [prediction_of(config)]}]
    )
    said: list[Any] = []
    for _ in range(3):  # the very first visit of a project shows no predictions
        editor_page.goto("about:blank")
        editor_page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
        editor_page.wait_for_selector(".konvajs-content canvas", timeout=120_000)
        until = time.monotonic() + 20
        while len(said) < 2 and time.monotonic() < until:
            editor_page.wait_for_timeout(500)
            said = editor_page.evaluate(_SAID)
        if said:
            break
    assert editor_page.locator("text=Error").count() == 0
    both = {"state": ["raw"], "grade": 2}
    assert dict(said) == {
        "rectangleregion": {"box": ["Fruit"], "count": 7, **both},
        "brushregion": {"paint": ["Leaf"], **both},
    }
    # As the editor would store it, each answer comes with the id and the place of its region, as ours did.
    stored = editor_page.evaluate(_STORED)
    ours = prediction_of(config)["result"]
    fields = {result["from_name"]: set(result["value"]) for result in stored if "rle" not in result["value"]}
    assert len({result["id"] for result in stored}) == 2
    assert {result["type"] for result in stored} == {result["type"] for result in ours}
    assert fields["count"] >= {"x", "y", "width", "height", "number"}
