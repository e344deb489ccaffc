"""Photographs that labelling services exported into public repositories, with polygons as masks.

Of a picture that stands there several times, augmented, the calmest copy is taken. What was outlined with
fewer than `FEWEST_CORNERS` corners is a box or a hasty outline: it is not judged.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import cv2
import numpy as np

from backend.core.prompting.windows import ByteArray
from scripts.snapshots import NOT_JUDGED, Photograph, Snapshot, Source, painted

FEWEST_CORNERS = 6
SPECK = 60
"""How far a grey value is from its neighbours' median where salt or pepper was strewn."""


@dataclass(frozen=True)
class Export:
    """Folders of a repository, and what of them is taken.

    `yolo` folders have images/ and labels/, `coco` folders their pictures and `_annotations.coco.json`.
    Taken are at most `most` pictures whose name fits `name`, each cut into `pieces` x `pieces`.
    """

    source: Source
    layout: Literal["yolo", "coco"]
    folders: tuple[str, ...]
    name: str = ""
    most: int = 200
    pieces: int = 1


@dataclass(frozen=True, eq=False)
class Outlined:
    """A picture's path, its objects (each a list of rings [N, 2]) and boxes xywh, in shares of its sides."""

    path: str
    shapes: list[list[Any]]
    boxes: list[tuple[float, float, float, float]]


def of_export(clone: Snapshot, export: Export) -> Iterator[Photograph]:
    """Yield the photographs of an export, spread evenly over the names."""
    listed = yolo_outlines if export.layout == "yolo" else coco_outlines
    copies: dict[str, list[Outlined]] = defaultdict(list)
    for folder in export.folders:
        for outlined in listed(clone, folder):
            name = PurePosixPath(outlined.path).name
            if outlined.shapes and re.match(export.name, name):
                copies[PurePosixPath(name).stem.split(".rf.")[0]].append(outlined)
    stems = sorted(copies)
    for place in np.unique(np.linspace(0, len(stems) - 1, min(export.most, len(stems))).astype(int)):
        stem = stems[place]
        photograph = _calmest(clone, stem, copies[stem])
        if photograph is not None:
            yield from _pieces(photograph, export.pieces)


def yolo_outlines(clone: Snapshot, folder: str) -> Iterator[Outlined]:
    """Yield the pictures of a YOLO segmentation folder: a class and a polygon in shares a line."""
    paths = clone.paths(f"{folder}/images")
    texts = clone.read_all([f"{folder}/labels/{PurePosixPath(path).stem}.txt" for path in paths])
    for path, text in zip(paths, texts, strict=True):
        if text is not None:
            rows = [np.array(line.split()[1:], dtype=np.float64) for line in text.decode().splitlines()]
            polygons = [row.reshape(-1, 2) for row in rows if len(row) >= 6 and len(row) % 2 == 0]
            centres = [(x - w / 2, y - h / 2, w, h) for x, y, w, h in (row for row in rows if len(row) == 4)]
            yield _outlined(path, [[polygon] for polygon in polygons], centres)


