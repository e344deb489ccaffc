"""A simulated annotator with smart tools: boxes, centre clicks, and clicks until the mask is good.

Knows nothing of how answers are made: `ask` takes the prompts as Label Studio sends them and returns the
answer's mask, so the same measures serve over HTTP and in one process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import decode_brush_rle

MOST_CLICKS = 10
WANTED_IOU = 0.80
JITTER = 0.05

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Ask = Callable[[dict[str, Any], list[dict[str, Any]]], Mask | None]


@dataclass
class LabelledImage:
    """One task with the true masks, bool [H, W], of its objects."""

    task: dict[str, Any]
    path: Path
    size: ImageSize
    masks: list[Mask]


@dataclass
class Scores:
    """What was measured, one entry per object (or per click)."""

    box_iou: list[float] = field(default_factory=list)
    click_iou: list[float] = field(default_factory=list)
    clicks_needed: list[int] = field(default_factory=list)
    reached: list[bool] = field(default_factory=list)
    got_no_worse: list[bool] = field(default_factory=list)
    obeyed: list[bool] = field(default_factory=list)
    empty: int = 0
    asked: int = 0
    first_ms: list[float] = field(default_factory=list)
    further_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return means and shares, rounded."""

        def mean(values: list[Any]) -> float:
            return round(float(np.mean(values)), 4) if values else float("nan")

        return {
            "objects": len(self.box_iou),
            "box_iou": mean(self.box_iou),
            "click_iou": mean(self.click_iou),
            "clicks_to_080": mean(self.clicks_needed),
            "reached_080": mean(self.reached),
            "click_did_not_lower_iou": mean(self.got_no_worse),
            "clicks_obeyed": mean(self.obeyed),
            "empty_share": round(self.empty / max(1, self.asked), 4),
            "first_ms_median": mean([np.median(self.first_ms)]) if self.first_ms else float("nan"),
            "first_ms_p95": mean([np.percentile(self.first_ms, 95)]) if self.first_ms else float("nan"),
            "further_ms_median": mean([np.median(self.further_ms)]) if self.further_ms else float("nan"),
            "further_ms_p95": mean([np.percentile(self.further_ms, 95)]) if self.further_ms else float("nan"),
        }


def load_brush_tasks(folder: Path, tasks_file: str, split: str) -> Iterator[LabelledImage]:
    """Yield the images of a split of a shared data set with their brush masks."""
    wanted = set(json.loads((folder / "splits.json").read_text())[split])
    for task in json.loads((folder / tasks_file).read_text()):
        if task["id"] not in wanted:
            continue
        results = task["annotations"][0]["result"]
        if not results:
            continue
        size = ImageSize(results[0]["original_width"], results[0]["original_height"])
        masks = [decode_brush_rle(result["value"]["rle"], size) >= 128 for result in results]
        yield LabelledImage(task, folder / task["data"]["image"], size, [m for m in masks if m.any()])


def measure_image(
    image: LabelledImage, ask: Ask, scores: Scores, rng: np.random.Generator, *, with_clicks: bool = True
) -> None:
    """Prompt for every object of an image and add to the scores."""
    is_first = True
    for mask in image.masks:
        for kind in ("box", "click"):
            prompts = [box_prompt(mask, rng)] if kind == "box" else [click_prompt(innermost(mask), mask, 0)]
            started = time.perf_counter()
            answer = ask(image.task, prompts)
            elapsed_ms = (time.perf_counter() - started) * 1000
            (scores.first_ms if is_first else scores.further_ms).append(elapsed_ms)
            is_first = False
            scores.asked += 1
            scores.empty += answer is None
            (scores.box_iou if kind == "box" else scores.click_iou).append(iou(answer, mask))
        if with_clicks:
            _click_on(image, mask, prompts, answer, ask, scores)


def _click_on(
    image: LabelledImage,
    mask: Mask,
    prompts: list[dict[str, Any]],
    answer: Mask | None,
    ask: Ask,
    scores: Scores,
) -> None:
    """Go on clicking in the largest error until the mask is good; counts clicks and checks them."""
    needed, reached = MOST_CLICKS, False
    for clicks in range(1, MOST_CLICKS + 1):
        before = iou(answer, mask)
        scores.obeyed.append(obeys(answer, prompts))
        if before >= WANTED_IOU:
            needed, reached = clicks, True
            break
        if clicks == MOST_CLICKS:
            break
        wrong = mask if answer is None else answer != mask
        prompts = [*prompts, click_prompt(innermost(largest_part(wrong)), mask, clicks)]
        started = time.perf_counter()
        answer = ask(image.task, prompts)
        scores.further_ms.append((time.perf_counter() - started) * 1000)
        scores.asked += 1
        scores.empty += answer is None
        scores.got_no_worse.append(iou(answer, mask) >= before - 1e-6)
    scores.clicks_needed.append(needed)
    scores.reached.append(reached)


def iou(answer: Mask | None, truth: Mask) -> float:
    """Return intersection over union; an empty answer counts as 0."""
    if answer is None:
        return 0.0
    return float(np.count_nonzero(answer & truth) / max(1, np.count_nonzero(answer | truth)))


def obeys(answer: Mask | None, prompts: list[dict[str, Any]]) -> bool:
    """Tell whether the mask holds every positive click and no negative one."""
    if answer is None:
        return False
    height, width = answer.shape
    return all(
        bool(answer[int(p["value"]["y"] / 100 * height), int(p["value"]["x"] / 100 * width)])
        == p["is_positive"]
        for p in prompts
    )


def innermost(mask: Mask) -> tuple[float, float]:
    """Return the pixel centre (x, y) farthest from the mask's border: "the centre" of an object or error."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column) - 0.5, float(row) - 0.5


def largest_part(mask: Mask) -> Mask:
    """Return the largest connected part of a mask that has set pixels."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return numbers == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def box_prompt(mask: Mask, rng: np.random.Generator) -> dict[str, Any]:
    """Return a rectangle prompt: the mask's box, each side moved by N(0, 5 %) of its width or height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    moved = np.array([left, top, right, bottom]) + rng.normal(0, JITTER, 4) * np.array(
        [right - left, bottom - top] * 2
    )
    height, width = mask.shape
    x1, x2 = np.clip(moved[[0, 2]], 0, width)
    y1, y2 = np.clip(moved[[1, 3]], 0, height)
    value = {
        "x": x1 / width * 100,
        "y": y1 / height * 100,
        "width": (x2 - x1) / width * 100,
        "height": (y2 - y1) / height * 100,
        "rotation": 0,
    }
    return _prompt("box", "rectanglelabels", value, mask)


def click_prompt(point_xy: tuple[float, float], mask: Mask, number: int) -> dict[str, Any]:
    """Return a key point prompt; positive where the mask is set."""
    height, width = mask.shape
    x, y = point_xy
    value = {"x": x / width * 100, "y": y / height * 100, "width": 0.3}
    prompt = _prompt(f"click-{number}", "keypointlabels", value, mask)
    return {**prompt, "is_positive": bool(mask[int(y), int(x)])}


def _prompt(region_id: str, result_type: str, value: dict[str, Any], mask: Mask) -> dict[str, Any]:
    return {
        "id": region_id,
        "from_name": result_type.removesuffix("labels"),
        "to_name": "image",
        "type": result_type,
        "origin": "manual",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "value": value,
    }
