"""Pictures of two squares of which something can be said: filled or hollow, how many stripes, how large."""

import cv2
import numpy as np

from backend.core.answers.kind import WrittenControl
from backend.core.answers.number import NUMBER
from backend.core.answers.options import Form, Question
from backend.core.answers.rating import RATING
from backend.core.geometry.instances import Attributes, ImageSize, TrainingTarget
from backend.training.inputs import TrainingSample

SIZE = ImageSize(112, 64)
ASKED = {
    "fill": Question(Form.SINGLE, (("filled",), ("hollow",))).as_json(),
    "stripes": NUMBER.asked(WrittenControl({})),
    "grade": RATING.asked(WrittenControl({"maxrating": "3"})),
}


def picture(seed):
    """Return image, boxes [2, 4], and of each square what can be said."""
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 60, size=(SIZE.height, SIZE.width, 3), dtype=np.uint8)
    boxes, said = [], []
    for column in range(2):
        grade, stripes, is_hollow = int(rng.integers(1, 4)), int(rng.integers(0, 4)), bool(rng.integers(2))
        side = 14 + 10 * grade
        x = column * 56 + int(rng.integers(2, 54 - side))
        y = int(rng.integers(2, 62 - side))
        cv2.rectangle(image, (x, y), (x + side, y + side), (60, 90, 220), 4 if is_hollow else -1)
        for k in range(stripes):
            row = y + round((k + 1) * side / (stripes + 1))
            cv2.line(image, (x, row), (x + side, row), (230, 220, 60), 2)
        boxes.append([x - 2, y - 2, x + side + 3, y + side + 3])
        said.append({"fill": [int(is_hollow)], "stripes": float(stripes), "grade": float(grade)})
    return image, np.array(boxes, np.float32), said


def sample(task_id, controls=tuple(ASKED)):
    """Return a picture that teaches what it says under some control tags."""
    image, boxes, said = picture(task_id)
    sides = (boxes[:, 2:] - boxes[:, :2]) / max(SIZE.width, SIZE.height)
    attributes = [
        Attributes({name: one[name] for name in controls}, tuple(mine))
        for one, mine in zip(said, sides.tolist(), strict=True)
    ]
    target = TrainingTarget(
        SIZE, boxes, np.zeros(2, np.int64), (None, None), attributes=tuple(attributes) if controls else ()
    )
    return TrainingSample(task_id, lambda: image, target)
