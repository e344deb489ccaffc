"""Small scenes for training tests: bright discs on dark ground, with exact masks."""

import numpy as np

from backend.core.geometry.instances import ImageSize, MaskPatch, TrainingTarget
from backend.training.inputs import TrainingSample
from backend.training.recipe import Recipe

QUICK = Recipe(pass_images_min=4, pass_repeats=1.0, tuning_share=0, tuning_seconds_min=0)
"""A small pass, and no tuning of the smart tools, which has tests of its own and would take 20 s."""


def scene(seed, size_wh=(96, 64), count=2, with_masks=True):
    rng = np.random.default_rng(seed)
    width, height = size_wh
    image = rng.integers(20, 60, size=(height, width, 3), dtype=np.uint8)
    ys, xs = np.mgrid[:height, :width]
    boxes, masks, labels = [], [], []
    for k in range(count):
        # Each disc in its own column of the image, so that none hides another.
        column_px = width // count
        radius = int(rng.integers(6, 14))
        radius = max(2, min(radius, column_px // 2 - 1, height // 2 - 1))
        x = k * column_px + int(rng.integers(radius, column_px - radius))
        y = int(rng.integers(radius, height - radius))
        disc = (xs - x) ** 2 + (ys - y) ** 2 <= radius**2
        image[disc] = (220, 40, 40) if k % 2 == 0 else (40, 60, 230)
        patch = MaskPatch.from_full(disc)
        rows, columns = patch.bits.shape
        boxes.append([patch.left_px, patch.top_px, patch.left_px + columns, patch.top_px + rows])
        masks.append(patch if with_masks else None)
        labels.append(k % 2)
    target = TrainingTarget(
        ImageSize(width, height),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        tuple(masks),
    )
    return image, target


def sample(task_id, **kwargs):
    image, target = scene(task_id, **kwargs)
    return TrainingSample(task_id, lambda: image, target)


class Observer:
    """Keeps what it is told; asks to stop as soon as `stop_after` epochs are reported."""

    def __init__(self, stop=None, stop_after=1):
        self.reports, self.warnings, self.progress, self.tiles = [], [], [], []
        self.stop, self.stop_after = stop, stop_after

    def on_tiles(self, reason):
        self.tiles.append(reason)

    def on_progress(self, progress):
        self.progress.append(progress)

    def on_epoch(self, report):
        self.reports.append(report)

    def on_warning(self, message):
        self.warnings.append(message)

    def stop_requested(self):
        return self.stop if len(self.reports) >= self.stop_after else None
