"""A labeling config that asks everything at once: one training learns it, one prediction answers it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from backend.core.regions.brush_rle import encode_brush_rle
from demo.pictures import Mask, iou
from harness.label_editor import LabelEditor
from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, region_to_mask

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 320, 240
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Coin"/></RectangleLabels>
  <BrushLabels name="paint" toName="image"><Label value="Leaf"/></BrushLabels>
  <KeyPointLabels name="point" toName="image"><Label value="Pin"/></KeyPointLabels>
  <Choices name="light" toName="image"><Choice value="day"/><Choice value="night"/></Choices>
  <Choices name="size" toName="image" perRegion="true">
    <Choice value="small"/><Choice value="large"/>
  </Choices>
</View>"""
EVERYTHING = {"box", "paint", "point", "light", "size"}
LABELLED, FRESH = 14, 3
TRAINING = {**QUICK_TRAINING, "backbone": "resnet18", "epochs": 16, "learning_rate": 0.002}
ON_PICTURE = {
    "to_name": "image",
    "original_width": WIDTH,
    "original_height": HEIGHT,
    "image_rotation": 0,
}


@dataclass(frozen=True)
class Scene:
    """A red coin, a green leaf and a white pin; by day or by night, the coin and the leaf small or large."""

    coin_xyr_px: tuple[int, int, int]
    leaf_xyr_px: tuple[int, int, int]
    pin_xy_px: tuple[int, int]
    is_night: bool

    @classmethod
    def number(cls, seed: int) -> Scene:
        """Return one of many; each thing has a third of the picture to itself."""
        rng = np.random.default_rng(seed)
        columns = (rng.permutation(3) * WIDTH / 3 + WIDTH / 6).astype(int).tolist()
        radii = [int(rng.choice([18, 38])) for _ in range(2)]
        rows = [int(rng.integers(50, HEIGHT - 50)) for _ in range(3)]
        return cls(
            (columns[0], rows[0], radii[0]),
            (columns[1], rows[1], radii[1]),
            (columns[2], rows[2]),
            bool(seed % 2),
        )

    @property
    def leaf(self) -> Mask:
        """The pixels of the leaf."""
        x, y, radius = self.leaf_xyr_px
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(mask, (x, y), (radius, radius * 2 // 3), 30, 0, 360, 1, -1)
        return mask.astype(bool)

    @property
    def coin(self) -> Mask:
        """The pixels of the box around the coin."""
        x, y, radius = self.coin_xyr_px
        box = np.zeros((HEIGHT, WIDTH), bool)
        box[y - radius : y + radius + 1, x - radius : x + radius + 1] = True
        return box

    @property
    def sizes(self) -> dict[str, str]:
        """What is to be said of the region of each control tag."""
        named = {"box": self.coin_xyr_px[2], "paint": self.leaf_xyr_px[2]}
        return {name: "large" if radius > 28 else "small" for name, radius in named.items()}

    @property
    def light(self) -> str:
        return "night" if self.is_night else "day"

    def as_png(self) -> bytes:
        """Return the picture."""
        rng = np.random.default_rng(self.coin_xyr_px)
        ground = rng.normal(50 if self.is_night else 170, 8, (HEIGHT, WIDTH, 3))
        rgb = np.clip(ground, 0, 255).astype(np.uint8)
        x, y, radius = self.coin_xyr_px
        cv2.circle(rgb, (x, y), radius, (210, 40, 40), -1)
        rgb[self.leaf] = (40, 150, 60)
        cv2.drawMarker(rgb, self.pin_xy_px, (20, 20, 230), cv2.MARKER_CROSS, 26, 6)
        return cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes()

    def results(self) -> list[dict[str, Any]]:
        """Return it as an annotator says it."""
        x, y, radius = self.coin_xyr_px
        box = {"x": 100 * (x - radius) / WIDTH, "y": 100 * (y - radius) / HEIGHT, "rotation": 0}
        box |= {"width": 100 * (2 * radius + 1) / WIDTH, "height": 100 * (2 * radius + 1) / HEIGHT}
        pin = {"x": 100 * self.pin_xy_px[0] / WIDTH, "y": 100 * self.pin_xy_px[1] / HEIGHT, "width": 1}
        rle = {"format": "rle", "rle": encode_brush_rle(self.leaf)}
        drawn = [
            ("box", "rectanglelabels", {**box, "rectanglelabels": ["Coin"]}),
            ("paint", "brushlabels", {**rle, "brushlabels": ["Leaf"]}),
            ("point", "keypointlabels", {**pin, "keypointlabels": ["Pin"]}),
            *(("size", "choices", {"choices": [size]}) for size in self.sizes.values()),
        ]
        ids = ["coin", "leaf", "pin", "coin", "leaf"]
        regions = [
            {"id": region, "from_name": name, "type": kind, "value": value, **ON_PICTURE}
            for region, (name, kind, value) in zip(ids, drawn, strict=True)
        ]
        light = {"from_name": "light", "to_name": "image", "type": "choices"}
        return [*regions, {"id": "light", **light, "value": {"choices": [self.light]}}]


@pytest.fixture(scope="module")
def fresh(label_studio: LabelStudio, service: ServiceProcess) -> tuple[int, dict[int, Scene]]:
    """A project that a training by the button has learned; its tasks without labels, predicted."""
    project_id = int(label_studio.create_project(CONFIG, title="everything at once")["id"])
    scenes = [Scene.number(seed) for seed in range(LABELLED + FRESH)]
    tasks: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes):
        reference = label_studio.upload(project_id, scene.as_png(), f"scene-{number}.png")
        labelled = {"annotations": [{"result": scene.results()}]} if number < LABELLED else {}
        tasks.append({"data": {"image": reference}, **labelled})
    ids = label_studio.import_tasks(project_id, tasks)
    ml_id = label_studio.connect(project_id, service.url, extra_params=TRAINING)
    label_studio.start_training(ml_id)
    job = service.wait_for_job(service.training_of(project_id))
    assert job["job_status"] == "finished", as_json(job)
    label_studio.retrieve_predictions(project_id, ids[LABELLED:])
    return project_id, dict(zip(ids[LABELLED:], scenes[LABELLED:], strict=True))


def test_one_version_answers_everything(
    fresh: tuple[int, dict[int, Scene]], label_studio: LabelStudio
) -> None:
    right: dict[str, list[bool]] = {name: [] for name in EVERYTHING}
    for task_id, scene in fresh[1].items():
        [prediction] = label_studio.predictions(task_id)
        results = prediction["result"]
        [light] = [one for one in results if one["from_name"] == "light"]
        right["light"].append(light["value"]["choices"] == [scene.light])
        shapes = {one["id"]: one for one in results if one["from_name"] in ("box", "paint")}
        for name, truth in (("box", scene.coin), ("paint", scene.leaf)):
            of_control = [one for one in shapes.values() if one["from_name"] == name]
            right[name].append(any(iou(region_to_mask(one), truth) > 0.6 for one in of_control))
        points = [one["value"] for one in results if one["from_name"] == "point"]
        aim = np.array(scene.pin_xy_px)
        away = [np.array([v["x"] * WIDTH, v["y"] * HEIGHT]) / 100 - aim for v in points]
        right["point"].append(any(np.linalg.norm(one) < 0.05 * WIDTH for one in away))
        for one in results:
            if one["from_name"] == "size":
                truth_of_region = scene.sizes[shapes[one["id"]]["from_name"]]
                right["size"].append(one["value"]["choices"] == [truth_of_region])
    assert all(right[name] for name in EVERYTHING), right
    assert {name for name in EVERYTHING if np.mean(right[name]) < 0.6} == set(), right


def test_the_editor_takes_all_of_it_up(
    fresh: tuple[int, dict[int, Scene]], label_studio: LabelStudio, editor_page: Page, tmp_path: Path
) -> None:
    project_id, scenes = fresh
    said = {task_id: label_studio.predictions(task_id)[0]["result"] for task_id in scenes}
    task_id = max(said, key=lambda one: len({result["from_name"] for result in said[one]}))
    assert {result["from_name"] for result in said[task_id]} == EVERYTHING
    editor = LabelEditor(editor_page, label_studio, project_id)
    editor.open_predicted(task_id, len(said[task_id]))
    editor.shot("everything-at-once", tmp_path)
    stored = editor.submit()
    assert not editor.complaints
    assert sorted((one["from_name"], one["type"]) for one in stored) == sorted(
        (one["from_name"], one["type"]) for one in said[task_id]
    )
