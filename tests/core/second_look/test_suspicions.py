"""A second look finds what was drawn wrongly, and says what is wrong there."""

from __future__ import annotations

from functools import cache

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.core.second_look.kinds import SuspicionKind
from backend.core.second_look.suspicions import Compared, Suspicion, suspect

SIZE = ImageSize(400, 300)
LABELS = 2


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes [N, 4] and labels [N] of objects that stand in a grid of cells."""
    boxes, labels = [], []
    for column in range(4):
        for row in range(3):
            if rng.random() < 0.3:
                continue
            width, height = rng.uniform(40, 60, 2)
            x, y = column * 100 + rng.uniform(5, 35), row * 100 + rng.uniform(5, 35)
            boxes.append([x, y, x + width, y + height])
            labels.append(int(rng.random() < 0.4))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def seen(boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Detections:
    """Return what a fair version finds: nearly all objects, nearly where they are, and some that are none."""
    rows = []
    for box, label in zip(boxes, labels, strict=True):
        if rng.random() < 0.95:
            rows.append((*(box + rng.normal(0, 1.5, 4)), rng.uniform(0.6, 0.97), label))
        if rng.random() < 0.1:
            rows.append((*(box + rng.normal(0, 1.5, 4)), rng.uniform(0.05, 0.3), 1 - label))
    for _ in range(rng.integers(3)):
        x, y = rng.uniform(0, 340), rng.uniform(0, 240)
        rows.append((x, y, x + 50, y + 50, rng.uniform(0.05, 0.3), rng.integers(LABELS)))
    found = np.array(sorted(rows, key=lambda row: -row[4]), np.float32).reshape(-1, 6)
    return Detections(SIZE, found[:, :4], found[:, 4], found[:, 5].astype(np.int64), (None,) * len(found))


def target(boxes: np.ndarray, labels: np.ndarray) -> TrainingTarget:
    return TrainingTarget(SIZE, np.float32(boxes).reshape(-1, 4), np.int64(labels), (None,) * len(labels))


def sound_pictures(count: int, seed: int) -> list[Compared]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        boxes, labels = scene(rng)
        pictures.append(Compared(target(boxes, labels), seen(boxes, labels, rng)))
    return pictures


def spoilt(picture: Compared, kind: SuspicionKind) -> Compared:
    """Return a picture whose first object is drawn wrongly."""
    boxes, labels = picture.target.boxes_xyxy_px.copy(), picture.target.label_indices.copy()
    if kind is SuspicionKind.MISSING_OBJECT:
        boxes, labels = boxes[1:], labels[1:]
    elif kind is SuspicionKind.OTHER_LABEL:
        labels[0] = 1 - labels[0]
    elif kind is SuspicionKind.BADLY_PLACED:
        boxes[0, [0, 2]] += 0.35 * (boxes[0, 2] - boxes[0, 0])
    elif kind is SuspicionKind.DRAWN_TWICE:
        boxes, labels = np.concatenate([boxes, boxes[:1] + 3]), np.append(labels, labels[0])
    else:
        free = next(
            box
            for x in range(0, 350, 10)
            for y in range(0, 250, 10)
            if not box_iou(box := np.array([[x, y, x + 45, y + 45]], np.float32), boxes).any()
            and not box_iou(box, picture.found.boxes_xyxy_px).any()
        )
        boxes, labels = np.concatenate([boxes, free]), np.append(labels, 0)
    return Compared(target(boxes, labels), picture.found)


def with_errors(pictures: list[Compared]) -> list[Compared]:
    """Return the pictures, each of the first ten with one error, two of each kind."""
    kinds = [kind for kind in SuspicionKind for _ in range(2)]
    return [spoilt(p, kind) for p, kind in zip(pictures, kinds, strict=False)] + pictures[len(kinds) :]


def found_well(picture: Compared) -> bool:
    """Whether the version found the first object of a picture."""
    first = picture.target.boxes_xyxy_px[:1]
    return bool(len(first)) and bool((box_iou(first, picture.found.boxes_xyxy_px) > 0.7).any())


@cache
def looked_at(seed: int = 3) -> list[Suspicion]:
    pictures = [picture for picture in sound_pictures(60, seed) if found_well(picture)]
    return suspect(with_errors(pictures[:40]), LABELS)


def test_planted_errors_come_first_and_are_called_by_what_they_are() -> None:
    suspicions = looked_at()
    first = {(one.picture, one.kind) for one in suspicions[:12]}
    kinds = [kind for kind in SuspicionKind for _ in range(2)]
    assert len(first & set(enumerate(kinds))) >= 8


def test_probabilities_fall_along_the_list_and_sound_pictures_have_hardly_any() -> None:
    suspicions = looked_at()
    chances = [one.probability for one in suspicions]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.6
    sound = suspect(sound_pictures(30, 5), LABELS)
    assert sum(one.probability > 0.5 for one in sound) <= 3


def one_label_pictures(count: int, missing: int, seed: int) -> list[Compared]:
    """Return pictures of two objects of the only label, found roughly, among many weak detections of nothing.

    In the first `missing` ones the first object is not drawn.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        corners = np.array([[20, 20], [210, 120]]) + rng.uniform(0, 60, (2, 2))
        boxes = np.float32(np.concatenate([corners, corners + rng.uniform(70, 110, (2, 2))], axis=1))
        corners = rng.uniform(0, (320, 220), (12, 2))
        weak = np.concatenate([corners, corners + rng.uniform(30, 80, (12, 2))], axis=1)
        found = np.float32(np.concatenate([boxes + rng.normal(0, 8, (2, 4)), weak]))
        scores = np.float32(np.concatenate([rng.uniform(0.3, 0.8, 2), rng.uniform(0.02, 0.25, 12)]))
        order = np.argsort(-scores)
        seen_there = Detections(SIZE, found[order], scores[order], np.zeros(14, np.int64), (None,) * 14)
        drawn = boxes[number < missing :]
        pictures.append(Compared(target(drawn, np.zeros(len(drawn))), seen_there))
    return pictures