def coco_outlines(clone: Snapshot, folder: str) -> Iterator[Outlined]:
    """Yield the pictures of a COCO folder; objects without polygons, and crowds, count as boxes."""
    content = clone.read(f"{folder}/_annotations.coco.json")
    assert content is not None, folder
    listed = json.loads(content)
    annotations = defaultdict(list)
    for annotation in listed["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    for entry in listed["images"]:
        size_wh = np.array((entry["width"], entry["height"]), dtype=np.float64)
        shapes, boxes = [], []
        for annotation in annotations[entry["id"]]:
            rings = annotation.get("segmentation")
            if isinstance(rings, list) and rings and not annotation.get("iscrowd"):
                shapes.append([np.reshape(ring, (-1, 2)) / size_wh for ring in rings])
            else:
                x, y, width, height = np.array(annotation["bbox"], dtype=np.float64) / np.tile(size_wh, 2)
                boxes.append((x, y, width, height))
        yield _outlined(f"{folder}/{entry['file_name']}", shapes, boxes)


def _outlined(path: str, shapes: list[list[Any]], boxes: list[tuple[float, float, float, float]]) -> Outlined:
    """Return a picture's outlines, those with few corners among the boxes."""
    exact = []
    for rings in shapes:
        if sum(len(ring) for ring in rings) >= FEWEST_CORNERS:
            exact.append(rings)
        else:
            points = np.concatenate(rings)
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            boxes.append((left, top, right - left, bottom - top))
    return Outlined(path, exact, boxes)


def _calmest(clone: Snapshot, stem: str, copies: list[Outlined]) -> Photograph | None:
    """Return the copy with the fewest specks and the least black border, None where none can be read."""
    read = [
        (unrest(bgr), k, bgr)
        for k, bgr in enumerate(clone.picture(c.path) for c in copies)
        if bgr is not None
    ]
    if not read:
        return None
    _, k, bgr = min(read, key=lambda copy: copy[:2])
    height, width = bgr.shape[:2]
    scale = np.array((width, height))
    shapes = [[np.asarray(ring) * scale for ring in rings] for rings in copies[k].shapes]
    boxes = [np.array(box) * np.tile(scale, 2) for box in copies[k].boxes]
    return Photograph(stem, bgr, painted((height, width), shapes, boxes))


def unrest(bgr: ByteArray) -> float:
    """Return the share of a picture's pixels that are specks or quite black."""
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    specks = cv2.absdiff(grey, cv2.medianBlur(grey, 3)) > SPECK
    return float(np.mean(specks | (bgr.max(axis=2) < 3)))


def _pieces(photograph: Photograph, per_side: int) -> Iterator[Photograph]:
    """Yield a photograph, or its pieces that show an object."""
    if per_side == 1:
        yield photograph
        return
    rows = np.array_split(np.arange(photograph.owner.shape[0]), per_side)
    columns = np.array_split(np.arange(photograph.owner.shape[1]), per_side)
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            part = np.s_[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
            owner = np.ascontiguousarray(photograph.owner[part])
            if np.setdiff1d(owner, (0, NOT_JUDGED)).size:
                yield Photograph(
                    f"{photograph.stem}-{r}{c}", np.ascontiguousarray(photograph.bgr[part]), owner
                )


EXPORTS = {
    "animals": Export(
        Source(
            "KomaHomu/Applying-Mask-RCNN-in-endangered-animals-detection",
            "609dc5553c",
            "CC BY 4.0; pictures of Open Images: CC BY 2.0",
        ),
        "coco",
        ("dataset/train", "dataset/valid", "dataset/test"),
        # The names of Open Images; the other pictures bear marks of agencies that sell them.
        name=r"[0-9a-f]{16}_jpg",
    ),
    "cakes": Export(
        Source("Alobster49/KuihCaloriesEstimation", "f282318858", "CC BY 4.0"),
        "yolo",
        ("train", "valid", "test"),
    ),
    "mushrooms": Export(
        Source("tomsains/SegMush", "78bc16de1c", "CC BY 4.0"),
        "coco",
        ("data/train", "data/valid", "data/test"),
    ),
    "screws": Export(
        Source("3bsalam-1/Screw-Detector", "3898455b15", "MIT"),
        "yolo",
        ("data/raw/train", "data/raw/valid", "data/raw/test"),
        pieces=2,
    ),
    "bolts": Export(
        Source("BESSTSU/bolt_counter", "da2c4a1d93", "CC BY 4.0"),
        "yolo",
        ("dataset/train", "dataset/valid"),
    ),
    "nanoparticles": Export(
        Source("CS-433/ml-project-2-andersmaxjohannes", "0dd302993e", "CC BY 4.0"),
        "coco",
        ("Data/train", "Data/test"),
    ),
    "stones": Export(
        Source("WesselJonge/DLforSegregation", "1e3011d105", "CC BY 4.0"),
        "coco",
        ("Dataset/train", "Dataset/valid"),
    ),
}
