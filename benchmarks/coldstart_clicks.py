"""Clicks that an untaught smart tool needs, by the protocol of the field: in process and through HTTP.

    python -m benchmarks.coldstart_clicks --data JUDGES --set grabcut            # in one process and thread
    python -m benchmarks.coldstart_clicks --data JUDGES --set grabcut --http     # through a service

JUDGES holds <set>/images and <set>/masks as `scripts/coldstart_photographs.py` writes them. Each click lies
at the deepest place of the larger error region, the first one on the object, at most 20; pixels of value 255
are not judged. NoC@q counts the clicks to IoU q, 20 where that is never reached. Source: RITM, arXiv
2102.06583, section 4.1. Figures are appended to benchmarks/results/coldstart_clicks.jsonl (--no-keep: printed
only).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
import torch

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import parse_prompts, place_prompts
from backend.core.regions.brush_rle import decode_brush_rle
from backend.nn.prompts.encoding import encode_image
from backend.nn.prompts.segmenter import PromptSegmenter, load_segmenter, segmenter_of
from benchmarks.live_service import append_result
from benchmarks.smart_tools import CONFIG, served, wait_until_ready
from benchmarks.smart_tools_annotator import Mask
from harness.service_process import ServiceProcess

MOST_CLICKS = 20
NOT_JUDGED = 255

LABELLED = CONFIG.format(labels='<Label value="Object"/>')

Prompt = dict[str, Any]
Answer = Callable[[list[Prompt]], Mask | None]


@dataclass(frozen=True, eq=False)
class Judge:
    """One object of a picture: its mask and which pixels are judged, bool [H, W]."""

    image: Path
    truth: Mask
    is_judged: Mask


@dataclass
class Course:
    """IoU after every click of every object, and the milliseconds of the answers."""

    ious: list[list[float]] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    further_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return clicks needed, how many objects never got there, and IoU after one, two, three and five."""
        out: dict[str, float] = {"objects": len(self.ious)}
        for wanted in (0.80, 0.85, 0.90):
            needed = [next((k for k, v in enumerate(c, 1) if v >= wanted), None) for c in self.ious]
            out[f"noc{round(wanted * 100)}"] = round(float(np.mean([n or MOST_CLICKS for n in needed])), 3)
            out[f"never{round(wanted * 100)}"] = sum(n is None for n in needed)
        for count in (1, 2, 3, 5):
            reached = [c[min(count, len(c)) - 1] for c in self.ious]
            out[f"iou_after_{count}"] = round(float(np.mean(reached)), 4)
        for name, values in (("first_ms", self.first_ms), ("further_ms", self.further_ms)):
            if values:
                out[f"{name}_median"] = round(float(np.median(values)), 1)
                out[f"{name}_p95"] = round(float(np.percentile(values, 95)), 1)
        return out


