"""Small drawn pictures with named points around a disc.

A body has a nose and two ears that only their side tells apart; a part has three corners of unlike colours.
"""

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.points import POINTS, LabelledPoint
from backend.training.inputs import TrainingSample

BODY = ("nose", "left ear", "right ear")
PART = ("red", "green", "blue")
SIZE = ImageSize(96, 64)
NOSE, EAR = (240, 60, 60), (70, 110, 240)


def body(seed):
    """Return a picture, uint8 [64, 96, 3], and the points of a body, somewhere and turned somehow."""
    return _disc(seed, (NOSE, EAR, EAR), (0, 2, 1), (0, 1, 2))


def part(seed, shown=(0, 1, 2)):
    """Return a picture, uint8 [64, 96, 3], and the corners that it shows; shown: none for an empty one."""
    return _disc(seed, ((250, 40, 40), (40, 230, 60), (60, 70, 250)), (0, 1, 2), shown)


def _disc(seed, colours, mirrored, shown):
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 60, size=(SIZE.height, SIZE.width, 3), dtype=np.uint8)
    centre = np.array([rng.uniform(28, 68), rng.uniform(26, 38)])
    facing = rng.uniform(0, 2 * np.pi)
    points = []
    if shown:
        cv2.circle(image, tuple(int(v) for v in centre), 10, (150, 150, 150), -1, cv2.LINE_AA)
    for label in shown:
        angle = facing + (0.0, -1.9, 1.9)[label]
        x, y = centre + 12 * np.array([np.cos(angle), np.sin(angle)])
        cv2.circle(image, (round(x), round(y)), 4, colours[label], -1, cv2.LINE_AA)
        points.append(LabelledPoint(float(x) + 0.5, float(y) + 0.5, label, mirrored[label]))
    return image, points


def target(points, size=SIZE):
    """Return what an image with these points and no objects teaches."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ()
    return TrainingTarget(size, *nothing, extras={POINTS: points} if points else {})


def sample(task_id, shown=(0, 1, 2)):
    """Return the picture of a part as a training takes it."""
    image, points = part(task_id, shown)
    return TrainingSample(task_id, lambda: image, target(points))
