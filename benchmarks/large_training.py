"""What a training on large pictures takes: the peak of its memory, its seconds, and what was cut.

    python -m benchmarks.large_training [--megapixels 100] [--pictures 6] [--param epochs=1]

Pictures with drawn things are kept as JPEG files and learned from by `labelstudio-backend train`, which reads
and decodes them. The peak is the process's own (`ru_maxrss`: mapped pages of files count). What a training
holds hardly depends on how many epochs it has, so one is the default here. All other parameters are the
defaults, with `pretrained: false`. Appends a line to
benchmarks/results/large_training.jsonl.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from backend.nn.detector.predictor import read_card
from benchmarks.large_predict import SHAPES, config_of, task_of
from benchmarks.live_service import append_result
from benchmarks.tile_pictures import LABELS, draw_picture

LENGTHS_PX = (40.0, 80.0)


def main() -> None:
    """Draw, train, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--things", type=int, default=60, help="in each picture")
    parser.add_argument("--shape", choices=SHAPES, default="brush", help="what the things are annotated with")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    params = ["pretrained=false", "epochs=1", *args.param]
    side_px = round((args.megapixels * 1e6) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        # The system counts the peak of who starts a process as that process's own, and drawing takes more.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as drawer:
            given = (Path(folder), side_px, args.pictures, args.things, args.shape)
            files = drawer.submit(keep_project, *given).result()
        row = train(Path(folder), files, params)
    shown = {"side_px": side_px, "pictures": args.pictures, "things": args.things, "shape": args.shape}
    append_result("large_training", {**shown, "params": params, **row})


def keep_project(folder: Path, side_px: int, pictures: int, things: int, shape: str) -> list[str]:
    """Write pictures, tasks and labeling config into a folder; return the arguments that name them."""
    (folder / "images").mkdir()
    tasks = []
    for number in range(pictures):
        pixels, target = draw_picture(side_px, things, seed=number, lengths_px=LENGTHS_PX)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.jpg", quality=90)
        task = task_of("", number, target, shape)
        tasks.append({**task, "data": {"image": f"{number}.jpg"}})
    (folder / "tasks.json").write_text(json.dumps(tasks))
    (folder / "config.xml").write_text(config_of(shape, LABELS))
    return [
        str(folder / "tasks.json"),
        "--config",
        str(folder / "config.xml"),
        "--images",
        str(folder / "images"),
    ]


def train(folder: Path, files: list[str], params: list[str]) -> dict[str, Any]:
    """Train in a process of its own and return its peak of memory, its seconds, and how pictures were cut."""
    given = [word for param in params for word in ("--param", param)]
    command = [sys.executable, "-m", "backend.cli", "train", *files, *given]
    environment = {**os.environ, "DATA_DIR": str(folder / "data")}
    started = time.monotonic()
    pid = os.posix_spawn(command[0], command, environment)
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("the training failed")
    (card,) = (folder / "data").glob("projects/*/versions/*/card.json")
    return {
        "peak_mb": used.ru_maxrss // 1024,
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "tiles": read_card(card.parent).facts["tiles"]["reason"],
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
