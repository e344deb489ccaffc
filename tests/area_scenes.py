"""Pictures of a sky over a road, painted as areas; in some the sky shows twice, beside a tower."""

import numpy as np

from backend.core.geometry.instances import ImageSize, MaskPatch, TrainingTarget
from backend.training.inputs import TrainingSample

LABELS = ("sky", "road")
SIZE = ImageSize(96, 64)


def landscape(seed, *, has_tower=False):
    """Return image, sky and road, bool [64, 96]; a tower cuts the sky into a left and a right part."""
    rng = np.random.default_rng(seed)
    image = np.empty((SIZE.height, SIZE.width, 3), np.uint8)
    horizon, kerb = int(rng.integers(22, 30)), int(rng.integers(40, 48))
    image[:] = (70, 150, 60)
    image[:horizon] = (120, 180, 240)
    image[kerb:] = (90, 90, 95)
    sky, road = np.zeros(image.shape[:2], np.bool_), np.zeros(image.shape[:2], np.bool_)
    sky[:horizon], road[kerb:] = True, True
    if has_tower:
        left = int(rng.integers(32, 48))
        image[:kerb, left : left + 20] = (160, 60, 40)
        sky[:, left : left + 20] = False
    noisy = image.astype(int) + rng.integers(-12, 13, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), sky, road


def area_target(sky, road):
    patches = (MaskPatch.from_full(sky), MaskPatch.from_full(road))
    boxes = [(p.left_px, p.top_px, p.left_px + p.bits.shape[1], p.top_px + p.bits.shape[0]) for p in patches]
    return TrainingTarget(SIZE, np.array(boxes, np.float32), np.arange(2, dtype=np.int64), patches)


def area_sample(task_id):
    image, sky, road = landscape(task_id, has_tower=task_id % 2 == 1)
    return TrainingSample(task_id, lambda: image, area_target(sky, road))