def read_judges(folder: Path, every: int) -> Iterator[Judge]:
    """Yield every object of a set, or of every n-th picture."""
    for count, path in enumerate(sorted((folder / "images").iterdir())):
        if count % every:
            continue
        owner = cv2.imread(str(folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        for number in np.setdiff1d(np.unique(owner), (0, NOT_JUDGED)):
            yield Judge(path, owner == number, owner != NOT_JUDGED)


def click_through(judge: Judge, answer: Answer, course: Course) -> None:
    """Click until the IoU is 0.90 or the clicks are used up."""
    prompts: list[Prompt] = []
    size = ImageSize(judge.truth.shape[1], judge.truth.shape[0])
    mask = np.zeros_like(judge.truth)
    is_free = np.ones_like(judge.truth)
    ious: list[float] = []
    while len(ious) < MOST_CLICKS and (not ious or ious[-1] < 0.90):
        prompts.append(keypoint(len(prompts), *_next_click(judge, mask, is_free), size))
        started = time.perf_counter()
        found = answer(prompts)
        (course.further_ms if ious else course.first_ms).append((time.perf_counter() - started) * 1000)
        mask = np.zeros_like(judge.truth) if found is None else found
        either = (mask | judge.truth) & judge.is_judged
        ious.append(float(np.count_nonzero(mask & judge.truth & either) / max(1, np.count_nonzero(either))))
    course.ious.append(ious)


def _next_click(judge: Judge, mask: Mask, is_free: Mask) -> tuple[float, float, bool]:
    """Return the place deepest inside the larger error, and whether it is on the object; no place twice."""
    depths = []
    for wrong in (judge.truth & ~mask, mask & ~judge.truth):
        padded = np.pad((wrong & judge.is_judged).astype(np.uint8), 1)
        depths.append(cv2.distanceTransform(padded, cv2.DIST_L2, 0)[1:-1, 1:-1] * is_free)
    is_positive = bool(depths[0].max() > depths[1].max())
    depth = depths[0] if is_positive else depths[1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    is_free[row, column] = False
    return float(column) + 0.5, float(row) + 0.5, is_positive


def keypoint(number: int, x: float, y: float, is_positive: bool, size: ImageSize) -> Prompt:
    """Return a click as Label Studio sends it."""
    value = {"x": x / size.width * 100, "y": y / size.height * 100, "width": 0.3}
    prompt = prompt_of(f"click-{number}", "keypoint", "keypointlabels", value, size)
    return {**prompt, "is_positive": is_positive}


def rectangle(box_xyxy_px: np.ndarray, size: ImageSize) -> Prompt:
    """Return a rough box as Label Studio sends it."""
    left, top, right, bottom = box_xyxy_px / np.array([size.width, size.height] * 2) * 100
    value = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    return prompt_of("box", "rectangle", "rectanglelabels", value, size)


def prompt_of(name: str, control: str, kind: str, value: dict[str, Any], size: ImageSize) -> Prompt:
    return {
        "id": name,
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": size.width,
        "original_height": size.height,
        "value": {**value, kind: ["Object"]},
    }


def in_process(image: Path, segmenter: PromptSegmenter) -> Answer:
    """Return what answers prompts on an image in this process."""
    encoding = encode_image(np.ascontiguousarray(cv2.imread(str(image))[:, :, ::-1]), None)
    config = parse_label_config(LABELLED)
    task = {"id": 1, "data": {"image": image.name}}

    def answer(prompts: list[Prompt]) -> Mask | None:
        request = parse_prompts({"result": prompts}, task, config)
        assert request is not None
        (wanted,) = place_prompts(request.pages[0], encoding.size)
        found = segmenter.segment(encoding, wanted)
        return None if found is None else found.mask.full(encoding.size)

    return answer


def through_http(backend: str, image_url: str, size: ImageSize) -> Answer:
    """Return what answers prompts on an image through a running service, as Label Studio asks."""
    session = requests.Session()

    def answer(prompts: list[Prompt]) -> Mask | None:
        body: dict[str, Any] = {
            "tasks": [{"id": 1, "data": {"image": image_url}}],
            "project": "1",
            "label_config": LABELLED,
            "params": {"context": {"result": prompts}},
        }
        reply = session.post(f"{backend}/predict", json=body, timeout=100)
        reply.raise_for_status()
        entry = reply.json()["results"][0]
        if not entry["result"]:
            return None
        return np.asarray(decode_brush_rle(entry["result"][0]["value"]["rle"], size) > 127)

    return answer


@contextmanager
def answering(
    images: Path, *, http: bool, weights: Path | None
) -> Iterator[Callable[[Path, ImageSize], Answer]]:
    """Yield what makes an Answer for a picture of a folder and its size: in process, or through a service."""
    if not http:
        segmenter = load_segmenter(None) if weights is None else segmenter_of(weights)
        yield lambda image, _size: in_process(image, segmenter)
        return
    with ExitStack() as stack:
        images_url = stack.enter_context(served(images))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = stack.enter_context(ServiceProcess(scratch / "data")).url
        wait_until_ready(backend, "1", LABELLED)
        yield lambda image, size: through_http(backend, f"{images_url}/{image.name}", size)


def main() -> int:
    """Measure one set, and append the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--set", required=True, help="a folder of --data, such as grabcut, berkeley, davis_val"
    )
    parser.add_argument("--every", type=int, default=1, help="every n-th picture only")
    parser.add_argument("--http", action="store_true", help="through a service that is started for it")
    parser.add_argument("--weights", type=Path, help="a prompt network to try instead of the shipped one")
    parser.add_argument("--no-keep", action="store_true")
    options = parser.parse_args()
    folder, course = options.data / options.set, Course()
    torch.set_num_threads(1)
    with answering(folder / "images", http=options.http, weights=options.weights) as answer_for:
        for judge in read_judges(folder, options.every):
            size = ImageSize(judge.truth.shape[1], judge.truth.shape[0])
            click_through(judge, answer_for(judge.image, size), course)
            sys.stderr.write(f"\r{len(course.ious)} objects ")
    sys.stderr.write("\n")
    row = {
        "set": options.set,
        "every": options.every,
        "way": "http" if options.http else "in process",
        "weights": "shipped" if options.weights is None else options.weights.name,
        **course.summary(),
    }
    if options.no_keep:
        print(json.dumps(row))
    else:
        append_result("coldstart_clicks", row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