def test_one_label_few_objects_and_many_weak_detections_are_suspected_as_much_as_they_are_wrong() -> None:
    suspicions = suspect(one_label_pictures(50, missing=6, seed=11), 1)
    of_missing = [one for one in suspicions if one.kind is SuspicionKind.MISSING_OBJECT]
    assert {one.picture for one in of_missing[:6]} == set(range(6))
    # Probabilities add up to the number of errors, six, within a factor of three; no drawn object is wrong.
    assert 2 <= sum(one.probability for one in of_missing) <= 18
    assert sum(one.probability for one in suspicions if one not in of_missing) < 2


def test_no_object_is_suspected_of_another_label_where_there_is_only_one() -> None:
    suspicions = suspect(one_label_pictures(30, missing=2, seed=12), 1)
    assert suspicions
    assert all(one.kind is not SuspicionKind.OTHER_LABEL for one in suspicions)


def test_what_is_proposed_is_the_detection_that_fits() -> None:
    for one in looked_at()[:8]:
        if one.kind in (SuspicionKind.OBJECT_TOO_MANY, SuspicionKind.DRAWN_TWICE):
            assert one.found_index is None and one.label_index is None
        else:
            assert one.found_index is not None and one.label_index is not None


def test_the_same_pictures_give_the_same_list() -> None:
    pictures = with_errors(sound_pictures(4, 6))
    assert suspect(pictures, LABELS) == suspect(pictures, LABELS)


def test_no_objects_and_no_pictures_are_no_suspicion() -> None:
    nothing = Compared(
        target(np.zeros((0, 4)), np.zeros(0)), seen(np.zeros((0, 4)), np.zeros(0), np.random.default_rng(8))
    )
    assert suspect([], LABELS) == []
    assert suspect([nothing], LABELS) == []
