"""What a second look at the mirrored image brings to a version, and what it costs.

    python -m benchmarks.mirrored_view --data DATA --set bccd --version FOLDER [--version FOLDER]

FOLDER is that of a trained version (`projects/*/versions/*` in a data directory); one that has not learned
from the validation images of the set. Prints a line for each version and look, and appends it to
benchmarks/results/mirrored_view.jsonl: the measures on the validation images, and the processor's seconds
for all of them on one thread.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from backend.nn.detector.predictor import CARD_FILE, MIRRORED_VIEW, load_predictor
from benchmarks.data_sets import SETS, load_samples
from benchmarks.learning import score
from benchmarks.live_service import append_result


def main() -> int:
    """Measure every version with and without the second look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True, choices=SETS)
    parser.add_argument("--version", type=Path, action="append", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples, config, _ = load_samples(options.data, options.set, "val")
    images = [sample.load_rgb() for sample in samples]
    has_masks = any(mask is not None for sample in samples for mask in sample.target.masks)
    for folder in options.version:
        for mirrored_view in (False, True):
            with tempfile.TemporaryDirectory() as scratch:
                predictor = load_predictor(looking(folder, Path(scratch) / "version", mirrored_view))
            started = time.process_time()
            found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
            seconds = time.process_time() - started
            measures = score(found, samples, len(config.labels), has_masks)
            row = {
                "set": options.set,
                "version": folder.name,
                "mirrored_view": mirrored_view,
                "processor_seconds": round(seconds, 1),
                **{name: round(value, 4) for name, value in measures.items()},
            }
            append_result("mirrored_view", row)
    return 0


def looking(folder: Path, copy: Path, mirrored_view: bool) -> Path:
    """Return a copy of a version that looks at mirrored images or does not."""
    shutil.copytree(folder, copy)
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps({**card, MIRRORED_VIEW: mirrored_view}))
    return copy


if __name__ == "__main__":
    sys.exit(main())
