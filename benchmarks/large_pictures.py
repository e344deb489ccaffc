"""What large pictures cost: memory and seconds of reading, predicting, and answering prompts.

Each picture is drawn, served from this machine and looked at by a process of its own, whose peak of memory
(VmHWM, the mapped pages of files included) is read when it is done. The network's weights are random: they
cost what others cost. Seconds are of the clock and of the processor, as other programs may be at work.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.core.labelstudio.prompts import Prompts
from backend.infra.images.fetcher import ImageFetcher
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import Predictor
from backend.nn.prompts.encoding import encode_picture
from backend.nn.prompts.segmenter import load_segmenter
from backend.service.ports import ImageAccess
from backend.settings import Settings
from benchmarks.live_service import append_result
from benchmarks.smart_tools import served

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive jpeg": ("JPEG", {"quality": 90, "progressive": True}),
    "png": ("PNG", {"compress_level": 1}),
    "tiff": ("TIFF", {}),
    "deflated tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp": ("WEBP", {"quality": 80, "method": 0}),
}
OPEN = ImageAccess()


def main() -> None:
    """Measure each kind in a process of its own and keep one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=["jpeg", "png", "tiff"])
    parser.add_argument("--look-at", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.look_at:
        print(json.dumps(_look_at(args.look_at)))
        return
    side = round((args.megapixels * 1e6) ** 0.5)
    picture = _drawn(side)
    for kind in args.kinds:
        name, options = KINDS[kind]
        with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
            path = Path(folder, "picture")
            picture.save(path, name, **options)
            command = [sys.executable, "-m", "benchmarks.large_pictures", "--look-at", f"{url}/picture"]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(answer.stdout.splitlines()[-1])
            row = {"kind": kind, "side_px": side, "file_mb": round(path.stat().st_size / 1e6, 1), **found}
        append_result("large_pictures", row)


def _drawn(side: int) -> Image.Image:
    """Return a picture with fine and coarse structure, which costs about what a photograph does."""
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).resize((side, side))
    pixels = np.asarray(coarse).copy()
    for first in range(0, side, 256):
        rows = pixels[first : first + 256]
        noise = rng.integers(-12, 13, rows.shape[:2], np.int16)[:, :, None]
        rows[:] = np.clip(rows + noise, 0, 255)
    return Image.fromarray(pixels)


def _look_at(url: str) -> dict[str, Any]:
    """Read a picture, predict it, look at it small, and answer prompts on it."""
    with tempfile.TemporaryDirectory() as folder:
        images = ImageFetcher.from_settings(Settings.from_env({"DATA_DIR": folder}))
        network = (
            InstanceNetwork(Architecture("resnet18", 640, 2, (BOXES, MASKS))).eval().requires_grad_(False)
        )
        predictor = Predictor(network, ("a", "b"))
        segmenter = load_segmenter(None)
        segmenter.warm_up()
        figures: dict[str, Any] = {"mb_before": _peak_mb()}

        def timed(name: str, work: Callable[[], Any]) -> Any:
            wall, used = time.perf_counter(), time.process_time()
            made = work()
            figures[f"{name}_s"] = [
                round(time.perf_counter() - wall, 3),
                round(time.process_time() - used, 3),
            ]
            figures[f"{name}_peak_mb"] = _peak_mb()
            return made

        timed("thumbnail", lambda: images.shrunk(url, OPEN, 192))
        pixels = timed("read", lambda: images.load_rgb(url, OPEN))
        side = len(pixels)
        limits = {"confidence_threshold": 0.3, "nms_threshold": 0.5}
        timed("predict", lambda: predictor.predict([pixels], **limits))
        encoding = timed("encode", lambda: encode_picture(images.pyramid(url, OPEN), None))
        outline = np.float32([[0, 0], [60, 0], [60, 60], [0, 60]]) + side / 3
        box = Prompts(np.zeros((0, 2), np.float32), np.zeros(0, bool), outline)
        click = Prompts(np.float32([[side / 2, side / 2]]), np.array([True]))
        two = Prompts(np.float32([[side / 2, side / 2], [side / 2 + 9, side / 2]]), np.array([True, True]))
        for name, prompts in (("first_click", click), ("second_click", two), ("rough_box", box)):
            timed(name, partial(segmenter.segment, encoding, prompts))
        timed("tile", lambda: images.pyramid(url, OPEN).levels[0][:512, :512].copy())
        return figures


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


if __name__ == "__main__":
    main()
