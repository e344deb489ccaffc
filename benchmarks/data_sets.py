"""Labelled data sets, each a folder: tasks, a labeling config, `splits.json` (ids by split) and `images/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.training.inputs import TrainingSample

Json = dict[str, Any]
SETS = {
    "bccd": ("bccd", "tasks.json", "label_config.xml"),
    "brush": ("pennfudan", "tasks_brush.json", "label_config_brush.xml"),
    "polygon": ("pennfudan", "tasks_polygon.json", "label_config_polygon.xml"),
    "rectangle": ("pennfudan", "tasks_rectangle.json", "label_config_rectangle.xml"),
    "airbus": ("airbus", "tasks.json", "label_config.xml"),
    "hituav": ("hituav", "tasks.json", "label_config.xml"),
    # Written by `benchmarks.area_data`.
    "cell-areas": ("cell-areas", "tasks.json", "label_config.xml"),
    "people-area": ("people-area", "tasks.json", "label_config.xml"),
}
"""Of each set the folder, and the names of the files with its tasks and its labeling config."""


def load_samples(
    root: Path, name: str, split: str, limit: int | None = None
) -> tuple[list[TrainingSample], LabelConfig, list[Json]]:
    """Return samples, labeling config and tasks of a split of one of SETS, the first `limit` of them."""
    folder_name, tasks_file, config_file = SETS[name]
    folder = root / folder_name
    config = parse_label_config((folder / config_file).read_text())
    tasks = read_split(folder, split, tasks_file)[:limit]
    return samples_of(folder, tasks, config), config, tasks


def load_split(folder: Path, split: str) -> tuple[list[TrainingSample], LabelConfig]:
    """Return the samples of a split of a folder with `tasks.json` and `label_config.xml`, and that config."""
    config = parse_label_config((folder / "label_config.xml").read_text())
    return samples_of(folder, read_split(folder, split), config), config


def read_split(folder: Path, split: str, tasks_file: str = "tasks.json") -> list[Json]:
    """Return the tasks of a split, in its order."""
    tasks = {task["id"]: task for task in json.loads((folder / tasks_file).read_text())}
    return [tasks[task_id] for task_id in json.loads((folder / "splits.json").read_text())[split]]


def samples_of(folder: Path, tasks: list[Json], config: LabelConfig) -> list[TrainingSample]:
    """Return the samples of tasks, as far as a labeling config asks for what they say."""
    samples = []
    for task in tasks:
        path = folder / task["data"]["image"]

        def load(path: Path = path) -> np.ndarray:
            return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)

        height, width = load().shape[:2]
        annotated = annotated_task(task, config)
        assert annotated is not None
        page = annotated.pages[0]
        built = build_target(page.regions, config.labels, ImageSize(width, height), extras=page.extras)
        samples.append(TrainingSample(task["id"], load, built.target))
    return samples
