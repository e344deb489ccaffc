"""The smart tools without a service: the same annotator and measures as `benchmarks.smart_tools`, in seconds.

    python -m benchmarks.smart_tools_in_process --data /path/to/pennfudan                        # untrained
    python -m benchmarks.smart_tools_in_process --data ... --version FOLDER [--weights FILE] [--every 2]

For comparing one change with another: --weights tries a prompt network of its own (a file that
`scripts/train_prompt_weights.py` wrote), --version is the folder of a trained version, --every 2 takes every
second image. One thread. Prints one JSON line and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import HINT_LIMITS, parse_prompts, place_prompts
from backend.nn.detector.predictor import load_predictor
from backend.nn.prompts.encoding import encode_image
from backend.nn.prompts.segmenter import load_segmenter, segmenter_of
from benchmarks.smart_tools import CONFIG, label_tags
from benchmarks.smart_tools_annotator import Ask, LabelledImage, Mask, Scores, load_brush_tasks, measure_image


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="tasks_brush.json")
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--version", type=Path, help="folder of a trained version")
    parser.add_argument("--weights", type=Path, help="prompt network to try instead of the usual one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = parse_label_config(CONFIG.format(labels=label_tags(options.data / options.tasks)))
    detector = None if options.version is None else load_predictor(options.version)
    segmenter = load_segmenter(options.version) if options.weights is None else segmenter_of(options.weights)

    def ask_about(image: LabelledImage) -> Ask:
        picture = np.ascontiguousarray(cv2.imread(str(image.path))[..., ::-1])
        seen = (None, None) if detector is None else detector.detect_with_maps(picture, **HINT_LIMITS)
        encoding = encode_image(picture, *seen)

        def ask(task: dict[str, Any], prompts: list[dict[str, Any]]) -> Mask | None:
            request = parse_prompts({"result": prompts}, task, config)
            assert request is not None
            label = None
            if detector is not None and request.label in detector.labels:
                label = detector.labels.index(request.label)
            (wanted,) = place_prompts(request.pages[0], image.size)
            found = segmenter.segment(encoding, wanted, label, detector)
            return None if found is None else found.mask.full(image.size)

        return ask

    scores = Scores()
    rng = np.random.default_rng(0)
    for count, image in enumerate(load_brush_tasks(options.data, options.tasks, options.split)):
        if count % options.every == 0:
            measure_image(image, ask_about(image), scores, rng)
    print(json.dumps(scores.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
